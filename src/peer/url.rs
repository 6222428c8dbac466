//! Where a peer is to be found.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// `https://host:port`, or `http://host:port` for plain TCP. A host is a name, an address, or an IPv6 address in brackets;
/// names are resolved again at each attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerUrl {
    pub is_tls: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl PeerUrl {
    /// Errors: one line that says what is wrong and what is right.
    pub fn parse(url: &str) -> Result<PeerUrl, String> {
        let malformed =
            || format!("{url:?} is no peer URL: give it as https://HOST:PORT or http://HOST:PORT");
        let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
        let is_tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(malformed()),
        };
        let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':').ok_or_else(malformed)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(malformed)?,
            None if host.contains(':') => return Err(malformed()),
            None => host,
        };
        let is_good = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or_else(malformed)?;
        if host.is_empty() || !host.chars().all(is_good) {
            return Err(malformed());
        }
        Ok(PeerUrl { is_tls, host: host.to_owned(), port })
    }

    /// By TLS, at an address.
    pub fn at(place: SocketAddr) -> PeerUrl {
        PeerUrl { is_tls: true, host: place.ip().to_string(), port: place.port() }
    }

    /// Nobody but this board hears what is said there.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_out_as_they_went_in() {
        for url in [
            "https://board-1.local:2380",
            "http://127.0.0.1:2380",
            "https://[fe80::1%eth0]:1",
            "http://[::1]:65535",
        ] {
            assert_eq!(PeerUrl::parse(url).map(|url| url.to_string()), Ok(url.to_owned()));
        }
        assert_eq!(PeerUrl::parse("http://a:1/").map(|url| url.to_string()), Ok("http://a:1".to_owned()));
    }

    #[test]
    fn what_is_no_url() {
        for url in [
            "",
            "a:1",
            "ftp://a:1",
            "https://a",
            "https://:1",
            "https://a:",
            "https://a:+1",
            "https://a:65536",
            "https://a:1/b",
            "https://::1:1",
            "https://[::1:1",
            "https://a b:1",
            "https://u@a:1",
            "unix://a:1",
        ] {
            assert!(PeerUrl::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn loopback() {
        let is_loopback = |url| PeerUrl::parse(url).expect("well-formed").is_loopback();
        assert!(
            ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1", "http://[::ffff:127.0.0.1]:1"]
                .into_iter()
                .all(is_loopback)
        );
        assert!(
            !["http://10.0.0.1:1", "http://localhost.example:1", "http://[::]:1"]
                .into_iter()
                .any(is_loopback)
        );
    }
}
