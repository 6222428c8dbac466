//! `solder wal dump|verify|salvage DIR`.
//!
//! `dump` and `verify` only read, and may run beside the daemon. `salvage` wants the directory for itself.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Subcommand;

use super::output::Output;
use crate::{
    store::FileLock,
    wal::{Directory, Found, Inspector, Plan, Slot, Summary, WalError},
};

/// What a daemon that writes needs to finish a batch.
const MOMENT: Duration = Duration::from_millis(50);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the log, one line a record.
    Dump {
        /// A data directory, or the `wal` in it.
        directory: PathBuf,
    },
    /// Check the log; exit status 1 if it is damaged.
    Verify {
        /// A data directory, or the `wal` in it.
        directory: PathBuf,
    },
    /// For a single board whose log is damaged: tell what would have to be given up, and with --give-up do it.
    Salvage {
        /// A data directory, or the `wal` in it.
        directory: PathBuf,
        /// Give up all from the damage on. Copies of the files are kept beside them.
        #[arg(long)]
        give_up: bool,
    },
}

pub(super) fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Dump { directory } => dump(&Place::of(&directory)),
        Command::Verify { directory } => verify(&Place::of(&directory)),
        Command::Salvage { directory, give_up } => salvage(&Place::of(&directory), give_up),
    }
}

/// Where a log is, and the lock of whoever owns it.
struct Place {
    wal: PathBuf,
    lock: PathBuf,
}

impl Place {
    fn of(directory: &Path) -> Place {
        let inner = directory.join("wal");
        match inner.is_dir() {
            true => Place { wal: inner, lock: directory.join("LOCK") },
            false => Place { wal: directory.into(), lock: directory.join("../LOCK") },
        }
    }

    fn read_only(&self) -> Result<Directory, String> {
        Directory::open_read_only(&self.wal)
            .map_err(|error| format!("cannot read {}: {error}", self.wal.display()))
    }

    /// The lock that the daemon holds while it runs. Where there never was a daemon there is none.
    fn lock(&self) -> Result<Option<FileLock>, String> {
        let lock = match File::open(&self.lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock.map_err(|error| format!("cannot open {}: {error}", self.lock.display()))?,
        };
        match FileLock::take(lock) {
            Ok(Ok(lock)) => Ok(Some(lock)),
            Ok(Err(_)) => Err(format!("{} is in use: stop the daemon first", self.wal.display())),
            Err(error) => Err(format!("cannot lock {}: {error}", self.lock.display())),
        }
    }
}

fn inspect(place: &Place, found: &mut dyn FnMut(Found<'_>)) -> Result<Summary, String> {
    let mut disk = place.read_only()?;
    let mut inspector = Inspector { found, pause: &mut || thread::sleep(MOMENT) };
    let summary = inspector.inspect(&mut disk).map_err(|error| error.to_string())?;
    match summary.segments {
        0 => Err(no_log(place)),
        _ => Ok(summary),
    }
}

fn no_log(place: &Place) -> String {
    format!("there is no log in {}", place.wal.display())
}

fn dump(place: &Place) -> Result<(), String> {
    let mut output = Output::new();
    inspect(place, &mut |found| output.line(found)).map(drop)
}

fn verify(place: &Place) -> Result<(), String> {
    let mut warnings = Vec::new();
    let summary = inspect(place, &mut |found| {
        if let Found::HeaderCopy { .. } | Found::Torn(_) = found {
            warnings.push(found.to_string());
        }
    })?;
    let mut output = Output::new();
    warnings.iter().for_each(|warning| output.line(warning));
    output.line(summary);
    Ok(())
}

fn salvage(place: &Place, give_up: bool) -> Result<(), String> {
    let _lock = place.lock()?;
    let mut output = Output::new();
    let mut any = false;
    let plan = Plan::make(&mut place.read_only()?, &mut |found| {
        if !std::mem::replace(&mut any, true) {
            output.line("# behind the damage, and to be given up:");
        }
        output.line(found);
    });
    let Some(plan) = plan.map_err(|error| beyond_help(&error))? else {
        inspect(place, &mut |_| {})?;
        output.line("the log is not damaged: there is nothing to give up");
        return Ok(());
    };
    if !any {
        output.line("# nothing behind the damage can be read");
    }
    output.line("# what is kept:");
    output.line(&plan.kept);
    check_alone(&plan)?;
    if !give_up {
        return Err(format!(
            "{}: nothing was changed: with --give-up all of the above that is not kept is given up",
            plan.damage
        ));
    }
    output.flush();
    for slot in plan.slots() {
        output.line(format_args!("# a copy is kept: {}", keep_copy(place, slot)?.display()));
    }
    let mut disk = open(place)?;
    plan.carry_out(&mut disk).map_err(|error| error.to_string())?;
    output.line("# the log is now:");
    output.line(inspect(place, &mut |_| {})?);
    Ok(())
}

/// Damage from the very beginning leaves nothing to be kept.
fn beyond_help(error: &WalError) -> String {
    match error {
        WalError::Damaged { file, offset, what } => {
            format!(
                "nothing of the log can be kept: {file} at offset {offset}: {what}: restore this board from a snapshot"
            )
        }
        error => error.to_string(),
    }
}

/// What a cluster agreed on must not be forgotten by one of its voters: it could vote, and count, against it.
fn check_alone(plan: &Plan) -> Result<(), String> {
    match plan.kept.members.voters.len() {
        1 => Ok(()),
        0 => Err(format!(
            "{}: the log does not tell whether this board is alone: restore it from a snapshot",
            plan.damage
        )),
        voters => Err(format!(
            "{}: this board is one of {voters} voters, who must not forget: remove it from the cluster, empty its data \
             directory, and let it join again",
            plan.damage
        )),
    }
}

fn open(place: &Place) -> Result<Directory, String> {
    Directory::open(&place.wal).map_err(|error| format!("cannot open {}: {error}", place.wal.display()))
}

/// Copies a segment's file beside itself, durably, under a name that is free.
fn keep_copy(place: &Place, slot: Slot) -> Result<PathBuf, String> {
    let file = place.read_only()?.path(slot);
    let free = |number: &u32| !copy_name(&file, *number).exists();
    let number = (1..).find(free).expect("there are more numbers than files");
    let copy = copy_name(&file, number);
    let copied = fs::copy(&file, &copy).and_then(|_| File::open(&copy)?.sync_all());
    match copied.and_then(|()| File::open(&place.wal)?.sync_all()) {
        Ok(()) => Ok(copy),
        Err(error) => {
            // Half a copy only takes room that is missing already.
            let _ = fs::remove_file(&copy);
            Err(format!("cannot copy {} to {}: {error}", file.display(), copy.display()))
        }
    }
}

fn copy_name(file: &Path, number: u32) -> PathBuf {
    file.with_extension(format!("seg.before-salvage-{number}"))
}
