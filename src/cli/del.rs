//! `del KEY [RANGE_END]`, and what etcdctl does not have: `--if-value`, `--if-rev`.

use std::ffi::OsString;

use clap::Args;

use super::{
    condition::{self, Condition},
    failure::Failure,
    get::range,
    print::Answer,
    session::Session,
};
use crate::rpc::{DeleteRangeRequest, DeleteRangeResponse, RequestOp, ResponseOp};

/// etcdctl's part, which `txn` has too.
#[derive(Args)]
pub(super) struct Basic {
    /// The key, or the first one of a range.
    key: Option<OsString>,
    /// The range ends before this key.
    range_end: Option<OsString>,
    /// Delete the keys that begin with KEY.
    #[arg(long)]
    prefix: bool,
    /// Delete the keys from KEY on.
    #[arg(long)]
    from_key: bool,
    /// Say that a range is meant, not two keys.
    #[arg(long)]
    range: bool,
    /// Print what is deleted.
    #[arg(long)]
    prev_kv: bool,
}

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    basic: Basic,
    /// Only if the key has that value.
    #[arg(long, value_name = "VALUE", conflicts_with_all = ["range_end", "prefix", "from_key"])]
    if_value: Option<OsString>,
    /// Only if the key was last changed at that revision.
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["range_end", "prefix", "from_key"])]
    if_rev: Option<i64>,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let condition = Condition { absent: false, value: arguments.if_value, revision: arguments.if_rev };
    let request = arguments.basic.request()?;
    let compare = condition.compares(&request.key);
    if compare.is_empty() {
        return session.print(&Answer::Delete(&session.client.delete_range(&request).await?));
    }
    let key = request.key.clone();
    let response = condition::txn(compare, RequestOp::DeleteRange(request), &key, session).await?;
    let deleted = match response.responses.into_iter().next() {
        Some(ResponseOp::DeleteRange(deleted)) => deleted,
        _ => DeleteRangeResponse::default(),
    };
    session.print(&Answer::Delete(&DeleteRangeResponse { header: response.header, ..deleted }))
}

impl Basic {
    pub(super) fn request(self) -> Result<DeleteRangeRequest, Failure> {
        let range = range("del", &self.key, &self.range_end, self.prefix, self.from_key)?;
        if self.range_end.is_some() && !self.range {
            eprintln!(
                "Warning: all keys from the first up to the second are deleted; with --range this is not said"
            );
        }
        Ok(DeleteRangeRequest { key: range.key, range_end: range.range_end, prev_kv: self.prev_kv })
    }
}
