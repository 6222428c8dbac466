//! A file of settings: TOML, one key a setting, no tables.
//!
//! ```toml
//! # A board by the door.
//! name = "door"
//! listen-client-urls = ["http://127.0.0.1:2379", "http://10.0.0.7:2379"]
//! quota-backend-bytes = 268435456
//! ```

use toml::de::{DeTable, DeValue};

/// One line of a file, as text: what a flag of that name would be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) line: usize,
}

/// In the order of the file. The error is a sentence that begins with the line.
pub(super) fn entries(file: &str) -> Result<Vec<Entry>, String> {
    let line = |place: usize| 1 + file[..place.min(file.len())].bytes().filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(file).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        format!("line {}: {}", line(place), error.message().replace('\n', ", "))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line(key.span().start);
        let text =
            text(value.get_ref()).map_err(|error| format!("line {line}: {}: {error}", key.get_ref()))?;
        entries.push(Entry { key: key.get_ref().to_string(), text, line });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(on) => Ok(on.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("{number} is too large")),
        DeValue::Array(items) => {
            let items: Result<Vec<String>, String> =
                items.iter().map(|item| item_text(item.get_ref())).collect();
            Ok(items?.join(","))
        }
        other => Err(format!("a {} is no value here", other.type_str())),
    }
}

fn item_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if !text.contains(',') => Ok(text.to_string()),
        _ => Err("a list is of strings without commas".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: &str) -> String {
        match entries(file) {
            Ok(entries) => {
                let lines =
                    entries.iter().map(|entry| format!("{}:{}={}", entry.line, entry.key, entry.text));
                lines.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error,
        }
    }

    #[test]
    fn lines_and_what_is_wrong_with_them() {
        for (file, expected) in [
            ("", ""),
            ("# x\nb = true\na = 'x'\n", "2:b=true 3:a=x"),
            ("a = 0x10\nb = 4_096\nc = -1", "1:a=16 2:b=4096 3:c=-1"),
            ("a = ['x', \"y\"]", "1:a=x,y"),
            ("a = []", "1:a="),
            ("a = ['x,y']", "line 1: a: a list is of strings without commas"),
            ("a = [1]", "line 1: a: a list is of strings without commas"),
            ("\na = 1.5", "line 2: a: a float is no value here"),
            ("a = 99999999999999999999", "line 1: a: 99999999999999999999 is too large"),
            ("[a]\nb = 1", "line 1: a: a table is no value here"),
            ("a.b = 1", "line 1: a: a table is no value here"),
            ("a = 1\na = 2", "line 2: duplicate key"),
            ("\n\na", "line 3: key with no value, expected `=`"),
        ] {
            assert_eq!(told(file), expected, "{file:?}");
        }
    }
}
