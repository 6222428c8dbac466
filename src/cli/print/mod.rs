//! Answers as text: one file for each of etcdctl's formats. All of them write what etcdctl writes, byte for byte.
//!
//! Here you will not find: calls, flags, standard output.

mod fields;
mod json;
mod rows;
mod simple;
mod table;

use std::time::Duration;

use super::failure::{Failure, Status};
use crate::rpc::{
    AlarmResponse, ClusterSettingsResponse, DeleteRangeResponse, HashKVResponse, InviteListResponse,
    InviteResponse, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse,
    LeaseTimeToLiveResponse, Member, MemberListResponse, MemberRenewKeyResponse, MemberRole, PutResponse,
    RangeResponse, ResponseHeader, StatusResponse, TxnResponse, WatchResponse,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Json,
    Table,
    Fields,
}

/// Of one member.
fn role_of(roles: &[MemberRole], id: u64) -> MemberRole {
    roles.iter().find(|role| role.id == id).cloned().unwrap_or_default()
}

/// How answers are to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    pub(super) hex: bool,
    /// Values without their keys; for `Simple`.
    pub(super) value_only: bool,
}

/// Whatever is printed in more than one format.
pub(super) enum Answer<'a> {
    Get(&'a RangeResponse),
    Put(&'a PutResponse),
    Delete(&'a DeleteRangeResponse),
    Txn(&'a TxnResponse),
    Watch(&'a WatchResponse),
    Grant(&'a LeaseGrantResponse),
    Revoke {
        id: i64,
        response: &'a LeaseRevokeResponse,
    },
    KeepAlive(&'a LeaseKeepAliveResponse),
    TimeToLive {
        response: &'a LeaseTimeToLiveResponse,
        keys: bool,
    },
    Leases(&'a LeaseLeasesResponse),
    Alarms(&'a AlarmResponse),
    Members(&'a MemberListResponse),
    /// Members, and why they are what they are.
    Roles {
        members: &'a MemberListResponse,
        roles: &'a [MemberRole],
    },
    MemberChanged {
        done: Done<'a>,
        header: &'a Option<ResponseHeader>,
        members: &'a [Member],
    },
    KeyRenewed(&'a MemberRenewKeyResponse),
    ClusterSettings(&'a ClusterSettingsResponse),
    Invited(&'a InviteResponse),
    Invites(&'a InviteListResponse),
    Health(&'a [Health]),
    Status(&'a [(String, StatusResponse)]),
    Hashes(&'a [(String, HashKVResponse)]),
    Snapshot(&'a Snapshot),
    LeaderMoved {
        from: u64,
        to: u64,
    },
}

/// What became of a member.
#[derive(Clone, Copy)]
pub(super) enum Done<'a> {
    Added(Option<&'a Member>),
    Removed(u64),
    Updated(u64),
    Promoted(u64),
}

/// Does an endpoint answer?
pub(super) struct Health {
    pub(super) endpoint: String,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
}

/// What a snapshot holds.
pub(super) struct Snapshot {
    pub(super) hash: u32,
    pub(super) revision: i64,
    pub(super) keys: u64,
    pub(super) bytes: u64,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Simple => "simple",
            Format::Json => "json",
            Format::Table => "table",
            Format::Fields => "fields",
        }
    }
}

impl Style {
    /// The text of an answer, if the format has one for it.
    pub(super) fn render(&self, answer: &Answer<'_>) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let known = match self.format {
            Format::Simple => simple::print(answer, self, &mut out),
            Format::Json => json::print(answer, self, &mut out),
            Format::Table => table::print(answer, &mut out),
            Format::Fields => fields::print(answer, &mut out),
        };
        match known {
            true => Ok(out),
            false => Err(Failure::new(
                Status::BadFeature,
                format_args!("{} not supported as output format", self.format.name()),
            )),
        }
    }
}

/// Appends a formatted line.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        $out.extend_from_slice(format!($($arg)*).as_bytes());
        $out.push(b'\n');
    }};
}
use line;
