//! `solder discovery new|serve`.

mod new;

use clap::{Args, Subcommand};

use super::{
    failure::Failure,
    session::{Globals, Session},
};
use crate::{config, run};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a discovery URL for a cluster that is not there yet, and print it.
    ///
    /// Boards that are started with it find each other. Behind its # is a secret of 128 bits, by which they trust each other: it
    /// is drawn on this machine and never sent, neither now nor by them. etcd members (up to 3.6) take the URL, too.
    New(new::New),
    /// Serve discovery URLs to anybody, and nothing else.
    Serve(Serve),
}

/// Those of `solder serve` that mean something here, under the same names and variables.
#[derive(Args)]
pub(super) struct Serve {
    /// Addresses on which it is served [default: http://[::]:2379].
    #[arg(long, value_name = "URLS")]
    listen_client_urls: Option<String>,
    /// What URLs begin with for who does not say how it called [default: those listened on].
    #[arg(long, value_name = "URLS")]
    advertise_client_urls: Option<String>,
    /// More addresses for /metrics and /health alone.
    #[arg(long, value_name = "URLS")]
    listen_metrics_urls: Option<String>,
    /// Directory of all that is kept [default: systemd's StateDirectory, else solder-discovery].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Settings in TOML, as those of `solder serve`.
    #[arg(long, value_name = "FILE")]
    config_file: Option<String>,
    /// Profile of the board, as for `solder serve`.
    #[arg(long)]
    board: Option<String>,
    /// debug, info, warn, error, panic or fatal [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// 'console': a line for people; 'json': a line for machines [default: console].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

pub(super) fn run(command: Command, globals: Globals) -> Result<(), Failure> {
    match command {
        Command::New(arguments) => {
            let session = Session::new(globals)?;
            async_io::block_on(new::run(&arguments, &session))
        }
        Command::Serve(arguments) => serve(arguments).map_err(Failure::daemon),
    }
}

fn serve(arguments: Serve) -> Result<(), String> {
    let flags = config::Flags::of_discovery([
        ("listen-client-urls", arguments.listen_client_urls),
        ("advertise-client-urls", arguments.advertise_client_urls),
        ("listen-metrics-urls", arguments.listen_metrics_urls),
        ("data-dir", arguments.data_dir),
        ("config-file", arguments.config_file),
        ("board", arguments.board),
        ("log-level", arguments.log_level),
        ("log-format", arguments.log_format),
    ]);
    let settings = config::load(&flags).map_err(|error| error.to_string())?;
    run::serve(&settings)
}
