//! Texts become values, each noted with where it stands, for the report.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use super::{
    ConfigError,
    duration::{parse_duration, write_duration},
    url::Url,
    written::{Source, Value, Written},
};

/// By key: the value as TOML, and where it comes from.
pub(super) type Report = BTreeMap<&'static str, (toml::Value, String)>;

pub(super) struct Reading<'a> {
    pub(super) written: &'a Written,
    pub(super) report: Report,
}

impl Reading<'_> {
    pub(super) fn source(&self, key: &str) -> Source {
        self.written.value(key).source
    }

    /// Does it stand somewhere, and not for a kind of board but for this member?
    pub(super) fn is_given(&self, key: &str) -> bool {
        !matches!(self.source(key), Source::Default | Source::Profile { .. })
    }

    pub(super) fn error(&self, key: &str, what: impl std::fmt::Display) -> ConfigError {
        ConfigError(format!("{}: {what}", self.source(key).place(key)))
    }

    /// What was found out instead of read, and how.
    pub(super) fn derive(
        &mut self,
        key: &'static str,
        value: impl Into<toml::Value>,
        how: impl Into<String>,
    ) {
        self.report.insert(key, (value.into(), how.into()));
    }

    fn note(&mut self, key: &'static str, value: impl Into<toml::Value>) {
        let source = self.source(key).to_string();
        self.derive(key, value, source);
    }

    pub(super) fn text(&mut self, key: &'static str) -> String {
        let text = self.written.value(key).text;
        self.note(key, text.clone());
        text
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(key);
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(key, format!("{text:?} is none of {}", words.join(", ")))
        })
    }

    /// As Go reads booleans.
    pub(super) fn switch(&mut self, key: &'static str) -> Result<bool, ConfigError> {
        let Value { text, .. } = self.written.value(key);
        let on = parse_bool(&text)
            .ok_or_else(|| self.error(key, format!("{text:?} is neither true nor false")))?;
        self.note(key, on);
        Ok(on)
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        let Value { text, .. } = self.written.value(key);
        let number =
            text.parse::<i64>().map_err(|_| self.error(key, format!("{text:?} is not a whole number")))?;
        self.within(key, number, range)
    }

    /// A number of bytes; `KiB`, `MiB` and `GiB` are understood.
    pub(super) fn bytes(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        let Value { text, .. } = self.written.value(key);
        let number = parse_bytes(&text)
            .ok_or_else(|| self.error(key, format!("{text:?} is not a number of bytes")))?;
        self.within(key, number, range)
    }

    fn within(
        &mut self,
        key: &'static str,
        number: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        if !range.contains(&number) {
            let (least, most) = range.into_inner();
            return Err(match (number < least, most) {
                (true, _) => self.error(key, format!("{number} is too small, the least is {least}")),
                (false, _) => self.error(key, format!("{number} is too large, the most is {most}")),
            });
        }
        self.note(key, number);
        Ok(number)
    }

    pub(super) fn duration(&mut self, key: &'static str, least: Duration) -> Result<Duration, ConfigError> {
        let Value { text, .. } = self.written.value(key);
        let duration = parse_duration(&text)
            .ok_or_else(|| self.error(key, format!("{text:?} is not a duration like 1h30m or 100ms")))?;
        if duration < least {
            let (duration, least) = (write_duration(duration), write_duration(least));
            return Err(self.error(key, format!("{duration} is too short, the least is {least}")));
        }
        self.note(key, write_duration(duration));
        Ok(duration)
    }

    /// Separated by commas; empty ones do not count.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<String> {
        let Value { text, .. } = self.written.value(key);
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_string);
        let items: Vec<String> = items.collect();
        self.note(key, items.clone());
        items
    }

    /// Of clients.
    pub(super) fn urls(&mut self, key: &'static str) -> Result<Vec<Url>, ConfigError> {
        self.urls_by(key, Url::parse)
    }

    pub(super) fn peer_urls(&mut self, key: &'static str) -> Result<Vec<Url>, ConfigError> {
        self.urls_by(key, Url::parse_peer)
    }

    fn urls_by(
        &mut self,
        key: &'static str,
        parse: fn(&str) -> Result<Url, String>,
    ) -> Result<Vec<Url>, ConfigError> {
        let mut urls = Vec::new();
        for text in self.list(key) {
            let url = parse(&text).map_err(|error| self.error(key, error))?;
            match urls.contains(&url) {
                true => return Err(self.error(key, format!("{url} is named twice"))),
                false => urls.push(url),
            }
        }
        self.note(key, urls.iter().map(Url::to_string).collect::<Vec<_>>());
        Ok(urls)
    }
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn parse_bytes(text: &str) -> Option<i64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)));
    let (number, shift) = found.unwrap_or((text, 0));
    number.parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("4096", Some(4096)),
            ("512 MiB", Some(512 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1KiB", Some(1024)),
            ("9GB", None),
            ("MiB", None),
            ("9999999999GiB", None),
            ("", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
    }
}
