//! What is derived from the commands themselves: help in groups, completions, man pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::{failure::Failure, output::Output};

/// The commands by what they are for. Whatever is in none of the groups comes last.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run a board", &["serve", "check-config", "discovery", "demo"]),
    ("Keys", &["get", "put", "del", "ls", "txn", "watch", "lease"]),
    ("The store", &["compaction", "defrag", "snapshot", "wal"]),
    ("The cluster", &["endpoint", "member", "cluster", "alarm", "move-leader"]),
    ("This program", &["version", "completion", "man", "help"]),
];

#[derive(Args)]
pub(super) struct Completion {
    /// The shell that is to complete commands.
    shell: clap_complete::Shell,
}

#[derive(Args)]
pub(super) struct Man {
    /// Where the pages go; it is made if it is missing.
    directory: PathBuf,
}

/// Lists the commands in groups.
pub(super) fn grouped(command: Command) -> Command {
    let known = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let mut text = String::new();
    for (title, names) in GROUPS {
        let lines: Vec<String> = names.iter().filter_map(|name| line(&command, name)).collect();
        if !lines.is_empty() {
            text += &format!("{title}:\n{}\n", lines.concat());
        }
    }
    let others = command.get_subcommands().filter(|other| !known(other.get_name()));
    text.extend(others.filter_map(|other| line(&command, other.get_name())));
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}\n");
    command.help_template(template).subcommand_help_heading("Commands")
}

fn line(command: &Command, name: &str) -> Option<String> {
    let about = command.find_subcommand(name)?.get_about()?.to_string();
    Some(format!("  {name:<14}{about}\n"))
}

pub(super) fn completion(arguments: &Completion, mut command: Command) {
    let name = command.get_name().to_string();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    Output::new().bytes(&script);
}

pub(super) fn man(arguments: &Man, command: Command) -> Result<(), Failure> {
    let directory = &arguments.directory;
    let made = std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    made.map_err(|error| failed(directory, &error))
}

fn failed(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::error(format_args!("cannot write the pages to {}: {error}", directory.display()))
}
