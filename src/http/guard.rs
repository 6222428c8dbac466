//! Who may ask: keeps web pages of strangers away from a board. Pure.
//!
//! A browser runs any page's code inside the owner's network. Two things give such a page away:
//! - `Host`: a page that has pointed its own name at 127.0.0.1 (DNS rebinding, as in CVE-2018-5702) still calls the board
//!   by that name. Plain addresses and `localhost` cannot be pointed elsewhere.
//! - `Origin`: a page that calls the board by its right name still says where it comes from itself.
//!
//! Programs that are no browsers send no `Origin`, and are not concerned.

use std::net::{IpAddr, Ipv6Addr};

/// See the module.
pub struct Guard {
    hosts: Allowed,
    origins: Allowed,
}

/// What a list of settings allows.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Any,
    These(Vec<String>),
}

/// What a request is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Host(String),
    Origin(String),
}

impl Allowed {
    fn of(list: &[String]) -> Allowed {
        match list.iter().any(|one| one == "*") {
            true => Allowed::Any,
            false => Allowed::These(list.iter().map(|one| one.trim_end_matches('/').to_string()).collect()),
        }
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::These(list) => list.iter().any(|one| one.eq_ignore_ascii_case(name)),
        }
    }

    fn is_unset(&self) -> bool {
        *self == Allowed::These(Vec::new())
    }
}

impl Guard {
    /// From the settings, see [`Options`](super::Options).
    pub fn new(host_whitelist: &[String], cors: &[String]) -> Guard {
        Guard { hosts: Allowed::of(host_whitelist), origins: Allowed::of(cors) }
    }

    /// `is_loopback`: the request came to an address that only this board itself can reach.
    pub fn check(
        &self,
        is_loopback: bool,
        host: Option<&[u8]>,
        origin: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        // Only old clients send no Host, and no browser is among them.
        if let Some(host) = host {
            let name = without_port(host);
            let must_be_known = is_loopback || !self.hosts.is_unset();
            if must_be_known && !is_fixed(&name) && !self.hosts.holds(&name) {
                return Err(Refusal::Host(name));
            }
        }
        match origin {
            Some(origin) if !is_own(origin, host) => self.check_origin(origin),
            _ => Ok(()),
        }
    }

    fn check_origin(&self, origin: &[u8]) -> Result<(), Refusal> {
        let origin = String::from_utf8_lossy(origin).into_owned();
        if self.origins.holds(&origin) { Ok(()) } else { Err(Refusal::Origin(origin)) }
    }
}

impl Refusal {
    pub fn status(&self) -> u16 {
        403
    }

    pub fn text(&self) -> String {
        match self {
            Refusal::Host(name) => {
                format!(
                    "this board does not answer to the name \"{name}\": if it is its own, name it in --host-whitelist"
                )
            }
            Refusal::Origin(origin) => {
                format!("web pages of \"{origin}\" may not use this board: if they should, name it in --cors")
            }
        }
    }
}

/// `board:2379` and `[::1]:2379` without the port.
fn without_port(host: &[u8]) -> String {
    let host = String::from_utf8_lossy(host);
    let end = match host.rfind(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].to_string()
}

/// No name server decides where it leads.
fn is_fixed(name: &str) -> bool {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            name.trim_end_matches('.').eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
        }
    }
}

/// The page was served by this server itself.
fn is_own(origin: &[u8], host: Option<&[u8]>) -> bool {
    let without_default = |host: &[u8]| host.strip_suffix(b":80").unwrap_or(host).to_ascii_lowercase();
    match (strip_http(origin), host) {
        (Some(origin), Some(host)) => without_default(origin) == without_default(host),
        _ => false,
    }
}

fn strip_http(origin: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = origin.split_at_checked(b"http://".len())?;
    scheme.eq_ignore_ascii_case(b"http://").then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str], origins: &[&str]) -> Guard {
        let strings = |list: &[&str]| list.iter().map(|one| one.to_string()).collect::<Vec<_>>();
        Guard::new(&strings(hosts), &strings(origins))
    }

    fn hosts(guard: &Guard, is_loopback: bool, names: &[&str]) -> Vec<bool> {
        let check = |name: &&str| guard.check(is_loopback, Some(name.as_bytes()), None).is_ok();
        names.iter().map(check).collect()
    }

    const FIXED: [&str; 9] = [
        "localhost",
        "LocalHost:2379",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:2379",
        "192.168.1.7:2379",
        "[::1]",
        "[::1]:2379",
        "[fe80::1]:2379",
    ];

    const NAMES: [&str; 12] = [
        "evil.example",
        "evil.example:2379",
        "localhost.evil.example",
        "localhosts",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "[evil.example]:2379",
        "::1",
        "",
        ":2379",
    ];

    #[test]
    fn by_default_loopback_answers_to_what_cannot_be_pointed_elsewhere() {
        let guard = guard(&[], &[]);
        assert_eq!(hosts(&guard, true, &FIXED), [true; 9]);
        assert_eq!(hosts(&guard, true, &NAMES), [false; 12]);
        assert_eq!(hosts(&guard, false, &NAMES), [true; 12]);
        assert_eq!(guard.check(true, None, None), Ok(()), "an old client");
    }

    #[test]
    fn a_whitelist_counts_everywhere() {
        let guard = guard(&["board", "Board.Local"], &[]);
        for is_loopback in [true, false] {
            assert_eq!(hosts(&guard, is_loopback, &FIXED), [true; 9]);
            assert_eq!(hosts(&guard, is_loopback, &NAMES), [false; 12]);
            assert_eq!(hosts(&guard, is_loopback, &["board:2379", "BOARD", "board.local"]), [true; 3]);
            assert_eq!(hosts(&guard, is_loopback, &["board.evil", "aboard", "local"]), [false; 3]);
        }
        let any = super::tests::guard(&["board", "*"], &[]);
        assert_eq!(hosts(&any, true, &NAMES), [true; 12]);
    }

    #[test]
    fn pages_may_come_from_the_server_itself_and_from_those_named() {
        let listed = guard(&[], &["http://friend:8080", "https://App.example/"]);
        let table: [(&str, &str, bool); 17] = [
            ("board:2379", "http://board:2379", true),
            ("Board:2379", "HTTP://bOARD:2379", true),
            ("board", "http://board:80", true),
            ("board:80", "http://board", true),
            ("[::1]:2379", "http://[::1]:2379", true),
            ("board:2379", "http://friend:8080", true),
            ("board:2379", "https://app.example", true),
            ("board:2379", "https://board:2379", false),
            ("board:2379", "http://board:2380", false),
            ("board:2379", "http://board", false),
            ("board:2379", "http://board:2379.evil.example", false),
            ("board:2379", "http://evil.example", false),
            ("board:2379", "http://friend", false),
            ("board:2379", "http://friend:8080.evil.example", false),
            ("board:2379", "null", false),
            ("board:2379", "", false),
            ("board:2379", "\u{fffd}", false),
        ];
        for (host, origin, may) in table {
            let checked = listed.check(false, Some(host.as_bytes()), Some(origin.as_bytes()));
            assert_eq!(checked.is_ok(), may, "{origin} at {host}");
        }
        let none = |origin: &str| guard(&[], &[]).check(false, None, Some(origin.as_bytes()));
        assert_eq!(none("http://board"), Err(Refusal::Origin("http://board".into())));
        let any = guard(&[], &["*"]);
        assert_eq!(any.check(true, Some(b"localhost"), Some(b"null")), Ok(()));
        assert_eq!(
            any.check(true, Some(b"evil"), Some(b"http://evil")),
            Err(Refusal::Host("evil".into())),
            "whoever may come must call the board by its name"
        );
    }
}
