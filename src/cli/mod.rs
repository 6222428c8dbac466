//! The command line: parses, calls, prints. One file for each group of commands.
//!
//! ```text
//!   arguments --flags, clap--> Command --+--> client --> get, put, watch, .. --> Session --> print --> standard output
//!                                        +--> wal, help, ..
//! ```
//!
//! Results go to standard output; an error is one line on standard error. Exit statuses are etcdctl's (`failure`), and 2 for a
//! command that cannot be understood, but 1 where the binary is called `etcdctl`.

mod check_config;
mod client;
mod cluster;
mod condition;
mod del;
mod demo;
mod discovery;
mod endpoint;
mod failure;
mod flags;
mod get;
mod go;
mod help;
mod invite;
mod lease;
mod ls;
mod member;
mod output;
mod peer_url;
mod print;
mod put;
mod serve;
mod session;
mod snapshot;
mod txn;
mod wal;
mod watch;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand, error::ContextKind};

use crate::config;

pub use self::txn::parse as parse_txn;
use self::{
    failure::{Failure, Status},
    session::Globals,
};

/// A consistent key-value store with etcd's v3 API for boards on SD cards, Wi-Fi and cheap power.
#[derive(Parser)]
#[command(name = "solder", version)]
struct Arguments {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a board's store until it is told to stop. Flags are etcd's; alone it serves on 127.0.0.1:2379.
    Serve(config::Flags),
    /// Print the settings that `solder serve` would use, each with where it comes from, or what is wrong with them.
    CheckConfig(config::Flags),
    /// Start a throw-away cluster of several processes on this machine, for trying things out.
    Demo(demo::Demo),
    /// URLs by which boards find each other that are to become a cluster.
    #[command(subcommand)]
    Discovery(discovery::Command),
    /// Look at a board's write-ahead log, check it, or give up what is damaged.
    #[command(subcommand)]
    Wal(wal::Command),
    #[command(flatten)]
    Client(client::Command),
    /// Print a script that lets a shell complete commands.
    #[command(alias = "completions")]
    Completion(help::Completion),
    /// Write man pages.
    Man(help::Man),
}

/// etcdctl's commands in etcdctl's place.
#[derive(Parser)]
#[command(name = "etcdctl", version, about = "etcdctl's commands, by solder")]
struct Etcdctl {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: client::Command,
}

pub fn main() -> ExitCode {
    let mut arguments = config::double_dashes(std::env::args_os()).into_iter();
    let name = arguments.next().unwrap_or_default();
    let as_etcdctl = Path::new(&name).file_name().is_some_and(|name| name == "etcdctl");
    let command = command(as_etcdctl);
    let arguments = flags::plain_switches(arguments, &command);
    let done = match as_etcdctl {
        true => parse::<Etcdctl>(command, arguments, Status::Error)
            .and_then(|parsed| client::run(parsed.command, parsed.globals, true)),
        false => parse::<Arguments>(command, arguments, Status::BadConnection).and_then(run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(line) = failure.line {
                eprintln!("{line}");
            }
            ExitCode::from(failure.status as u8)
        }
    }
}

fn command(as_etcdctl: bool) -> clap::Command {
    match as_etcdctl {
        true => help::grouped(flags::etcdctl_environment(Etcdctl::command())),
        false => help::grouped(without_globals(Arguments::command())),
    }
}

/// What has no server to talk to does not tell of endpoints in its help.
fn without_globals(command: clap::Command) -> clap::Command {
    let globals = command.get_arguments().filter(|argument| argument.is_global_set());
    let hidden: Vec<clap::Arg> = globals.map(|argument| argument.clone().hide(true)).collect();
    let hide = |command: clap::Command| command.args(&hidden);
    ["serve", "check-config", "demo", "wal", "completion", "man"]
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, hide))
        .mut_subcommand("discovery", |command| command.mut_subcommand("serve", hide))
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(flags) => serve::run(&flags).map_err(Failure::daemon),
        Command::CheckConfig(flags) => check_config::run(&flags).map_err(Failure::daemon),
        Command::Demo(arguments) => demo::run(arguments).map_err(Failure::daemon),
        Command::Discovery(command) => discovery::run(command, arguments.globals),
        Command::Wal(command) => wal::run(command).map_err(Failure::daemon),
        Command::Client(command) => client::run(command, arguments.globals, false),
        Command::Completion(arguments) => {
            help::completion(&arguments, command(false));
            Ok(())
        }
        Command::Man(arguments) => help::man(&arguments, command(false)),
    }
}

/// Help and version end here with success, what cannot be understood with clap's words and `status`.
fn parse<T: clap::FromArgMatches>(
    command: clap::Command,
    arguments: Vec<OsString>,
    status: Status,
) -> Result<T, Failure> {
    let name = OsString::from(command.get_name());
    let matches = command.try_get_matches_from(std::iter::once(name).chain(arguments));
    let parsed = matches.and_then(|matches| T::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if !error.use_stderr() {
            // Whoever closes standard output early has seen enough.
            let _ = error.print();
            std::process::exit(0)
        }
        let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        match flags::missing(&flag) {
            Some(reason) => Failure::new(status, format_args!("unknown flag {flag}: {reason}")),
            None => {
                eprint!("{}", error.render());
                Failure::silent(status)
            }
        }
    })
}
