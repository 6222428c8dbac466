//! The command line: parses, calls, prints. One file for each group of commands.
//!
//! Results go to standard output; an error is one line on standard error and exit status 1 (2 for a command that cannot
//! be understood).

mod check_config;
mod manual;
mod serve;
mod wal;

use std::{env, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config;

/// A consistent key-value store with etcd's v3 API for boards on SD cards, Wi-Fi and cheap power.
#[derive(Parser)]
#[command(name = "solder", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a board's store until it is told to stop. Flags are etcd's; alone it serves on 127.0.0.1:2379.
    Serve(config::Flags),
    /// Look at a board's write-ahead log, check it, or give up what is damaged.
    #[command(subcommand)]
    Wal(wal::Command),
    /// Print the settings that `solder serve` would use, each with where it comes from, or what is wrong with them.
    CheckConfig(config::Flags),
    /// Print what a shell needs to complete these commands.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one a command.
    Man {
        /// Where to; it is made if it is missing.
        directory: std::path::PathBuf,
    },
}

pub fn main() -> ExitCode {
    let done = match Arguments::parse_from(config::double_dashes(env::args_os())).command {
        Command::Serve(flags) => serve::run(&flags),
        Command::Wal(command) => wal::run(command),
        Command::CheckConfig(flags) => check_config::run(&flags),
        Command::Completions { shell } => manual::completions(Arguments::command(), shell),
        Command::Man { directory } => manual::pages(Arguments::command(), &directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("solder: {message}");
            ExitCode::FAILURE
        }
    }
}
