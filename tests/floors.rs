//! Folders are floors: you look down, never up, and whom you look at is written down.
//!
//! The map of edges between the top-level folders of `src/` is a golden file, so that a new one is a line in a diff.

#[path = "golden/mod.rs"]
pub mod golden;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the ground up. Those on one floor do not look at each other.
const FLOORS: [&[&str]; 10] = [
    &["types", "logging", "system"],
    &["raft", "lease", "watch", "rpc", "autopilot"],
    &["wal", "store"],
    &["replica", "snapshot"],
    &["http", "client", "peer", "mdns"],
    &["member"],
    &["api", "join"],
    &["config"],
    &["run"],
    &["cli"],
];

/// `from` uses something of `to`.
type Edge = (String, String);

#[test]
fn you_look_down_never_up() {
    for (from, to) in edges() {
        assert!(floor(&from) > floor(&to), "{from} looks up at {to}: move what it needs down, or pass it in");
    }
}

#[test]
fn the_map_of_floors() {
    let lines: String = edges().iter().map(|(from, to)| format!("{from} -> {to}\n")).collect();
    let advice =
        "a new edge binds two folders for good: if it must be, UPDATE_GOLDENFILES=1 cargo test --test floors";
    golden::check("tests/floors.golden", &lines, advice);
}

#[test]
fn edges_are_found_in_all_their_forms() {
    let names = |depth, code| uses(code, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names(1, "use crate::types::{Bytes, raft};"), "types");
    assert_eq!(names(1, "use crate::{\n    types::{Index, Term},\n    wal::Wal,\n};"), "types wal");
    assert_eq!(names(1, "fn f(x: crate::store::Store) { crate :: raft::go() }"), "raft store");
    assert_eq!(names(1, "// crate::store\n/// [`crate::wal`]\n"), "");
    assert_eq!(names(1, "use super::store::Store;"), "store");
    assert_eq!(names(2, "use super::store::Store;"), "");
    assert_eq!(names(2, "use super::super::{store, wal};"), "store wal");
    assert_eq!(names(1, "mod tests { use super::*; }"), "");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor(folder: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&folder));
    floor.unwrap_or_else(|| panic!("src/{folder} has no floor: give it one in {}", file!()))
}

fn edges() -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    for path in rust_files(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).expect("it was found there");
        let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
        let first = parts.next().expect("a file has a name");
        if first == "lib.rs" || first == "main.rs" {
            continue;
        }
        let from = first.trim_end_matches(".rs").to_string();
        let below = parts.filter(|part| part != "mod.rs").count();
        let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let others = uses(&code, below + 1).into_iter().filter(|to| *to != from);
        edges.extend(others.map(|to| (from.clone(), to)));
    }
    edges
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder that can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The top-level modules that code `depth` modules below the crate's root names: behind `crate::`, or behind as many
/// `super::` as lead up there.
fn uses(code: &str, depth: usize) -> BTreeSet<String> {
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let tokens = tokens(&code);
    let up = ["super", "::"].repeat(depth);
    let mut found = BTreeSet::new();
    for place in 0..tokens.len() {
        let rest = &tokens[place..];
        if let Some(path) = rest.strip_prefix(&["crate", "::"][..]) {
            found.extend(heads(path));
        } else if let Some(path) = rest.strip_prefix(&up[..]) {
            // A `super::*` of an inner module leads no further than its own folder.
            found.extend(heads(path).into_iter().filter(|name| FLOORS.concat().contains(&name.as_str())));
        }
    }
    found
}

/// Names, `::`, and all other characters one by one.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            _ if is_name(first) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// The first names of a path: one, or those of a group in braces.
fn heads(path: &[&str]) -> Vec<String> {
    if path.first() != Some(&"{") {
        return path.first().map(|name| name.to_string()).into_iter().collect();
    }
    let mut heads = Vec::new();
    let mut depth = 0;
    for pair in path.windows(2) {
        match pair[0] {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (pair[0] == "{" || pair[0] == ",") && pair[1] != "}" {
            heads.push(pair[1].to_string());
        }
    }
    heads
}
