//! The URL that makes a board without data a member.
//!
//! ```text
//!   http://10.0.0.9:2379/0123456789abcdef0123456789abcdef#S            a discovery service and one of its tokens
//!   https://10.0.0.1:2380,10.0.0.2:2380/join/89ab0123cdef4567#S.P      members of a cluster and one of its invitations
//!   mdns                                                                this board is one that others find like that
//!   mdns:///join/89ab0123cdef4567#S.P                                   the same, whoever in this network says that it is one
//!
//!   S  128 bits in hexadecimal: never sent, only proven
//!   P  SHA-256 of the certificate of the cluster's authority, in hexadecimal
//! ```
//!
//! What stands behind `#` is no business of whoever answers.

use std::fmt;

use crate::{
    client::Endpoint,
    peer::PeerUrl,
    types::{Bytes, from_hex},
};

/// Where no port is given.
const SERVICE_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

pub(super) const SECRET_BYTES: usize = 16;
pub(super) const PIN_BYTES: usize = 32;

/// More hosts than a cluster has voters are no help.
const HOSTS_MAX: usize = 16;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinUrl {
    pub way: Way,
    pub token: String,
    pub secret: [u8; 16],
    /// The URL has no secret of its own: it is the token, which every service on the way has seen.
    pub is_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A cluster that may not exist yet is found through any of these.
    Service { hosts: Vec<Endpoint> },
    /// Any of these members lets this board in.
    Members { hosts: Vec<PeerUrl>, pin: Bytes },
    /// Whoever in the local network says that it is such a member.
    Neighbours { pin: Bytes },
    /// None: this board is the one that others in the local network find.
    Here,
}

/// The secret is left out.
impl fmt::Debug for JoinUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinUrl").field("way", &self.way).field("token", &self.token).finish_non_exhaustive()
    }
}

impl JoinUrl {
    /// Errors: what is wrong, and how such a URL is made.
    pub fn parse(text: &str) -> Result<JoinUrl, String> {
        if text.trim() == "mdns" {
            return Ok(JoinUrl {
                way: Way::Here,
                token: String::new(),
                secret: [0; SECRET_BYTES],
                is_open: false,
            });
        }
        let (url, fragment) = text.trim().split_once('#').unwrap_or((text.trim(), ""));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| form("it has no scheme"))?;
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        match scheme {
            "http" => service(hosts, path, fragment),
            "https" => members(hosts, path, fragment),
            "mdns" => neighbours(hosts, path, fragment),
            scheme => Err(form(&format!("its scheme is {scheme:?}"))),
        }
    }

    /// Of the authority of its cluster, where it names one.
    pub fn pin(&self) -> Option<&Bytes> {
        match &self.way {
            Way::Members { pin, .. } | Way::Neighbours { pin } => Some(pin),
            Way::Service { .. } | Way::Here => None,
        }
    }

    /// Is a board with this URL to be found by others in its network?
    pub fn is_for_neighbours(&self) -> bool {
        matches!(self.way, Way::Neighbours { .. } | Way::Here)
    }

    /// Peer URLs at which a member may be found: hints, for a board that has found nobody else.
    pub fn member_hosts(&self) -> Vec<PeerUrl> {
        match &self.way {
            Way::Members { hosts, .. } => hosts.clone(),
            Way::Service { hosts } => {
                let peer =
                    |host: &Endpoint| PeerUrl { is_tls: true, host: host.name().into(), port: PEER_PORT };
                hosts.iter().map(peer).collect()
            }
            Way::Neighbours { .. } | Way::Here => Vec::new(),
        }
    }
}

fn service(hosts: &str, path: &str, fragment: &str) -> Result<JoinUrl, String> {
    let hosts = listed(hosts)?.map(|host| with_port(host, SERVICE_PORT).parse::<Endpoint>());
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    let token = path.trim_end_matches('/');
    let open =
        from_hex::<SECRET_BYTES>(token).ok_or_else(|| form("its token is not 32 hexadecimal digits"))?;
    let is_open = fragment.is_empty();
    let secret = match is_open {
        true => open,
        false => from_hex(fragment).ok_or_else(|| form("what follows # is not 32 hexadecimal digits"))?,
    };
    Ok(JoinUrl { way: Way::Service { hosts }, token: token.to_ascii_lowercase(), secret, is_open })
}

fn members(hosts: &str, path: &str, fragment: &str) -> Result<JoinUrl, String> {
    let url = |host| PeerUrl::parse(&format!("https://{}", with_port(host, PEER_PORT)));
    let hosts = listed(hosts)?.map(url).collect::<Result<Vec<_>, _>>()?;
    let (token, secret, pin) = invitation(path, fragment)?;
    Ok(JoinUrl { way: Way::Members { hosts, pin }, token, secret, is_open: false })
}

fn neighbours(hosts: &str, path: &str, fragment: &str) -> Result<JoinUrl, String> {
    if !hosts.is_empty() {
        return Err(form("mdns:// has no host: the local network is asked"));
    }
    let (token, secret, pin) = invitation(path, fragment)?;
    Ok(JoinUrl { way: Way::Neighbours { pin }, token, secret, is_open: false })
}

fn invitation(path: &str, fragment: &str) -> Result<(String, [u8; SECRET_BYTES], Bytes), String> {
    let is_token = |token: &&str| token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let token = path.trim_end_matches('/').strip_prefix("join/").filter(is_token);
    let token = token.ok_or_else(|| form("its path is not /join/ and 16 hexadecimal digits"))?;
    let (secret, pin) =
        fragment.split_once('.').ok_or_else(|| form("the secret and the pin behind # are missing"))?;
    let secret = from_hex(secret).ok_or_else(|| form("its secret is not 32 hexadecimal digits"))?;
    let pin = from_hex::<PIN_BYTES>(pin).ok_or_else(|| form("its pin is not 64 hexadecimal digits"))?;
    Ok((token.to_ascii_lowercase(), secret, pin.to_vec().into()))
}

fn listed(hosts: &str) -> Result<impl Iterator<Item = &str>, String> {
    let count = hosts.split(',').count();
    if hosts.split(',').any(str::is_empty) {
        return Err(form("a host is missing"));
    }
    if count > HOSTS_MAX {
        return Err(form(&format!("it names {count} hosts, and at most {HOSTS_MAX} are asked")));
    }
    Ok(hosts.split(','))
}

fn with_port(host: &str, port: u16) -> String {
    let named = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    if named.contains(':') { host.to_owned() } else { format!("{host}:{port}") }
}

fn form(what: &str) -> String {
    format!(
        "{what}: give the URL that `solder invite` or `solder discovery new` has printed, all of it, in quotes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const SECRET: &str = "ffeeddccbbaa99887766554433221100";

    fn pin() -> String {
        "ab".repeat(32)
    }

    #[test]
    fn a_discovery_service() {
        let url = JoinUrl::parse(&format!("http://10.0.0.9,b:99/{TOKEN}#{SECRET}")).expect("a URL");
        let Way::Service { hosts } = &url.way else { panic!("{url:?}") };
        assert_eq!(hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.9:2379", "b:99"]);
        assert_eq!((url.token.as_str(), url.secret[0], url.is_open), (TOKEN, 0xff, false));
        assert_eq!(url.member_hosts()[1].to_string(), "https://b:2380");
        let open = JoinUrl::parse(&format!("http://10.0.0.9/{TOKEN}")).expect("etcd's form");
        assert_eq!((open.secret[1], open.is_open), (0x23, true));
    }

    #[test]
    fn members_of_a_cluster() {
        let text = format!("https://10.0.0.1,[fe80::1]:99/join/89ab0123cdef4567#{SECRET}.{}", pin());
        let url = JoinUrl::parse(&text).expect("a URL");
        let Way::Members { hosts, pin } = &url.way else { panic!("{url:?}") };
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["https://10.0.0.1:2380", "https://[fe80::1]:99"]);
        assert_eq!((url.token.as_str(), pin.len()), ("89ab0123cdef4567", 32));
        let near = format!("mdns:///join/89ab0123cdef4567#{SECRET}.{}", self::pin());
        assert!(matches!(JoinUrl::parse(&near).expect("a URL").way, Way::Neighbours { .. }));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let url = JoinUrl::parse(&format!("http://h/{TOKEN}#{SECRET}")).expect("a URL");
        assert!(!format!("{url:?}").contains("255"), "{url:?}");
    }

    #[test]
    fn what_is_no_such_url() {
        let bad = [
            "".to_owned(),
            "10.0.0.1".into(),
            "ftp://h/x".into(),
            format!("http:///{TOKEN}"),
            "http://h".into(),
            "http://h/short".into(),
            format!("http://h/{TOKEN}#short"),
            format!("http://h/{TOKEN}#{SECRET}0"),
            format!("https://h/{TOKEN}#{SECRET}.{}", pin()),
            format!("https://h/join/89ab0123cdef4567#{SECRET}"),
            format!("https://h/join/89ab0123cdef4567#{SECRET}.ab"),
            format!("mdns://h/join/89ab0123cdef4567#{SECRET}.{}", pin()),
            format!("http://{}/{TOKEN}#{SECRET}", ["h"; 17].join(",")),
            format!("http://h,,g/{TOKEN}#{SECRET}"),
            format!("http://h/{TOKEN}#{}", "\u{fc}".repeat(16)),
        ];
        for bad in bad {
            let error = JoinUrl::parse(&bad).expect_err(&bad);
            assert!(!error.contains(SECRET), "{error}");
        }
    }
}
