//! What stands behind the question mark.

use super::errors::Refusal;
use crate::http::decode_query;

#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Is it there, and not switched off by `=false`?
    pub(super) fn flag(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| value != "false")
    }
}

/// What cannot be decoded is not there.
pub(super) fn lenient(query: Option<&str>) -> Query {
    Query(query.and_then(|query| decode_query(query).ok()).unwrap_or_default())
}

/// Errors: what cannot be decoded, or is not one of `known`: a `?tll=10s` that is ignored keeps a value for ever.
pub(super) fn strict(query: Option<&str>, known: &[&str]) -> Result<Query, Refusal> {
    let pairs = decode_query(query.unwrap_or_default()).map_err(|_| Refusal::ESCAPE)?;
    match pairs.iter().find(|(key, _)| !known.contains(&&**key)) {
        Some((key, _)) => Err(Refusal::parameter(key, known)),
        None => Ok(Query(pairs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query = lenient(Some("exclude=A&verbose&exclude=B&x=%zz"));
        assert!(query.first("exclude").is_none());
        let query = lenient(Some("exclude=A&verbose&exclude=B+C&f=false"));
        assert_eq!(query.all("exclude").collect::<Vec<_>>(), ["A", "B C"]);
        assert_eq!((query.first("verbose"), query.first("none")), (Some(""), None));
        assert_eq!((query.flag("verbose"), query.flag("f"), query.flag("none")), (true, false, false));
        assert!(strict(None, &[]).is_ok());
        assert!(strict(Some("prefix"), &["prefix"]).is_ok());
        let refusal = strict(Some("tll=1"), &["prefix", "ttl"]).unwrap_err();
        assert_eq!(refusal.message, "unknown parameter \"tll\": there are prefix, ttl");
    }
}
