//! `get KEY [RANGE_END]`.

use std::ffi::OsString;

use clap::Args;

use super::{
    failure::{Failure, Status},
    print::{Answer, Format, Style},
    session::{Session, bytes},
};
use crate::{
    cli::go,
    rpc::{RangeRequest, SortOrder, SortTarget},
    types::KeyRange,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The key, or the first one of a range.
    key: Option<OsString>,
    /// The range ends before this key.
    range_end: Option<OsString>,
    /// Get the keys that begin with KEY.
    #[arg(long)]
    prefix: bool,
    /// Get the keys from KEY on.
    #[arg(long)]
    from_key: bool,
    /// Get no more than so many; 0: all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: i64,
    /// ASCEND or DESCEND.
    #[arg(long, default_value = "", hide_default_value = true)]
    order: String,
    /// CREATE, KEY, MODIFY, VALUE or VERSION.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TARGET")]
    sort_by: String,
    /// Get what was there at that revision.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    rev: i64,
    /// Linearizable (l), or serializable (s): what the board asked has, also when it is cut off.
    #[arg(long, default_value = "l")]
    consistency: String,
    /// Get no values.
    #[arg(long)]
    keys_only: bool,
    /// Get only the count; for `--write-out=fields`.
    #[arg(long)]
    count_only: bool,
    /// Print no keys; for `--write-out=simple`.
    #[arg(long)]
    print_value_only: bool,
    /// Only keys that were changed at that revision or later.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    min_mod_rev: i64,
    /// Only keys that were changed at that revision or earlier.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    max_mod_rev: i64,
    /// Only keys that were created at that revision or later.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    min_create_rev: i64,
    /// Only keys that were created at that revision or earlier.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "REVISION")]
    max_create_rev: i64,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let format = session.style.format;
    let (count_only, value_only) = (arguments.count_only, arguments.print_value_only);
    let response = session.client.range(&arguments.request()?).await?;
    if count_only && format != Format::Fields {
        return Err(Failure::bad_arguments("--count-only is only for `--write-out=fields`"));
    }
    if value_only && format != Format::Simple {
        return Err(Failure::bad_arguments("print-value-only is only for `--write-out=simple`"));
    }
    let style = Style { value_only, ..session.style };
    super::output::Output::new().bytes(&style.render(&Answer::Get(&response))?);
    Ok(())
}

impl Arguments {
    pub(super) fn request(self) -> Result<RangeRequest, Failure> {
        if self.keys_only && self.count_only {
            return Err(Failure::bad_arguments(
                "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
            ));
        }
        let (sort_order, sort_target) = sorting(&self.order, &self.sort_by)?;
        let serializable = match self.consistency.as_str() {
            "l" => false,
            "s" => true,
            other => {
                let other = go::quote(other.as_bytes());
                return Err(Failure::new(
                    Status::BadFeature,
                    format_args!("unknown consistency flag {other}"),
                ));
            }
        };
        let range = range("get", &self.key, &self.range_end, self.prefix, self.from_key)?;
        Ok(RangeRequest {
            key: range.key,
            range_end: range.range_end,
            limit: self.limit,
            revision: self.rev.max(0),
            sort_order,
            sort_target,
            serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            min_mod_revision: self.min_mod_rev,
            max_mod_revision: self.max_mod_rev,
            min_create_revision: self.min_create_rev,
            max_create_revision: self.max_create_rev,
        })
    }
}

fn sorting(order: &str, target: &str) -> Result<(SortOrder, SortTarget), Failure> {
    let bad =
        |what: &str, given: &str| Failure::new(Status::BadFeature, format_args!("bad sort {what} {given}"));
    let sort_target = match target.to_uppercase().as_str() {
        "" | "KEY" => SortTarget::Key,
        "CREATE" => SortTarget::Create,
        "MODIFY" => SortTarget::Mod,
        "VALUE" => SortTarget::Value,
        "VERSION" => SortTarget::Version,
        _ => return Err(bad("target", target)),
    };
    let sort_order = match order.to_uppercase().as_str() {
        "" => SortOrder::None,
        // Keys come in their order anyhow, and need not be gathered for it.
        "ASCEND" if sort_target == SortTarget::Key => SortOrder::None,
        "ASCEND" => SortOrder::Ascend,
        "DESCEND" => SortOrder::Descend,
        _ => return Err(bad("order", order)),
    };
    Ok((sort_order, sort_target))
}

/// The range of `get` and `del`.
pub(super) fn range(
    command: &str,
    key: &Option<OsString>,
    range_end: &Option<OsString>,
    prefix: bool,
    from_key: bool,
) -> Result<KeyRange, Failure> {
    if prefix && from_key {
        return Err(Failure::bad_arguments(
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        ));
    }
    let Some(key) = key.as_ref().map(bytes) else {
        return Err(Failure::bad_arguments(format_args!(
            "{command} command needs one argument as key and an optional argument as range_end"
        )));
    };
    match range_end {
        Some(_) if prefix || from_key => Err(Failure::bad_arguments(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )),
        Some(end) => Ok(KeyRange::new(key, bytes(end))),
        None if prefix => Ok(KeyRange::prefix(&key)),
        None if from_key && key.is_empty() => Ok(KeyRange::all()),
        None if from_key => Ok(KeyRange::new(key, b"\0")),
        None => Ok(KeyRange::single(key)),
    }
}
