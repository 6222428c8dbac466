//! What etcdctl says of peer URLs before anybody is asked: etcd's `types.NewURLs`, and what of Go's `url.Parse` people run
//! into.

use super::go;

/// Errors: etcdctl's words. A unix socket is a good URL to it; the server says that it is none.
pub(super) fn check(given: &str) -> Result<(), String> {
    let url = given.trim();
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        Some(("", _)) => return Err(not_parsed(url, "missing protocol scheme")),
        Some((before, _)) if !before.contains('/') => {
            return Err(not_parsed(url, "first path segment in URL cannot contain colon"));
        }
        _ => (String::new(), url),
    };
    match &*scheme {
        "http" | "https" => check_place(url, rest.strip_prefix("//").unwrap_or_default()),
        "unix" | "unixs" => Ok(()),
        _ => Err(format!("URL scheme must be http, https, unix, or unixs: {url}")),
    }
}

fn not_parsed(url: &str, what: &str) -> String {
    format!("parse {}: {what}", go::quote(url.as_bytes()))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

/// `place` is what stands behind the two slashes.
fn check_place(url: &str, place: &str) -> Result<(), String> {
    let (authority, path) = place.split_at(place.find(['/', '?', '#']).unwrap_or(place.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(' ') {
        return Err(not_parsed(url, "invalid character \" \" in host name"));
    }
    let port = match host.strip_prefix('[') {
        Some(inner) => {
            let (_, port) = inner.split_once(']').ok_or_else(|| not_parsed(url, "missing ']' in host"))?;
            port.strip_prefix(':')
        }
        None => host.split_once(':').map(|(_, port)| port).filter(|port| !port.contains(':')),
    };
    match port {
        None => Err(format!("URL address does not have the form \"host:port\": {url}")),
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = go::quote(format!(":{port}").as_bytes());
            Err(not_parsed(url, &format!("invalid port {port} after host")))
        }
        Some(_) if path.starts_with('/') => Err(format!("URL must not contain a path: {url}")),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    /// As etcdctl 3.5.30 said.
    #[test]
    fn what_etcdctl_says_of_urls() {
        for good in ["http://a:", "http://[::1]:1", "HTTP://a:1", "http://a:1?x", "http://u@a:1", "unix:/a"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (url, said) in [
            ("127.0.0.1:2380", "parse \"127.0.0.1:2380\": first path segment in URL cannot contain colon"),
            ("localhost:2380", "URL scheme must be http, https, unix, or unixs: localhost:2380"),
            ("http://a:x", "parse \"http://a:x\": invalid port \":x\" after host"),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
            ("http://[::1]", "URL address does not have the form \"host:port\": http://[::1]"),
            ("http://::1:1", "URL address does not have the form \"host:port\": http://::1:1"),
            ("http:a:1", "URL address does not have the form \"host:port\": http:a:1"),
            ("//a:1", "URL scheme must be http, https, unix, or unixs: //a:1"),
            (":1", "parse \":1\": missing protocol scheme"),
            ("a/b:c", "URL scheme must be http, https, unix, or unixs: a/b:c"),
            ("", "URL scheme must be http, https, unix, or unixs: "),
            (" http://a ", "URL address does not have the form \"host:port\": http://a"),
            ("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name"),
            ("ht tp://a:1", "parse \"ht tp://a:1\": first path segment in URL cannot contain colon"),
            ("http://", "URL address does not have the form \"host:port\": http://"),
        ] {
            assert_eq!(check(url), Err(said.to_owned()), "{url}");
        }
    }
}
