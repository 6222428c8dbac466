//! Which differences between two JSON values count.
//!
//! Key order does not, and a field that is absent equals one with its proto3 default: 0, "0", "", false, [], null, the
//! first name of an enum. Everything else does, the type too: a 64-bit number is a string.

use std::fmt;

use serde_json::Value;

/// First names of enums that are written out now and then.
const ENUM_ZEROS: [&str; 3] = ["PUT", "READ", "NONE"];

/// Where one is in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Field(String),
    Item(usize),
}

/// `kvs[0].lease`, `[*].msg.result`: `*` stands for any name or number.
#[derive(Debug)]
struct Pattern(Vec<Option<Part>>);

pub(crate) struct Compare {
    ignored: Vec<Pattern>,
    approximate: Vec<(Pattern, i128)>,
    path: Vec<Part>,
    pub(crate) differences: Vec<String>,
}

impl Compare {
    /// With a step's `ignore` and `approx`.
    pub(crate) fn new(step: &Value) -> Compare {
        let ignored = step["ignore"].as_array().into_iter().flatten();
        let approximate = step["approx"].as_object().into_iter().flatten();
        Compare {
            ignored: ignored.map(|path| Pattern::parse(path.as_str().expect("a path"))).collect(),
            approximate: approximate
                .map(|(path, by)| (Pattern::parse(path), by.as_i64().expect("a distance").into()))
                .collect(),
            path: Vec::new(),
            differences: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, want: &Value, got: &Value) {
        if self.ignored.iter().any(|pattern| pattern.fits(&self.path)) {
            return;
        }
        if let Some((_, by)) = self.approximate.iter().find(|(pattern, _)| pattern.fits(&self.path)) {
            let near = |want: i128, got: i128| (want - got).abs() <= *by;
            if !integer(want).zip(integer(got)).is_some_and(|(want, got)| near(want, got)) {
                let want = format!("{want} +-{by}");
                self.differ(&want, got);
            }
            return;
        }
        if let Some(fits) = matches_many(want, got) {
            if !fits {
                self.differ(want, got);
            }
            return;
        }
        if let Some((name, list)) = special(want) {
            return self.any_order(name == "$unordered", list, got);
        }
        match (want, got) {
            (Value::Object(want), Value::Object(got)) => {
                for (name, value) in want {
                    let other = got.get(name);
                    if other.is_none() && is_default(value) {
                        continue;
                    }
                    self.inside(Part::Field(name.clone()), value, other.unwrap_or(&Value::Null));
                }
                let more = got.iter().filter(|(name, _)| !want.contains_key(*name));
                for (name, value) in more.filter(|(_, value)| !is_default(value)) {
                    self.inside(Part::Field(name.clone()), &Value::Null, value);
                }
            }
            (Value::Array(want), Value::Array(got)) => {
                if want.len() != got.len() {
                    self.differ(&format!("{} items", want.len()), &Value::Array(got.clone()));
                }
                for (place, (want, got)) in want.iter().zip(got).enumerate() {
                    self.inside(Part::Item(place), want, got);
                }
            }
            _ if want == got => (),
            _ => self.differ(want, got),
        }
    }

    fn inside(&mut self, part: Part, want: &Value, got: &Value) {
        self.path.push(part);
        self.run(want, got);
        self.path.pop();
    }

    fn any_order(&mut self, nothing_more: bool, want: &[Value], got: &Value) {
        let mut left: Vec<&Value> = match got {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        };
        for item in want {
            let equal = |other: &&Value| {
                let mut compare = Compare::new(&Value::Null);
                compare.run(item, other);
                compare.differences.is_empty()
            };
            match left.iter().position(equal) {
                Some(place) => drop(left.remove(place)),
                None => self.differ(item, got),
            }
        }
        if nothing_more && !left.is_empty() {
            self.differ(&"nothing more", got);
        }
    }

    fn differ(&mut self, want: &impl ToString, got: &Value) {
        let path: String = self.path.iter().map(Part::to_string).collect();
        let path = if path.is_empty() { "(body)" } else { path.trim_start_matches('.') };
        let difference =
            format!("{path}: expected {}, got {}", short(&want.to_string()), short(&got.to_string()));
        self.differences.push(difference);
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Field(name) => write!(f, ".{name}"),
            Part::Item(place) => write!(f, "[{place}]"),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Pattern {
        let mut parts = Vec::new();
        for piece in text.split('.') {
            let (name, mut rest) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
            match name {
                "" => (),
                "*" => parts.push(None),
                name => parts.push(Some(Part::Field(name.to_owned()))),
            }
            while let Some((place, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                parts.push((place != "*").then(|| Part::Item(place.parse().expect("a number"))));
                rest = behind;
            }
        }
        Pattern(parts)
    }

    fn fits(&self, path: &[Part]) -> bool {
        let fits = |(pattern, part): (&Option<Part>, &Part)| pattern.as_ref().is_none_or(|want| want == part);
        self.0.len() == path.len() && self.0.iter().zip(path).all(fits)
    }
}

/// What stands at a path such as `kvs[0].lease`; null if there is no such place.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let parts = Pattern::parse(path).0;
    parts.iter().fold(value, |value, part| match part {
        Some(Part::Field(name)) => &value[name.as_str()],
        Some(Part::Item(place)) => &value[*place],
        None => panic!("{path} is more than one place"),
    })
}

/// `{{u64}}` and the like; `None`: it is a value.
fn matches_many(want: &Value, got: &Value) -> Option<bool> {
    match want.as_str() {
        Some("{{u64}}") => Some(got.as_str().is_some_and(is_decimal)),
        Some("{{any}}") => Some(!got.is_null()),
        Some("{{text}}") => Some(got.as_str().is_some_and(|text| !text.is_empty())),
        Some("{{u32}}") => Some(got.as_u64().is_some_and(|number| u32::try_from(number).is_ok())),
        Some("{{opt}}") => Some(true),
        _ => None,
    }
}

/// A list that need not be in this order.
fn special(want: &Value) -> Option<(&str, &[Value])> {
    let object = want.as_object().filter(|object| object.len() == 1)?;
    let (name, list) = object.iter().next()?;
    assert!(matches!(name.as_str(), "$contains" | "$unordered") || !name.starts_with('$'), "{name} is new");
    name.starts_with('$').then_some((name.as_str(), list.as_array()?))
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || ENUM_ZEROS.contains(&text.as_str()),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => false,
    }
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Null => Some(0),
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64().map(Into::into),
        _ => None,
    }
}

/// Of an error only code and message count.
pub(crate) fn strip_error(body: &Value) -> Value {
    match (body.get("code"), body.get("message")) {
        (Some(code), Some(message)) => {
            let message = message.as_str().map(|text| text.replace('\u{a0}', " "));
            serde_json::json!({"code": code, "message": message})
        }
        _ => body.clone(),
    }
}

pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...({})", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(want: Value, got: Value) -> usize {
        let mut compare = Compare::new(&json!({"ignore": ["a[*].x", "*.y"], "approx": {"ttl": 2}}));
        compare.run(&want, &got);
        compare.differences.len()
    }

    #[test]
    fn defaults_may_be_absent_and_nothing_else() {
        assert_eq!(differences(json!({"a": 0, "b": "0", "c": "PUT", "d": []}), json!({"e": false})), 0);
        assert_eq!(differences(json!({"a": "1"}), json!({})), 1);
        assert_eq!(differences(json!({}), json!({"a": {}})), 1);
        assert_eq!(differences(json!({"a": "1"}), json!({"a": 1})), 1, "a number for a string");
        assert_eq!(differences(json!({"a": 1}), json!({"a": 1.0})), 1);
    }

    #[test]
    fn what_is_not_compared() {
        assert_eq!(
            differences(json!({"a": [{"x": 1}], "b": {"y": 2}}), json!({"a": [{}], "b": {"y": 3}})),
            0
        );
        assert_eq!(differences(json!({"ttl": "5"}), json!({"ttl": "7"})), 0);
        assert_eq!(differences(json!({"ttl": "5"}), json!({"ttl": "8"})), 1);
        assert_eq!(differences(json!({"a": "{{u64}}", "b": "{{opt}}"}), json!({"a": "12"})), 0);
        assert_eq!(differences(json!({"a": "{{u64}}"}), json!({"a": 12})), 1);
        assert_eq!(differences(json!({"a": "{{any}}"}), json!({})), 1);
    }

    #[test]
    fn lists() {
        assert_eq!(differences(json!([1, 2]), json!([1, 2])), 0);
        assert_eq!(differences(json!([1, 2]), json!([2, 1])), 2);
        assert_eq!(differences(json!([1]), json!([1, 2])), 1);
        assert_eq!(differences(json!({"$unordered": [1, 2]}), json!([2, 1])), 0);
        assert_eq!(differences(json!({"$unordered": [1]}), json!([2, 1])), 1);
        assert_eq!(differences(json!({"$contains": [1]}), json!([2, 1])), 0);
        assert_eq!(differences(json!({"$contains": [3]}), json!([2, 1])), 1);
    }
}
