//! The ways in which etcdctl's flags differ from ours: `--prefix=true`, environment variables, flags of what is not here.

use std::{collections::BTreeSet, ffi::OsString, os::unix::ffi::OsStrExt as _};

use clap::{ArgAction, Command};

/// Flags of etcdctl that mean something that this version does not have.
const MISSING: [(&str, &str); 16] = [
    ("--cacert", TLS),
    ("--cert", TLS),
    ("--key", TLS),
    ("--insecure-transport", TLS),
    ("--insecure-skip-tls-verify", TLS),
    ("--user", AUTH),
    ("--password", AUTH),
    ("--auth-jwt-token", AUTH),
    ("--discovery-srv", DISCOVERY),
    ("-d", DISCOVERY),
    ("--discovery-srv-name", DISCOVERY),
    ("--insecure-discovery", DISCOVERY),
    ("--wal-dir", "the log is in the data directory: leave it out"),
    ("--debug", "there is no debug output: leave it out"),
    ("--max-request-bytes", "a client has no such bounds: leave it out"),
    ("--max-recv-bytes", "a client has no such bounds: leave it out"),
];

const TLS: &str = "it comes with TLS, which this version does not have yet";
const AUTH: &str = "it comes with authentication, which this version does not have yet";
const DISCOVERY: &str = "endpoints cannot be looked up in DNS yet: name them with --endpoints";

/// Why a flag of etcdctl's is not known here.
pub(super) fn missing(flag: &str) -> Option<&'static str> {
    let flag = flag.split('=').next().unwrap_or(flag);
    MISSING.iter().find(|(name, _)| *name == flag).map(|(_, reason)| *reason)
}

/// etcdctl's switches can have a value: `--prefix=true` becomes `--prefix`, `--prefix=false` goes.
pub(super) fn plain_switches(arguments: impl Iterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut switches = BTreeSet::new();
    collect(command, &mut switches);
    let mut plain = Vec::new();
    let mut behind = false;
    for argument in arguments {
        behind |= argument == "--";
        let text = String::from_utf8_lossy(argument.as_bytes());
        let switch = text.strip_prefix("--").and_then(|text| text.split_once('='));
        match switch.filter(|(name, _)| !behind && switches.contains(*name)) {
            Some((name, "true" | "1" | "t" | "T" | "TRUE" | "True")) => {
                plain.push(format!("--{name}").into())
            }
            Some((_, "false" | "0" | "f" | "F" | "FALSE" | "False")) => {}
            _ => plain.push(argument),
        }
    }
    plain
}

fn collect(command: &Command, switches: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter(|argument| matches!(argument.get_action(), ArgAction::SetTrue));
    switches.extend(own.filter_map(|argument| argument.get_long().map(str::to_string)));
    command.get_subcommands().for_each(|inner| collect(inner, switches));
}

/// Lets the flags be read from ETCDCTL_… rather than SOLDER_….
pub(super) fn etcdctl_environment(command: Command) -> Command {
    command.mut_args(|argument| {
        let name =
            argument.get_env().and_then(|name| name.to_str()?.strip_prefix("SOLDER_").map(str::to_string));
        match name.as_deref() {
            // clap wants names that live for ever; there are but these.
            Some("ENDPOINTS") => argument.env("ETCDCTL_ENDPOINTS"),
            Some("WRITE_OUT") => argument.env("ETCDCTL_WRITE_OUT"),
            Some("HEX") => argument.env("ETCDCTL_HEX"),
            Some("COMMAND_TIMEOUT") => argument.env("ETCDCTL_COMMAND_TIMEOUT"),
            Some("DIAL_TIMEOUT") => argument.env("ETCDCTL_DIAL_TIMEOUT"),
            Some("KEEPALIVE_TIME") => argument.env("ETCDCTL_KEEPALIVE_TIME"),
            Some("KEEPALIVE_TIMEOUT") => argument.env("ETCDCTL_KEEPALIVE_TIMEOUT"),
            _ => argument,
        }
    })
}
