//! `put key value`, `get key`, `del key`, with the flags they have as commands.

use clap::Parser;

use super::words;
use crate::{
    cli::{
        del,
        failure::{Failure, Status},
        get, put,
    },
    rpc::RequestOp,
};

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
enum Operation {
    Put(put::Basic),
    Get(get::Arguments),
    Del(del::Basic),
}

pub(super) fn parse(line: &[u8]) -> Result<RequestOp, Failure> {
    let invalid = |text: String| Failure::new(Status::InvalidInput, text);
    let shown = String::from_utf8_lossy(line);
    let words = words::split(line).ok_or_else(|| invalid("invalid syntax".into()))?;
    if words.len() < 2 {
        return Err(invalid(format!("invalid txn compare request: {shown}")));
    }
    let operation =
        Operation::try_parse_from(words).map_err(|_| invalid(format!("invalid txn request: {shown}")))?;
    Ok(match operation {
        // Standard input holds the transaction: there is no value to be had from it.
        Operation::Put(put) => RequestOp::Put(put.request(None)?),
        Operation::Get(get) => RequestOp::Range(get.request()?),
        Operation::Del(del) => RequestOp::DeleteRange(del.request()?),
    })
}
