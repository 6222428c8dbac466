//! How this board begins: with its data, as a member that was named, or as one that joins by a URL.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use super::{bootstrap, options, waiting::Waiting};
use crate::{
    config::Settings,
    join::{self, Begun, Founding, JoinUrl, Newcomer, Origin, Way},
    member::{self, Claim, Reach, Start, address_outward},
    peer::{BoardTls, PeerUrl, Tls},
};

/// What a member is run with.
pub(super) struct Beginning {
    pub(super) claim: Claim,
    pub(super) options: member::Options,
    /// This board's own keys, if it joined by itself or lets others in.
    pub(super) trust: Option<BoardTls>,
    pub(super) tls: Option<Tls>,
    /// Where peers are served.
    pub(super) listen: Vec<PeerUrl>,
    /// Others are to be let in, which they cannot yet.
    pub(super) founding: Option<Founding>,
}

/// Blocks, for as long as waiting for others can help. Errors: one line that says what to do.
pub(super) fn of(settings: &Settings, waiting: &Waiting<'_>) -> Result<Beginning, String> {
    let options = options::member(settings);
    match &settings.reach {
        Some(reach) => by_keys(settings, options, reach, waiting),
        None => by_files(settings, options, waiting),
    }
}

/// Members were named to each other, and trust files or nothing.
fn by_files(
    settings: &Settings,
    mut options: member::Options,
    waiting: &Waiting<'_>,
) -> Result<Beginning, String> {
    options.start = bootstrap::start(settings, &options, waiting)?;
    let listen = settings.listen_peer.iter().map(|url| PeerUrl::parse(url)).collect::<Result<_, _>>()?;
    let tls = options::peer_tls(settings);
    // A board that is refused leaves nothing behind.
    let claim = member::claim(&settings.data_dir).map_err(|error| error.to_string())?;
    Ok(Beginning { claim, options, trust: None, tls, listen, founding: None })
}

fn by_keys(
    settings: &Settings,
    mut options: member::Options,
    reach: &Reach,
    waiting: &Waiting<'_>,
) -> Result<Beginning, String> {
    let folder = member::tls_dir(&settings.data_dir);
    let url = settings.discovery.as_ref().filter(|url| url.way != Way::Here);
    if url.is_none() && !folder.exists() {
        return by_files(settings, options, waiting);
    }
    let claim = member::claim(&settings.data_dir).map_err(|error| error.to_string())?;
    let has_data = member::has_data(&settings.data_dir);
    BoardTls::settle(&folder)?;
    let places = match has_data {
        true if folder.exists() => Origin::of_member(&folder, &options.hardware),
        true => Vec::new(),
        false => Origin::of_blank(&folder, &options.hardware).map(|()| Vec::new())?,
    };
    options.reach.iter_mut().for_each(|reach| reach.hints.extend(places.iter().cloned()));
    if has_data {
        claim.refound(&options).map_err(|error| error.to_string())?;
        options.force_new_cluster = false;
    }
    let mut trust = BoardTls::open(&folder)?;
    let read = |tls: &Option<BoardTls>| match tls {
        Some(tls) => Founding::read(&folder, tls, &options.hardware, reach.port()),
        None => Ok(None),
    };
    let mut founding = read(&trust)?;
    if let Some(url) = url.filter(|_| !has_data && founding.is_none()) {
        let mut tls = BoardTls::make(&folder)?;
        let begun = join((settings, waiting), url, reach, &options, &folder, &mut tls)?;
        (options.name, options.peer_urls, options.start) = (begun.name, begun.peer_urls, begun.start);
        options.reach.iter_mut().for_each(|reach| reach.hints.extend(begun.hints.iter().cloned()));
        trust = Some(tls);
        founding = read(&trust)?;
    }
    if let (Some(founding), Some(tls)) = (&founding, &mut trust) {
        // It may have been cut off here.
        tls.found()?;
        options.start = Start::Formed(founding.formation.clone());
        options.peer_urls = reach.urls(address_outward().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    if !trust.as_ref().is_some_and(BoardTls::has_certificate) {
        if url.is_some() {
            log::warn!(
                "--discovery is ignored: {} has the data of a member that did not join by a URL, as any start without --discovery makes it, \
                 even if nothing was ever written to it: clear the whole directory to join the cluster of the URL; or, for others to join \
                 this board, use `solder invite` here",
                settings.data_dir.display()
            );
        }
        drop(claim);
        return by_files(settings, options, waiting);
    }
    if has_data && let (Some(url), Some(tls)) = (url, &trust) {
        warn_of_another_cluster(settings, url, tls, &folder);
    }
    options.goes_by_keys = true;
    let (tls, listen) = (Some(Tls::Board(folder)), reach.listen.clone());
    Ok(Beginning { claim, options, trust, tls, listen, founding })
}

/// As far as the board knows: an invitation names the authority; of a discovery token it knows the one by which it has come.
fn warn_of_another_cluster(settings: &Settings, url: &JoinUrl, tls: &BoardTls, folder: &Path) {
    let by_pin = url.pin().is_some_and(|pin| tls.pin().as_ref() != Some(pin));
    let token = Origin::token(folder);
    let by_token = matches!(url.way, Way::Service { .. }) && !token.is_empty() && token != url.token;
    let which = match (by_pin, by_token) {
        (false, false) => return,
        (true, _) => "of another authority".to_owned(),
        (false, true) => format!("of the discovery token {token}"),
    };
    log::warn!(
        "--discovery is ignored: {} has the data of another cluster ({which}): clear the whole directory to join the one of the URL",
        settings.data_dir.display()
    );
}

fn join(
    (settings, waiting): (&Settings, &Waiting<'_>),
    url: &JoinUrl,
    reach: &Reach,
    options: &member::Options,
    folder: &Path,
    tls: &mut BoardTls,
) -> Result<Begun, String> {
    if url.is_open {
        log::warn!(
            "the URL of --discovery has no secret behind a #: whoever has seen it on its way can join this cluster; `solder \
             discovery new` makes one that has"
        );
    }
    let newcomer = Newcomer {
        url,
        name: &settings.name,
        is_default_name: settings.is_default_name,
        reach,
        client_urls: &settings.advertise_client_urls,
        hardware: &options.hardware,
        folder,
        waits: &|why| waiting.say(why),
    };
    waiting.during(join::begin(newcomer, tls))
}
