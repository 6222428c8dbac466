//! The text format of Prometheus, version 0.0.4, read strictly: what its own parser takes, and what its conventions ask for.

use std::collections::BTreeSet;

/// One metric: what was said of it, and its samples.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    samples: BTreeSet<String>,
    /// Of a histogram: the bucket before.
    bucket: Option<(f64, f64)>,
}

/// Panics at the first line that is not as it should be.
pub(crate) fn check(page: &str) {
    assert!(page.ends_with('\n'), "the last line has its end");
    let (mut seen, mut family, mut helped) = (BTreeSet::new(), Family::default(), "");
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect(line);
            assert!(is_name(name) && !text.is_empty(), "{line}");
            assert!(seen.insert(name), "{name} comes twice");
            helped = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            family.end();
            let (name, kind) = kind.split_once(' ').expect(line);
            assert_eq!(name, helped, "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family = Family { name, kind, ..Family::default() };
        } else {
            family.sample(line);
        }
    }
    family.end();
    assert!(seen.len() > 10, "{} metrics", seen.len());
}

impl Family<'_> {
    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite() || self.kind == "gauge", "{line}");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels_of(labels.strip_suffix('}').expect(line))),
            None => (series, Vec::new()),
        };
        assert!(self.samples.insert(series.to_owned()), "{series} comes twice");
        let suffix = name.strip_prefix(self.name).unwrap_or_else(|| panic!("{line} in {}", self.name));
        match (self.kind, suffix) {
            ("histogram", "_bucket") => self.bucket(&labels, value),
            ("histogram", "_count") => {
                assert_eq!(
                    self.bucket.map(|(_, count)| count),
                    Some(value),
                    "{line}: the infinite bucket has all"
                );
            }
            ("histogram", "_sum") | ("gauge" | "counter", "") => {}
            _ => panic!("{line} is no {}", self.kind),
        }
        assert!(self.kind == "gauge" || value >= 0.0, "{line}");
    }

    fn bucket(&mut self, labels: &[(&str, String)], count: f64) {
        let [("le", bound)] = labels else { panic!("{labels:?} of a bucket of {}", self.name) };
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect(bound) };
        let (below, fewer) = self.bucket.unwrap_or((f64::NEG_INFINITY, 0.0));
        assert!(bound > below && count >= fewer, "{}: {bound} {count}", self.name);
        self.bucket = Some((bound, count));
    }

    fn end(&self) {
        assert!(self.kind != "histogram" || self.bucket.is_some_and(|(bound, _)| bound == f64::INFINITY));
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// `a="b",c="d"`; each name once, in values only the escapes that there are.
fn labels_of(mut text: &str) -> Vec<(&str, String)> {
    let mut labels: Vec<(&str, String)> = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").expect(text);
        assert!(is_name(name) && labels.iter().all(|(other, _)| *other != name), "{text}");
        let (mut value, mut chars) = (String::new(), rest.chars());
        loop {
            match chars.next().expect("a value has an end") {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(escaped @ ('"' | '\\')) => value.push(escaped),
                    other => panic!("{other:?} is no escape"),
                },
                '\n' => panic!("a line end in a value"),
                other => value.push(other),
            }
        }
        labels.push((name, value));
        text = chars.as_str();
        if let Some(rest) = text.strip_prefix(',') {
            text = rest;
        } else {
            assert!(text.is_empty(), "{text} behind a label");
        }
    }
    labels
}
