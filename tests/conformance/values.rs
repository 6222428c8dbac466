//! What stands for what in a case: its key prefix, revisions, lease ids, what was captured.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::client::{b64, prefix_end};

/// The variables of one case.
pub(crate) struct Values {
    prefix: String,
    /// The store's at the start of the case.
    revision: i64,
    leases: BTreeMap<u32, i64>,
    lease_base: i64,
    captured: BTreeMap<String, Value>,
}

impl Values {
    pub(crate) fn new(rng: &mut fastrand::Rng, revision: i64) -> Values {
        Values {
            prefix: format!("q{:07x}/", rng.u32(..1 << 28)),
            revision,
            leases: BTreeMap::new(),
            lease_base: rng.i64(1 << 60..(1 << 61) - 1000),
            captured: BTreeMap::new(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn capture(&mut self, name: &str, value: Value) {
        self.captured.insert(name.to_owned(), value);
    }

    /// All leases that the case may have made.
    pub(crate) fn leases(&self) -> Vec<String> {
        let captured = self.captured.iter().filter(|(name, _)| name.starts_with("lease"));
        let captured = captured.filter_map(|(_, value)| value.as_str().map(str::to_owned));
        self.leases.values().map(i64::to_string).chain(captured).collect()
    }

    /// JSON as a case has it -> JSON as it is meant.
    pub(crate) fn resolve(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => list.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(object) => match self.bytes(object) {
                Some(bytes) => Value::String(b64(&bytes)),
                None => {
                    let fields = object.iter().map(|(name, value)| (name.clone(), self.resolve(value)));
                    Value::Object(fields.collect::<Map<_, _>>())
                }
            },
            other => other.clone(),
        }
    }

    /// Of an object that stands for bytes.
    fn bytes(&mut self, object: &Map<String, Value>) -> Option<Vec<u8>> {
        let mut fields = object.iter();
        let (Some((name, value)), None) = (fields.next(), fields.next()) else { return None };
        match name.as_str() {
            "$b64" => Some(self.text(value.as_str().expect("a text")).into_bytes()),
            "$hex" => Some(unhex(value.as_str().expect("a text"))),
            "$pend" => Some(prefix_end(self.text(value.as_str().expect("a text")).as_bytes())),
            "$rep" => {
                let times = value[1].as_u64().expect("how often") as usize;
                Some(self.text(value[0].as_str().expect("a text")).repeat(times).into_bytes())
            }
            _ => None,
        }
    }

    /// With all `{{..}}` replaced but those that match many things.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((token, after)) = behind.split_once("}}") else {
                out.push_str("{{");
                rest = behind;
                continue;
            };
            match self.token(token) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("{{{{{token}}}}}")),
            }
            rest = after;
        }
        out + rest
    }

    fn token(&mut self, token: &str) -> Option<String> {
        if token == "p" {
            return Some(self.prefix.clone());
        }
        if let Some(plus) = token.strip_prefix("rev") {
            let plus: i64 = if plus.is_empty() { 0 } else { plus.parse().ok()? };
            return Some((self.revision + plus).to_string());
        }
        if let Some(number) = token.strip_prefix('L') {
            let (number, hex) = strip_hex(number);
            let lease = self.lease(number.parse().ok()?);
            return Some(if hex { format!("{lease:x}") } else { lease.to_string() });
        }
        let (name, hex) = strip_hex(token.strip_prefix("v:")?);
        let text = match self.captured.get(name) {
            None => return Some(format!("unset-{name}")),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        match hex {
            true => Some(text.parse::<u64>().map_or(text, |number| format!("{number:x}"))),
            false => Some(text),
        }
    }

    /// By chance, but L1 < L2 < L3.
    fn lease(&mut self, number: u32) -> i64 {
        *self.leases.entry(number).or_insert(self.lease_base + i64::from(number))
    }
}

fn strip_hex(token: &str) -> (&str, bool) {
    match token.strip_suffix(":x") {
        Some(rest) => (rest, true),
        None => (token, false),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
