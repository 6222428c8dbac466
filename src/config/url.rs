//! URLs as etcd takes them: `http://host:port`, nothing behind it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Url {
    pub(super) is_tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Url {
    /// A client's: etcd's rules and words for them.
    pub(super) fn parse(text: &str) -> Result<Url, String> {
        match Url::parse_peer(text)? {
            url if url.is_tls => {
                Err(format!("TLS for clients is not in this version of Solder: use http: {text}"))
            }
            url => Ok(url),
        }
    }

    /// A peer's, which may be https too.
    pub(super) fn parse_peer(text: &str) -> Result<Url, String> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(("unix" | "unixs", _)) => {
                return Err(format!("unix sockets are not in this version of Solder: {text}"));
            }
            _ => return Err(format!("URL scheme must be http or https: {text}")),
        };
        if let Some((_, path)) = rest.split_once(['/', '?', '#'])
            && !(path.is_empty() && rest.ends_with('/'))
        {
            return Err(format!("URL must not contain a path: {text}"));
        }
        let form = || format!("URL address does not have the form \"host:port\": {text}");
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => host,
            None if is_host(host) => host,
            _ => return Err(form()),
        };
        let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = port.and_then(|port| port.parse().ok()).ok_or_else(form)?;
        Ok(Url { is_tls, host: host.into(), port })
    }

    /// Where to listen. Names are not looked up, as in etcd; `localhost` is the only one that always means the same.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        let ip = match self.host.as_str() {
            "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            host => host.parse(),
        };
        let ip = ip.map_err(|_| format!("expected IP in URL for binding ({self})"))?;
        Ok(SocketAddr::new(ip, self.port))
    }

    /// Is it an address that can be listened on, but not called?
    pub(super) fn is_everywhere(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_url() {
        for (text, expected) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("http://localhost:0/", "http://localhost:0"),
            ("http://[::1]:2379", "http://[::1]:2379"),
            ("http://board-1.local:80", "http://board-1.local:80"),
            ("http://:2379", "http://:2379"),
            ("foo", "URL scheme must be http or https: foo"),
            ("https://a:1", "TLS for clients is not in this version of Solder: use http: https://a:1"),
            ("unix:///run/x", "unix sockets are not in this version of Solder: unix:///run/x"),
            ("http://127.0.0.1", "URL address does not have the form \"host:port\": http://127.0.0.1"),
            ("http://a:+1", "URL address does not have the form \"host:port\": http://a:+1"),
            ("http://a:65536", "URL address does not have the form \"host:port\": http://a:65536"),
            ("http://[a]:1", "URL address does not have the form \"host:port\": http://[a]:1"),
            ("http://::1:1", "URL address does not have the form \"host:port\": http://::1:1"),
            ("http://u@h:1", "URL address does not have the form \"host:port\": http://u@h:1"),
            ("http://a:1/x", "URL must not contain a path: http://a:1/x"),
            ("http://a:1?x", "URL must not contain a path: http://a:1?x"),
        ] {
            assert_eq!(
                Url::parse(text).map_or_else(|error| error, |url| url.to_string()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn where_to_listen() {
        for (text, expected) in [
            ("http://localhost:1", "127.0.0.1:1"),
            ("http://:1", "0.0.0.0:1"),
            ("http://[::]:1", "[::]:1"),
            ("http://example.com:1", "expected IP in URL for binding (http://example.com:1)"),
        ] {
            let address = Url::parse(text).expect("a URL").address();
            assert_eq!(address.map_or_else(|error| error, |address| address.to_string()), expected);
        }
    }
}
