//! What every client command starts from: the flags they share, a client, a way to print.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _, time::Duration};

use clap::Args;

use super::{
    failure::{Failure, Status},
    go,
    output::Output,
    print::{Answer, Format, Style},
};
use crate::{
    client::{Client, Endpoint, Keepalive, Options},
    types::Bytes,
};

const HEADING: &str = "Client options";

/// etcdctl's global flags.
#[derive(Args)]
pub(super) struct Globals {
    /// Where the members listen; tried in turn.
    #[arg(
        long,
        global = true,
        env = "SOLDER_ENDPOINTS",
        default_value = "127.0.0.1:2379",
        value_delimiter = ','
    )]
    #[arg(help_heading = HEADING)]
    endpoints: Vec<Endpoint>,
    /// simple, json, table or fields.
    #[arg(
        short,
        long,
        global = true,
        env = "SOLDER_WRITE_OUT",
        default_value = "simple",
        value_name = "FORMAT"
    )]
    #[arg(help_heading = HEADING)]
    write_out: String,
    /// Print keys and values as hexadecimal.
    #[arg(long, global = true, env = "SOLDER_HEX", help_heading = HEADING)]
    hex: bool,
    /// For a whole answer, without the time to connect.
    #[arg(long, global = true, env = "SOLDER_COMMAND_TIMEOUT", default_value = "5s", value_name = "TIME")]
    #[arg(value_parser = go::parse_duration, help_heading = HEADING)]
    command_timeout: Duration,
    /// For connecting to one endpoint.
    #[arg(long, global = true, env = "SOLDER_DIAL_TIMEOUT", default_value = "2s", value_name = "TIME")]
    #[arg(value_parser = go::parse_duration, help_heading = HEADING)]
    dial_timeout: Duration,
    /// After so much silence a watch asks whether the server is still there.
    #[arg(long, global = true, env = "SOLDER_KEEPALIVE_TIME", default_value = "2s", value_name = "TIME")]
    #[arg(value_parser = go::parse_duration, help_heading = HEADING)]
    keepalive_time: Duration,
    /// A server that does not answer that for so long is gone.
    #[arg(long, global = true, env = "SOLDER_KEEPALIVE_TIMEOUT", default_value = "6s", value_name = "TIME")]
    #[arg(value_parser = go::parse_duration, help_heading = HEADING)]
    keepalive_timeout: Duration,
}

pub(super) struct Session {
    pub(super) client: Client,
    pub(super) style: Style,
}

impl Session {
    pub(super) fn new(globals: Globals) -> Result<Session, Failure> {
        let format = match globals.write_out.as_str() {
            "simple" => Format::Simple,
            "json" => Format::Json,
            "table" => Format::Table,
            "fields" => Format::Fields,
            _ => return Err(Failure::new(Status::BadFeature, "unsupported output format")),
        };
        let options = Options {
            dial_timeout: globals.dial_timeout,
            command_timeout: globals.command_timeout,
            keepalive: Keepalive { time: globals.keepalive_time, timeout: globals.keepalive_timeout },
            ..Options::new(globals.endpoints)
        };
        Ok(Session {
            client: Client::new(options),
            style: Style { format, hex: globals.hex, value_only: false },
        })
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.client.options().endpoints
    }

    /// Heard when this returns.
    pub(super) fn print(&self, answer: &Answer<'_>) -> Result<(), Failure> {
        Output::new().bytes(&self.style.render(answer)?);
        Ok(())
    }

    /// A key or value on a line of its own.
    pub(super) fn text(&self, bytes: &[u8]) -> Vec<u8> {
        let mut line = match self.style.hex {
            true => go::hex(bytes).into_bytes(),
            false => bytes.to_vec(),
        };
        line.push(b'\n');
        line
    }
}

/// An argument as the bytes it is.
pub(super) fn bytes(argument: &OsString) -> Bytes {
    argument.as_bytes().into()
}
