//! A request in the many ways in which JSON can say it, some of them wrong.

use std::fmt::Write;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use fastrand::Rng;

pub(crate) enum Document {
    Message(Vec<(&'static str, Document)>),
    List(Vec<Document>),
    Number(i64),
    Bytes(Vec<u8>),
    Bool(bool),
    /// Its name, or no name that anybody knows; and its number.
    Enum(&'static str, i64),
}

impl Document {
    /// As a careful client writes it.
    pub(crate) fn plain(&self) -> String {
        let mut out = String::new();
        let mut careful = Rng::with_seed(0);
        Writer { out: &mut out, chance: &mut careful, odd: false }.value(self);
        out
    }
}

/// Values of which most are wrong, in any place.
const ODDITIES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.5",
    "1e2",
    "\"\"",
    "\"abc\"",
    "\" 1\"",
    "\"1.0\"",
    "[]",
    "{}",
    "[null]",
    "[1]",
    "{\"a\":1}",
    "9223372036854775808",
    "\"-9223372036854775809\"",
    "\"YQ\"",
    "\"YQ=\"",
    "1E400",
    "\"\\u0061\"",
    "\"\\ud800\"",
    "\"2\"",
];

/// Fields that no message has. The values must be well-formed all the same.
const UNKNOWN: [&str; 6] = [
    "\"x\":1",
    "\"KEY\":[{}]",
    "\"\":null",
    "\"key \":\"*\"",
    "\"y\":{\"key\":{\"z\":[1,-2.5e3,true]}}",
    "\"\\u006bez\":\"\"",
];

pub(crate) fn write(document: &Document, chance: &mut Rng) -> String {
    let mut out = String::new();
    let odd = chance.u32(..10) == 0;
    Writer { out: &mut out, chance, odd }.value(document);
    if odd {
        spoil(&mut out, chance);
    }
    out
}

/// What is around the document, or missing of it.
fn spoil(out: &mut String, chance: &mut Rng) {
    match chance.u32(..12) {
        0 => out.push_str(" junk"),
        1 => out.insert_str(0, "\r\n\t "),
        2 => out.truncate(chance.usize(..out.len())),
        3 => out.push('}'),
        4 => out.push_str("{\"key\":\"Yg==\"}"),
        _ => (),
    }
}

struct Writer<'a> {
    out: &'a mut String,
    chance: &'a mut Rng,
    /// Are wrong values to be among the good ones?
    odd: bool,
}

impl Writer<'_> {
    fn one_of(&mut self, number: u32) -> bool {
        self.chance.u32(..number) == 0
    }

    fn value(&mut self, document: &Document) {
        if self.odd && self.one_of(12) {
            let oddity = ODDITIES[self.chance.usize(..ODDITIES.len())];
            return self.out.push_str(oddity);
        }
        match document {
            Document::Message(fields) => self.message(fields),
            Document::List(items) => self.list(items),
            Document::Number(number) => self.number(*number),
            Document::Bytes(bytes) => self.bytes(bytes),
            Document::Bool(value) => write!(self.out, "{value}").expect("memory"),
            Document::Enum(name, number) => self.enumeration(name, *number),
        }
    }

    fn message(&mut self, fields: &[(&'static str, Document)]) {
        self.out.push('{');
        let mut first = true;
        let mut order: Vec<usize> = (0..fields.len()).collect();
        if self.one_of(4) {
            self.chance.shuffle(&mut order);
        }
        for place in order {
            let (name, value) = &fields[place];
            self.comma(&mut first);
            self.name(name);
            self.value(value);
            if self.odd && self.one_of(20) {
                self.comma(&mut first);
                self.name(name);
                self.value(value);
            }
        }
        if self.one_of(20) {
            self.comma(&mut first);
            let unknown = UNKNOWN[self.chance.usize(..UNKNOWN.len())];
            self.out.push_str(unknown);
        }
        self.out.push('}');
    }

    fn comma(&mut self, first: &mut bool) {
        if !*first {
            self.out.push(',');
        }
        *first = false;
        if self.one_of(20) {
            self.out.push_str(" \n");
        }
    }

    fn name(&mut self, name: &str) {
        let camel = self.one_of(3);
        self.out.push('"');
        let mut up = false;
        for letter in name.chars() {
            match letter {
                '_' if camel => up = true,
                letter if up => {
                    self.out.push(letter.to_ascii_uppercase());
                    up = false;
                }
                letter => self.out.push(letter),
            }
        }
        self.out.push_str("\":");
    }

    fn list(&mut self, items: &[Document]) {
        self.out.push('[');
        let mut first = true;
        for item in items {
            self.comma(&mut first);
            self.value(item);
        }
        self.out.push(']');
    }

    fn number(&mut self, number: i64) {
        // What follows a point or an `e` is read as a float by some.
        let small = number.unsigned_abs() < 1 << 50;
        let text = match self.chance.u32(..12) {
            0 if small => format!("{number}.0"),
            1 if small && number != 0 => format!("{number}0e-1"),
            2 if small => format!("\"{number}.00\""),
            3 if small => format!("\"{number}e0\""),
            4..8 => format!("\"{number}\""),
            _ => number.to_string(),
        };
        self.out.push_str(&text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let text = match self.chance.u32(..12) {
            0 => STANDARD_NO_PAD.encode(bytes),
            1 => URL_SAFE.encode(bytes),
            2 => URL_SAFE_NO_PAD.encode(bytes),
            3 if self.odd => STANDARD.encode(bytes) + "\\n",
            4 if self.odd => STANDARD_NO_PAD.encode(bytes) + "\\n",
            _ => STANDARD.encode(bytes),
        };
        write!(self.out, "\"{text}\"").expect("memory");
    }

    fn enumeration(&mut self, name: &str, number: i64) {
        match self.chance.u32(..4) {
            0 => self.number_bare(number),
            1 if self.odd => write!(self.out, "\"{}\"", name.to_lowercase()).expect("memory"),
            _ => write!(self.out, "\"{name}\"").expect("memory"),
        }
    }

    fn number_bare(&mut self, number: i64) {
        let text = match self.chance.u32(..6) {
            0 => format!("{number}.0"),
            _ => number.to_string(),
        };
        self.out.push_str(&text);
    }
}
