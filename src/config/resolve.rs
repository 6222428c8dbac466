//! From settings as written to settings as used: etcd's rules, and those of small boards.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    AutoCompaction, Budget, ClusterState, ConfigError, PeerTls, Settings, Surroundings,
    duration::{parse_duration, write_duration},
    keys::Fate,
    quota::{QUOTA_DEFAULT_BYTES, map_bytes_max, quota_bytes},
    reading::{Reading, Report, parse_bool},
    role::Role,
    url::Url,
    written::{Source, Written},
};
use crate::{
    join::JoinUrl,
    logging,
    member::{Autopilot, Reach},
    peer::PeerUrl,
    types::limits,
    wal,
};

/// etcd's.
const DEFAULT_NAME: &str = "default";

/// etcd's, where members are named to each other.
const DEFAULT_LISTEN_PEER: &str = "http://127.0.0.1:2380";
const DEFAULT_ADVERTISED_PEER: &str = "http://localhost:2380";

/// Where boards that join by themselves listen for each other.
const LISTEN_PEERS: &str = "https://[::]:2380";

pub(super) fn settings(
    written: &Written,
    surroundings: &Surroundings,
) -> Result<(Settings, Report), ConfigError> {
    let mut warnings = written.warnings.clone();
    refuse_what_cannot_be(written, &mut warnings)?;
    let mut reading = Reading { written, report: Report::new() };
    let reading = &mut reading;

    let (name, is_default_name) = name(reading, surroundings)?;
    let discovery = discovery(reading)?;
    if discovery.is_some() {
        check_discovery(reading)?;
    }
    let data_dir = data_dir(reading, &name, surroundings)?;
    let listen_client = listen(reading, "listen-client-urls")?;
    if listen_client.is_empty() {
        return Err(reading.error("listen-client-urls", "no URL: clients could not be served"));
    }
    let listen_peer = listen_peer(reading)?;
    let (advertise_peer_urls, initial_cluster) = members(reading, &name)?;
    let peer_tls = peer_tls(reading, surroundings)?;
    if discovery.is_some() && peer_tls.is_some() {
        return Err(ConfigError(
            "--discovery makes this board's keys by itself: leave out --peer-cert-file, --peer-key-file and \
             --peer-trusted-ca-file"
                .into(),
        ));
    }
    // With a URL to join by, keys are made.
    let mut all =
        listen_peer.iter().chain(initial_cluster.values().flatten()).filter(|_| discovery.is_none());
    if let Some(url) = all.find(|url| url.starts_with("https:") && peer_tls.is_none()) {
        return Err(ConfigError(format!(
            "{url} needs --peer-cert-file, --peer-key-file and --peer-trusted-ca-file: peers prove to each other who they are"
        )));
    }
    let reach = match peer_tls {
        None => Some(reach(&listen_peer, &advertise_peer_urls, discovery.as_ref())?),
        Some(_) => None,
    };
    let (heartbeat_interval, election_timeout) = intervals(reading)?;
    let budget = budget(reading, surroundings)?;
    let settings = Settings {
        listen_client,
        listen_peer,
        listen_metrics: listen(reading, "listen-metrics-urls")?,
        advertise_client_urls: advertise_client_urls(reading, surroundings)?,
        advertise_peer_urls,
        initial_cluster,
        cluster_state: reading.word(
            "initial-cluster-state",
            &[("new", ClusterState::New), ("existing", ClusterState::Existing)],
        )?,
        discovery,
        reach,
        autopilot: autopilot(reading)?,
        is_default_name,
        force_new_cluster: reading.switch("force-new-cluster")?,
        peer_tls,
        cluster_token: reading.text("initial-cluster-token"),
        heartbeat_interval,
        election_timeout,
        strict_reconfig_check: reading.switch("strict-reconfig-check")?,
        learners_max: learners_max(reading)?,
        is_autopilot_from_the_first: reading.number("voters", 0..=limits::VOTERS_MAX.into())? > 0,
        quota_bytes: quota(reading, &budget, &data_dir, surroundings)?,
        auto_compaction: auto_compaction(reading)?,
        request_bytes_max: reading.bytes("max-request-bytes", 1..=limits::COMMAND_BYTES_MAX as i64)? as usize,
        txn_ops_max: reading.number("max-txn-ops", 1..=limits::TXN_OPS_MAX as i64)? as usize,
        cors: origins(reading)?,
        host_whitelist: reading.list("host-whitelist"),
        watch_progress_interval: watch_progress_interval(reading)?,
        discovery_public: reading.switch("discovery-public")?,
        discovery_alone: written.role == Role::Discovery,
        slow_request: reading.duration("warning-unary-request-duration", Duration::ZERO)?,
        log: log(reading)?,
        board: board(reading),
        budget,
        warnings,
        name,
        data_dir,
    };
    Ok((settings, std::mem::take(&mut reading.report)))
}

/// etcd's one at a time, where people promote them. Where the cluster does, it needs two to begin with, and all may stay.
fn learners_max(reading: &mut Reading<'_>) -> Result<usize, ConfigError> {
    const KEY: &str = "max-learners";
    let wanted = reading.number(KEY, 1..=limits::LEARNERS_MAX.into())?;
    if reading.is_given(KEY) || reading.number("voters", 0..=limits::VOTERS_MAX.into())? == 0 {
        return Ok(wanted as usize);
    }
    reading.derive(KEY, i64::from(limits::LEARNERS_WITH_AUTOPILOT), "--voters");
    Ok(limits::LEARNERS_WITH_AUTOPILOT as usize)
}

fn replace_after(reading: &mut Reading<'_>) -> Result<Duration, ConfigError> {
    let given = reading.duration("replace-after", Duration::from_secs(limits::REPLACE_AFTER_S_MIN.into()))?;
    match given <= Duration::from_secs(limits::REPLACE_AFTER_S_MAX.into()) {
        true => Ok(given),
        false => Err(reading.error("replace-after", "more than 30 days")),
    }
}

/// Those that are not built, or never will be; and a warning for each that is not needed.
fn refuse_what_cannot_be(written: &Written, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    for (key, value) in written.all() {
        let place = value.source.place(key.name);
        match &key.fate {
            Fate::Used(_) => {}
            Fate::Needless(why) => warnings.push(format!("{place} is ignored: {why}")),
            Fate::Refused { unless, because } => {
                let text = match (key.switch, parse_bool(&value.text)) {
                    (true, Some(on)) => on.to_string(),
                    (true, None) => {
                        return Err(ConfigError(format!(
                            "{place}: {:?} is neither true nor false",
                            value.text
                        )));
                    }
                    (false, _) => value.text.clone(),
                };
                if !unless.contains(&text.as_str()) {
                    return Err(ConfigError(format!("{place}: {because}")));
                }
            }
        }
    }
    Ok(())
}

/// And whether nobody chose it. Where members name each other it is etcd's default, else the host's name.
fn name(reading: &mut Reading<'_>, surroundings: &Surroundings) -> Result<(String, bool), ConfigError> {
    let name = reading.text("name");
    if !reading.is_given("name") {
        let host = surroundings.hostname.split('.').next().unwrap_or_default();
        let is_usable = !host.is_empty() && !host.chars().any(|c| ",=/".contains(c) || c.is_control());
        let (name, how) = match is_usable && !reading.is_given("initial-cluster") {
            true => (host, "the host's name"),
            false => (DEFAULT_NAME, "default"),
        };
        reading.derive("name", name, how);
        return Ok((name.to_owned(), true));
    }
    if name.is_empty() {
        return Err(reading.error("name", "a member needs a name"));
    }
    // It is part of --initial-cluster and of the data directory's name.
    match name.chars().find(|c| ",=/".contains(*c) || c.is_control()) {
        Some(c) => Err(reading.error("name", format!("{name:?} has a {c:?} in it"))),
        None => Ok((name, false)),
    }
}

fn discovery(reading: &mut Reading<'_>) -> Result<Option<JoinUrl>, ConfigError> {
    let text = reading.text("discovery");
    if text.is_empty() {
        return Ok(None);
    }
    // The secret is not to be read in reports.
    reading.derive(
        "discovery",
        text.split('#').next().unwrap_or_default(),
        reading.source("discovery").to_string(),
    );
    JoinUrl::parse(&text).map(Some).map_err(|error| reading.error("discovery", error))
}

/// It says by itself what else would have to be said.
fn check_discovery(reading: &Reading<'_>) -> Result<(), ConfigError> {
    if reading.is_given("initial-cluster") {
        return Err(ConfigError(
            "both --discovery and --initial-cluster: multiple discovery or bootstrap flags are set, choose one".into(),
        ));
    }
    Ok(())
}

/// Once others are invited, peers are listened for in the whole network unless addresses are given, and always by TLS. Given is
/// what is not the default: a file that tells all settings must mean the same.
fn reach(
    listen_peer: &[String],
    advertised: &[String],
    discovery: Option<&JoinUrl>,
) -> Result<Reach, ConfigError> {
    let is_given = listen_peer != [DEFAULT_LISTEN_PEER];
    let given: Vec<&str> =
        if is_given { listen_peer.iter().map(String::as_str).collect() } else { vec![LISTEN_PEERS] };
    let secured = |url: &str| url.replacen("http://", "https://", 1);
    let listen = given.iter().map(|url| PeerUrl::parse(&secured(url))).collect::<Result<Vec<_>, _>>();
    let fixed = advertised.iter().filter(|url| **url != DEFAULT_ADVERTISED_PEER);
    Ok(Reach {
        listen: listen.map_err(ConfigError)?,
        fixed_urls: fixed.map(|url| secured(url)).collect(),
        until_then: listen_peer
            .iter()
            .map(|url| PeerUrl::parse(url))
            .collect::<Result<_, _>>()
            .map_err(ConfigError)?,
        hints: discovery.map_or_else(Vec::new, JoinUrl::member_hosts),
        is_announced: discovery.is_some_and(JoinUrl::is_for_neighbours),
    })
}

/// Of a cluster that boards join: what was not said is what suits them, not what suits people who name each other.
fn autopilot(reading: &mut Reading<'_>) -> Result<Autopilot, ConfigError> {
    let voters = reading.number("voters", 0..=limits::VOTERS_MAX.into())? as u32;
    let learners = reading.number("max-learners", 1..=limits::LEARNERS_MAX.into())? as u32;
    let default = Autopilot::default();
    Ok(Autopilot {
        voters_max: if voters == 0 { default.voters_max } else { voters },
        replace_after_s: replace_after(reading)?.as_secs() as u32,
        learners_max: if reading.is_given("max-learners") { learners } else { default.learners_max },
    })
}

fn data_dir(
    reading: &mut Reading<'_>,
    name: &str,
    surroundings: &Surroundings,
) -> Result<PathBuf, ConfigError> {
    let text = reading.text("data-dir");
    if !text.is_empty() {
        let path = surroundings.directory.join(text);
        reading.derive("data-dir", path.display().to_string(), reading.source("data-dir").to_string());
        return Ok(path);
    }
    if reading.is_given("data-dir") {
        return Err(reading.error("data-dir", "empty"));
    }
    let state = surroundings.environment.get("STATE_DIRECTORY").and_then(|list| list.split(':').next());
    let (path, how) = match state.filter(|state| !state.is_empty()) {
        Some(state) => (PathBuf::from(state), "STATE_DIRECTORY"),
        // As it was before boards were called by their hosts' names.
        None if !reading.is_given("name") => {
            (surroundings.directory.join(reading.written.role.data_dir(DEFAULT_NAME)), "default")
        }
        None => (surroundings.directory.join(reading.written.role.data_dir(name)), "default"),
    };
    reading.derive("data-dir", path.display().to_string(), how);
    Ok(path)
}

fn listen(reading: &mut Reading<'_>, key: &'static str) -> Result<Vec<SocketAddr>, ConfigError> {
    let urls = reading.urls(key)?;
    urls.iter().map(|url| url.address().map_err(|error| reading.error(key, error))).collect()
}

/// etcd refuses to listen elsewhere without being told what to advertise. What it would want is known: the addresses
/// themselves, and the host's name for "all addresses".
fn advertise_client_urls(
    reading: &mut Reading<'_>,
    surroundings: &Surroundings,
) -> Result<Vec<String>, ConfigError> {
    const KEY: &str = "advertise-client-urls";
    let urls = reading.urls(KEY)?;
    if let Some(url) = urls.iter().find(|url| url.is_everywhere()) {
        return Err(reading.error(KEY, format!("{url} is no address that others can call")));
    }
    if !urls.is_empty() {
        return Ok(urls.iter().map(Url::to_string).collect());
    }
    if !reading.is_given("listen-client-urls") && reading.written.role == Role::Member {
        let urls = vec!["http://localhost:2379".to_string()];
        reading.derive(KEY, urls.clone(), "default");
        return Ok(urls);
    }
    let noted = reading.report.get("listen-client-urls").cloned();
    let listened = reading.urls("listen-client-urls")?;
    reading.report.extend(noted.map(|noted| ("listen-client-urls", noted)));
    let callable = listened.into_iter().map(|url| match url.is_everywhere() {
        true => Url { host: surroundings.hostname.clone(), ..url },
        false => url,
    });
    let mut urls: Vec<String> = callable.map(|url| url.to_string()).collect();
    urls.dedup();
    reading.derive(KEY, urls.clone(), "listen-client-urls");
    Ok(urls)
}

/// Looked at here for what is wrong with them; bound by who listens.
fn listen_peer(reading: &mut Reading<'_>) -> Result<Vec<String>, ConfigError> {
    const KEY: &str = "listen-peer-urls";
    let urls = reading.peer_urls(KEY)?;
    urls.iter()
        .map(|url| match url.address() {
            Ok(address) => Ok(Url { host: address.ip().to_string(), ..url.clone() }.to_string()),
            Err(error) => Err(reading.error(KEY, error)),
        })
        .collect()
}

type Members = BTreeMap<String, Vec<String>>;

/// This member's peer URLs, and all members to begin with. What stands in --initial-cluster must agree with the former.
fn members(reading: &mut Reading<'_>, name: &str) -> Result<(Vec<String>, Members), ConfigError> {
    let mut urls = reading.peer_urls("initial-advertise-peer-urls")?;
    if urls.is_empty() {
        return Err(reading.error("initial-advertise-peer-urls", "no URL"));
    }
    if let Some(url) = urls.iter().find(|url| url.is_everywhere()) {
        let what = format!("{url} is no address that others can call");
        return Err(reading.error("initial-advertise-peer-urls", what));
    }
    let mut cluster = initial_cluster(reading)?;
    if cluster.is_empty() {
        let text: Vec<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
        reading.derive("initial-cluster", text.join(","), "name, initial-advertise-peer-urls");
        cluster.insert(name.to_owned(), urls.clone());
    }
    let Some(named) = cluster.get(name) else {
        let what = format!("couldn't find local name {name:?} in the initial cluster configuration");
        return Err(reading.error("initial-cluster", what));
    };
    agree(reading, &mut urls, named)?;
    let texts = |urls: &Vec<Url>| urls.iter().map(Url::to_string).collect::<Vec<_>>();
    let cluster = cluster.iter().map(|(name, urls)| (name.clone(), texts(urls)));
    Ok((texts(&urls), cluster.collect()))
}

/// Where only one of the two was given, that one counts.
fn agree(reading: &mut Reading<'_>, urls: &mut Vec<Url>, named: &[Url]) -> Result<(), ConfigError> {
    let sorted = |urls: &[Url]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    if sorted(urls) == sorted(named) {
        return Ok(());
    }
    if reading.is_given("initial-advertise-peer-urls") {
        let what = "its URLs are not those of --initial-advertise-peer-urls";
        return Err(reading.error("initial-cluster", what));
    }
    *urls = named.to_vec();
    let texts: Vec<String> = urls.iter().map(Url::to_string).collect();
    reading.derive("initial-advertise-peer-urls", texts, "initial-cluster");
    Ok(())
}

/// `a=http://x:1,a=http://y:1,b=http://z:1`
fn initial_cluster(reading: &mut Reading<'_>) -> Result<BTreeMap<String, Vec<Url>>, ConfigError> {
    let text = reading.text("initial-cluster");
    let mut cluster: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let form = || reading.error("initial-cluster", format!("{item:?} does not have the form NAME=URL"));
        let (name, url) = item.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(form)?;
        let url = Url::parse_peer(url).map_err(|error| reading.error("initial-cluster", error))?;
        if cluster.values().flatten().any(|other| *other == url) {
            return Err(reading.error("initial-cluster", format!("{url} is named twice")));
        }
        cluster.entry(name.into()).or_default().push(url);
    }
    Ok(cluster)
}

/// All three files or none. That peers show certificates is no choice: `--peer-client-cert-auth=false` changes nothing.
fn peer_tls(reading: &mut Reading<'_>, surroundings: &Surroundings) -> Result<Option<PeerTls>, ConfigError> {
    const KEYS: [&str; 3] = ["peer-cert-file", "peer-key-file", "peer-trusted-ca-file"];
    let wanted = reading.switch("peer-client-cert-auth")?;
    let texts = KEYS.map(|key| reading.text(key));
    if let Some(lacking) = texts.iter().position(String::is_empty) {
        if texts.iter().all(String::is_empty) && !wanted {
            return Ok(None);
        }
        let all = KEYS.map(|key| format!("--{key}")).join(", ");
        return Err(ConfigError(format!("--{} is missing: {all} belong together", KEYS[lacking])));
    }
    let [cert, key, trusted_ca] = texts.map(|text| surroundings.directory.join(text));
    Ok(Some(PeerTls { cert, key, trusted_ca }))
}

fn intervals(reading: &mut Reading<'_>) -> Result<(Duration, Duration), ConfigError> {
    let ms = 1..=i64::from(limits::ELECTION_MS_MAX);
    let heartbeat = reading.number("heartbeat-interval", ms.clone())?;
    let election = reading.number("election-timeout", ms)?;
    if election < i64::from(limits::HEARTBEATS_AN_ELECTION) * heartbeat {
        return Err(ConfigError(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
        )));
    }
    let duration = |ms: i64| Duration::from_millis(ms as u64);
    Ok((duration(heartbeat), duration(election)))
}

fn budget(reading: &mut Reading<'_>, surroundings: &Surroundings) -> Result<Budget, ConfigError> {
    const MOST: i64 = 1 << 30;
    let pending = reading.bytes("pending-bytes-max", 256 << 10..=MOST)?;
    let segment = reading
        .bytes("wal-segment-bytes", i64::from(wal::Options::SEGMENT_BYTES_MIN)..=i64::from(64_u32 << 20))?;
    if segment % 4096 != 0 {
        return Err(reading.error("wal-segment-bytes", format!("{segment} is no multiple of 4096")));
    }
    Ok(Budget {
        pending_bytes_max: pending as u64,
        flush_interval: reading.duration("flush-interval", Duration::from_millis(10))?,
        flush_pages_max: reading.number("flush-pages-max", 64..=1 << 20)? as u32,
        wal_segment_bytes: segment as u32,
        db_map_bytes_max: map_bytes(reading, surroundings)?,
        connections_max: reading.number("max-connections", 1..=1 << 20)? as usize,
    })
}

/// What the words of this board can address bounds it. A default or a profile gives way to that, and on 64-bit boards to a
/// quota that somebody asked for; what somebody asked for itself is taken or refused.
fn map_bytes(reading: &mut Reading<'_>, surroundings: &Surroundings) -> Result<u64, ConfigError> {
    const KEY: &str = "db-map-bytes";
    let most = map_bytes_max(surroundings.word_bits);
    let wanted = reading.bytes(KEY, 32 << 20..=i64::MAX)? as u64;
    if reading.is_given(KEY) {
        return match wanted > most {
            true => {
                Err(reading.error(KEY, format!("{wanted} is too large, this board's words can take {most}")))
            }
            false => Ok(wanted),
        };
    }
    let mut bytes = wanted;
    if reading.is_given("quota-backend-bytes") {
        let quota = reading.bytes("quota-backend-bytes", i64::MIN..=i64::MAX)?;
        bytes = bytes.max(u64::try_from(quota).unwrap_or(0).saturating_mul(2));
        if bytes > wanted {
            reading.derive(KEY, bytes.min(most) as i64, "twice the quota");
        }
    }
    if bytes > most {
        reading.derive(KEY, most as i64, format!("most that {}-bit words can take", surroundings.word_bits));
    }
    Ok(bytes.min(most))
}

fn quota(
    reading: &mut Reading<'_>,
    budget: &Budget,
    data_dir: &std::path::Path,
    surroundings: &Surroundings,
) -> Result<Option<u64>, ConfigError> {
    const KEY: &str = "quota-backend-bytes";
    let wanted = reading.bytes(KEY, i64::MIN..=i64::MAX)?;
    let half = budget.db_map_bytes_max / 2;
    match u64::try_from(wanted) {
        Err(_) => Ok(None),
        Ok(wanted) if wanted > 0 && reading.is_given(KEY) => match wanted > half {
            true => Err(reading
                .error(KEY, format!("{wanted} is more than half of the database's map: the most is {half}"))),
            false => Ok(Some(wanted)),
        },
        Ok(wanted) => {
            // A given 0 asks for etcd's default, whatever the profile says.
            let profile = matches!(reading.source(KEY), Source::Profile { .. }).then_some(wanted);
            let bytes = quota_bytes(profile, budget.db_map_bytes_max, (surroundings.room)(data_dir));
            let how = match bytes {
                _ if Some(bytes) == profile => reading.source(KEY).to_string(),
                QUOTA_DEFAULT_BYTES if profile.is_none() => "default".into(),
                _ if bytes == half => "half of db-map-bytes".into(),
                _ => "half of the disk that is free".into(),
            };
            reading.derive(KEY, bytes as i64, how);
            Ok(Some(bytes))
        }
    }
}

fn auto_compaction(reading: &mut Reading<'_>) -> Result<Option<AutoCompaction>, ConfigError> {
    const KEY: &str = "auto-compaction-retention";
    let by_time = reading.word("auto-compaction-mode", &[("periodic", true), ("revision", false)])?;
    let text = reading.text(KEY);
    let number = text.parse::<u64>().ok();
    if number == Some(0) || text.is_empty() {
        return Ok(None);
    }
    if !by_time {
        let number = number.filter(|number| i64::try_from(*number).is_ok());
        let what = || reading.error(KEY, format!("{text:?} is not a number of revisions"));
        return Ok(Some(AutoCompaction::Revision(number.ok_or_else(what)?)));
    }
    // As in etcd a bare number is of hours.
    let duration = match number {
        Some(hours) => hours.checked_mul(3600).map(Duration::from_secs),
        None => parse_duration(&text),
    };
    let Some(duration) = duration else {
        return Err(
            reading.error(KEY, format!("{text:?} is not a duration like 1h30m, nor a number of hours"))
        );
    };
    reading.derive(KEY, write_duration(duration), reading.source(KEY).to_string());
    Ok(Some(duration).filter(|duration| !duration.is_zero()).map(AutoCompaction::Periodic))
}

fn origins(reading: &mut Reading<'_>) -> Result<Vec<String>, ConfigError> {
    let origins = reading.list("cors");
    for origin in &origins {
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if origin != "*" && host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            let what = format!("{origin:?} is not an origin like http://host:port, nor *");
            return Err(reading.error("cors", what));
        }
    }
    Ok(origins)
}

/// As in etcd 0 asks for the default.
fn watch_progress_interval(reading: &mut Reading<'_>) -> Result<Duration, ConfigError> {
    const KEY: &str = "watch-progress-notify-interval";
    let interval = reading.duration(KEY, Duration::ZERO)?;
    if !interval.is_zero() {
        return Ok(interval);
    }
    reading.derive(KEY, "10m", "default");
    Ok(Duration::from_secs(600))
}

fn log(reading: &mut Reading<'_>) -> Result<logging::Options, ConfigError> {
    let level = reading.word("log-level", &logging::Level::NAMES)?;
    let format = reading.word("log-format", &logging::Format::NAMES)?;
    Ok(logging::Options { level, format })
}

fn board(reading: &mut Reading<'_>) -> Option<String> {
    let wanted = reading.text("board");
    let found = reading.written.profile.as_ref().map(|profile| profile.name.clone());
    if wanted == "auto" {
        let how = format!("auto, {}", reading.source("board"));
        reading.derive("board", found.clone().unwrap_or("none".into()), how);
    }
    found
}
