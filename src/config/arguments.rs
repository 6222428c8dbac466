//! Settings as flags: the table of keys as arguments for clap.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{
    keys::{Fate, KEYS, Key},
    role::Role,
};

/// The flags that were given, as written. Flatten it into a command that takes settings.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// By the name that was used.
    pub(super) given: BTreeMap<&'static str, String>,
    pub(super) role: Role,
}

impl Flags {
    /// Those that another command than `serve` takes, by their names, as far as they were given.
    pub fn of(given: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Flags {
        let given = given.into_iter().filter_map(|(name, text)| {
            assert!(Key::find(name).is_some(), "there is no key {name}");
            Some((name, text?))
        });
        Flags { given: given.collect(), role: Role::Member }
    }

    /// The same for a service of discovery that is nothing else.
    pub fn of_discovery(given: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Flags {
        Flags { role: Role::Discovery, ..Flags::of(given) }
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        let mut flags = Flags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for name in KEYS.iter().flat_map(Key::names) {
            if let Some(text) = matches.get_one::<String>(name) {
                self.given.insert(name, text.clone());
            }
        }
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let command =
            KEYS.iter().fold(command, |command, key| command.args(key.names().map(|name| arg(key, name))));
        command.after_help(
            "Each flag is also an environment variable (--data-dir: SOLDER_DATA_DIR) and a key of the --config-file \
             (data-dir); a flag goes before a variable, a variable before the file, the file before the board's profile.",
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args(command)
    }
}

fn arg(key: &'static Key, name: &'static str) -> Arg {
    // Go's flags: the last one counts, a switch takes its value only behind `=`, and a value may begin with a dash.
    let arg = Arg::new(name).long(name).action(ArgAction::Set).overrides_with(name).allow_hyphen_values(true);
    let arg = match key.switch {
        true => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        false => arg.num_args(1),
    };
    match &key.fate {
        Fate::Used(used) if name == key.name => {
            let help = match used.default {
                "" => used.help.to_string(),
                default => format!("{} [default: {default}]", used.help),
            };
            arg.value_name(used.value).help_heading(used.group).help(help)
        }
        _ => arg.hide(true),
    }
}

/// Go's flags may begin with one dash: `-data-dir x` is `--data-dir x`. Only for commands that take settings, and only for
/// flags that are known; the values of flags stay as they are.
pub fn double_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut result: Vec<OsString> = arguments.by_ref().take(2).collect();
    let takes_settings = result.get(1).is_some_and(|command| command == "serve" || command == "check-config");
    if !takes_settings {
        result.extend(arguments);
        return result;
    }
    while let Some(argument) = arguments.next() {
        let Some((key, flag)) = argument.to_str().and_then(known) else {
            result.push(argument);
            continue;
        };
        let value_follows = !key.switch && !flag.contains('=');
        result.push(flag.into());
        result.extend(arguments.by_ref().take(usize::from(value_follows)));
    }
    result
}

/// A flag with its key, in the form with two dashes.
fn known(argument: &str) -> Option<(&'static Key, String)> {
    let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    let name = flag.split_once('=').map_or(flag, |(name, _)| name);
    Some((Key::find(name)?, format!("--{flag}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_or_two() {
        for (line, expected) in [
            ("solder serve -name x --data-dir y", "solder serve --name x --data-dir y"),
            ("solder serve -name=x -h", "solder serve --name=x -h"),
            ("solder serve -name -data-dir", "solder serve --name -data-dir"),
            ("solder serve -pre-vote -name x", "solder serve --pre-vote --name x"),
            ("solder serve -bogus x", "solder serve -bogus x"),
            ("solder check-config -name x", "solder check-config --name x"),
            ("solder put -name x", "solder put -name x"),
            ("solder", "solder"),
            ("solder serve -name", "solder serve --name"),
        ] {
            let arguments = line.split(' ').map(OsString::from);
            let expected: Vec<OsString> = expected.split(' ').map(OsString::from).collect();
            assert_eq!(double_dashes(arguments), expected, "{line}");
        }
    }

    #[test]
    fn names_are_names_of_one_key_only() {
        let mut names: Vec<&str> = KEYS.iter().flat_map(Key::names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        Flags::augment_args(Command::new("serve")).debug_assert();
    }
}
