//! Golden files: what a test says, kept beside it, so that a change of it is seen in the diff.

use std::{env, fs, path::Path};

/// Compares with the file, or with `UPDATE_GOLDENFILES=1` writes it. `advice` is told where they differ.
pub fn check(path: impl AsRef<Path>, actual: &str, advice: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var("UPDATE_GOLDENFILES").as_deref() == Ok("1") {
        return fs::write(&path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let missing = golden.lines().filter(|line| !actual.lines().any(|other| other == *line));
    let added = actual.lines().filter(|line| !golden.lines().any(|other| other == *line));
    let changes: Vec<String> =
        missing.map(|line| format!("- {line}")).chain(added.map(|line| format!("+ {line}"))).collect();
    assert!(golden == actual, "{} differs:\n{}\n{advice}", path.display(), changes.join("\n"));
}
