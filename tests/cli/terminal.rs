//! What is told to a person at a terminal, and to nobody else.

use std::{
    fs::File,
    io::Read as _,
    process::{Output, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::{
    moves::solder,
    scripted::{Reply, Scripted},
};

/// A terminal: our end, and that of the program.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("ours");
    unlockpt(&ours).expect("ours");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
    (ours.into(), theirs.into())
}

/// A snapshot that comes slowly, with a checksum that is wrong.
fn slow_snapshot() -> Scripted {
    let piece = |left: u64| {
        let blob = "A".repeat(4000);
        format!("{{\"result\":{{\"remaining_bytes\":\"{left}\",\"blob\":\"{blob}\"}}}}\n")
    };
    Scripted::new(vec![Reply::Slowly(vec![piece(6000), piece(3000), piece(0)])])
}

fn save(errors: impl Into<Stdio>) -> Output {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("snapshot");
    let server = slow_snapshot();
    let arguments = ["snapshot", "save", file.to_str().expect("text")];
    let mut command = solder(&[server.address.to_string()], &arguments);
    command.stderr(errors).output().expect("it runs")
}

#[test]
fn the_progress_of_a_snapshot_is_told_on_a_terminal() {
    let (mut ours, theirs) = terminal();
    let output = save(theirs);
    assert_eq!(output.status.code(), Some(1));
    let mut told = Vec::new();
    // The end of a terminal that nobody has open any more is an error.
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = ours.read(&mut piece) {
        told.extend_from_slice(&piece[..read]);
    }
    let told = String::from_utf8(told).expect("text");
    let lines: Vec<&str> = told.split('\r').collect();
    assert!(lines.contains(&"snapshot: 6.0 kB of 9.0 kB \x1b[K"), "{lines:?}");
    let error = lines.iter().find(|line| line.contains("Error: ")).expect("it failed");
    assert!(error.starts_with("\x1b[KError: the snapshot is broken"), "on a clean line: {lines:?}");
}

#[test]
fn nothing_is_told_in_a_pipe() {
    let output = save(Stdio::piped());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("Error: the snapshot is broken") && told.lines().count() == 1, "{told}");
    assert_eq!(output.stdout, b"");
}
