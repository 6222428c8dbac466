//! The command line: parses, calls, prints. One file for each group of commands.
//!
//! Results go to standard output; an error is one line on standard error and exit status 1 (2 for a command that cannot
//! be understood).

mod wal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A consistent key-value store with etcd's v3 API for boards on SD cards, Wi-Fi and cheap power.
#[derive(Parser)]
#[command(name = "solder", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look at a board's write-ahead log, check it, or give up what is damaged.
    #[command(subcommand)]
    Wal(wal::Command),
}

pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Wal(command) => wal::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("solder: {message}");
            ExitCode::FAILURE
        }
    }
}
