//! Where a member listens: `host:port`, `http://host:port`, `http://[::1]:2379`.

use std::{fmt, net::SocketAddr, net::ToSocketAddrs as _, str::FromStr};

const PORT: u16 = 2379;

/// One address of the cluster, printed as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    given: String,
    host: String,
    port: u16,
}

impl Endpoint {
    /// A host's name or address, without brackets.
    pub fn name(&self) -> &str {
        &self.host
    }

    /// As a request's Host header names it.
    pub(super) fn host(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// A number is its own answer; a name is asked for on a helper thread.
    pub async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let (host, port) = (self.host.clone(), self.port);
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        smol::unblock(move || Ok((host, port).to_socket_addrs()?.collect())).await
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(given: &str) -> Result<Endpoint, String> {
        let given = given.trim();
        let (scheme, rest) = given.split_once("://").unwrap_or(("http", given));
        match scheme {
            "http" => {}
            "https" => {
                return Err(format!("{given}: https comes with TLS, which this version does not have yet"));
            }
            _ => {
                return Err(format!(
                    "{given}: unknown scheme {scheme:?}: an endpoint is host:port or http://host:port"
                ));
            }
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let wrong = || format!("{given:?} is not an endpoint: write host:port or http://host:port");
        let (host, port) = split(authority).ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Endpoint { given: given.into(), host: host.into(), port })
    }
}

/// Host and port of `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split(authority: &str) -> Option<(&str, u16)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Some((host, port.parse().ok()?)),
        None if rest.is_empty() => Some((host, PORT)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &str) -> String {
        match given.parse::<Endpoint>() {
            Ok(endpoint) => format!("{} as {endpoint}", endpoint.host()),
            Err(error) => error,
        }
    }

    #[test]
    fn forms_of_an_endpoint() {
        assert_eq!(parsed("127.0.0.1:23"), "127.0.0.1:23 as 127.0.0.1:23");
        assert_eq!(parsed("http://board-1.local:80/"), "board-1.local:80 as http://board-1.local:80/");
        assert_eq!(parsed("board"), "board:2379 as board");
        assert_eq!(parsed("http://[::1]:4000"), "[::1]:4000 as http://[::1]:4000");
        assert_eq!(parsed("[fe80::1%eth0]"), "[fe80::1%eth0]:2379 as [fe80::1%eth0]");
    }

    #[test]
    fn what_is_none() {
        for given in ["", "http://", "a:b", "a:70000", "a:1/v3", "::1", "a b", "a:1\r\nx", "[::1", "[::1]x"] {
            assert!(parsed(given).contains("is not an endpoint"), "{given:?}: {}", parsed(given));
        }
        assert!(parsed("https://a:1").contains("comes with TLS"));
        assert!(parsed("ftp://a:1").contains("unknown scheme"));
    }
}
