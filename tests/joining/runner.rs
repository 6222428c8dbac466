//! Runs scenes side by side: each has a network of its own, and mostly waits. (The runner that tests have by default takes as
//! many threads as there are processors.)
//!
//! ```text
//!   cargo test --test joining                        all
//!   cargo test --test joining moves                  those that have this in their names; what is not to be: --skip
//!   cargo test --test joining -- --ignored           those that are for a person to look at; with the others: --include-ignored
//!   cargo test --test joining -- --test-threads=1    one after the other
//! ```

use std::{
    env,
    panic::catch_unwind,
    process::ExitCode,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

const AT_ONCE: usize = 8;

/// Its name, and what it does; a panic is what fails it.
pub(crate) type Scene = (&'static str, fn());

/// With the names of their modules.
macro_rules! scenes {
    ($($scene:ident),* $(,)?) => {
        &[$((concat!(module_path!(), "::", stringify!($scene)), $scene as fn())),*]
    };
}
pub(crate) use scenes;

/// What was asked for; of what it does not know it takes no notice, as some flags are for the default runner's output.
#[derive(Debug)]
struct Arguments {
    names: Vec<String>,
    skipped: Vec<String>,
    at_once: usize,
    is_exact: bool,
    is_list: bool,
    usual: bool,
    by_hand: bool,
}

struct Ended {
    scene: &'static str,
    is_well: bool,
    took: Duration,
}

/// `by_hand`: only if that is asked for.
pub(crate) fn run(usual: &[&[Scene]], by_hand: &[Scene]) -> ExitCode {
    let (begun, arguments) = (Instant::now(), Arguments::read());
    let usual = usual.concat();
    let all = usual.len() + by_hand.len();
    let mut chosen: Vec<Scene> = Vec::new();
    for (scenes, is_asked) in [(&usual[..], arguments.usual), (by_hand, arguments.by_hand)] {
        chosen.extend(scenes.iter().filter(|(name, _)| is_asked && arguments.takes(short(name))));
    }
    if arguments.is_list {
        chosen.iter().for_each(|(name, _)| println!("{}: test", short(name)));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = play(&chosen, arguments.at_once);
    let passed = chosen.len() - failed.len();
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!(
        "\ntest result: {}. {passed} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        all - chosen.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Those that failed.
fn play(scenes: &[Scene], at_once: usize) -> Vec<&'static str> {
    let (told, ends) = channel();
    let (mut failed, mut running) = (Vec::new(), 0);
    for scene in scenes {
        if running == at_once {
            failed.extend(next_end(&ends));
            running -= 1;
        }
        begin(*scene, told.clone());
        running += 1;
    }
    failed.extend((0..running).filter_map(|_| next_end(&ends)));
    failed
}

/// In a thread that nothing else is done in: it moves to another network.
fn begin((name, scene): Scene, told: Sender<Ended>) {
    let (scene_name, begun) = (short(name), Instant::now());
    let work = move || {
        let is_well = catch_unwind(scene).is_ok();
        let ended = Ended { scene: scene_name, is_well, took: begun.elapsed() };
        told.send(ended).expect("all ends are waited for");
    };
    thread::Builder::new().name(scene_name.to_owned()).spawn(work).expect("a thread");
}

fn next_end(ends: &Receiver<Ended>) -> Option<&'static str> {
    let Ended { scene, is_well, took } = ends.recv().expect("one runs");
    println!("test {scene} ... {} ({:.1}s)", if is_well { "ok" } else { "FAILED" }, took.as_secs_f64());
    (!is_well).then_some(scene)
}

/// Without the name of the whole test.
fn short(name: &'static str) -> &'static str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}

impl Arguments {
    fn read() -> Arguments {
        let mut found = Arguments {
            names: Vec::new(),
            skipped: Vec::new(),
            at_once: AT_ONCE,
            is_exact: false,
            is_list: false,
            usual: true,
            by_hand: false,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument.clone(), None),
            };
            match &*flag {
                "--skip" => found.skipped.extend(value.or_else(|| arguments.next())),
                "--test-threads" => {
                    let count = value.or_else(|| arguments.next()).and_then(|count| count.parse().ok());
                    found.at_once = count.filter(|count| *count > 0).expect("a number of threads");
                }
                "--exact" => found.is_exact = true,
                "--list" => found.is_list = true,
                "--ignored" => (found.usual, found.by_hand) = (false, true),
                "--include-ignored" => found.by_hand = true,
                flag if flag.starts_with('-') => {}
                _ => found.names.push(argument),
            }
        }
        found
    }

    fn takes(&self, name: &str) -> bool {
        let fits = |asked: &String| if self.is_exact { name == asked } else { name.contains(asked.as_str()) };
        (self.names.is_empty() || self.names.iter().any(fits)) && !self.skipped.iter().any(fits)
    }
}
