//! The messages of etcd's v3 API as plain structs, and their JSON form as etcd's gateway reads and writes it.
//!
//! ```text
//!   {"key":"Zm9v","limit":"10"}  --decode-->  RangeRequest { key: b"foo", limit: 10, .. }
//!   KeyValue { key: b"foo", mod_revision: 7, .. }  --encode-->  {"key":"Zm9v","mod_revision":"7"}
//! ```
//!
//! | | written | read |
//! |---|---|---|
//! | 64-bit numbers | decimal strings | strings or numbers, `"1e1"` and `1.0` too |
//! | bytes | base64, standard, padded | standard or url-safe, padded or not |
//! | enums | names | names (unknown ones are zero) or numbers (unknown ones are kept) |
//! | names of fields | as in etcd's rpc.proto | these, or in lowerCamelCase |
//! | what is zero or empty | not at all, but for a member of a oneof | as if absent; so is `null` |
//!
//! Fields are written in the order of the proto file. Fields that nobody knows are skipped; a field given twice is refused.
//! Nothing that is read here recurses deeper than serde_json's limit of 128.
//!
//! Here you will not find: what a message means, sockets, errors of the store.

#[macro_use]
mod message;

mod auth;
mod bytes;
mod cluster;
mod enums;
mod failure;
mod invite;
mod kv;
mod lease;
mod maintenance;
mod number;
mod read;
mod scalar;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub use auth::{AuthStatusRequest, AuthStatusResponse, AuthUserGetRequest};
pub use bytes::base64;
pub use cluster::{
    ClusterRolesRequest, ClusterRolesResponse, ClusterSetRequest, ClusterSettingsRequest,
    ClusterSettingsResponse, Member, MemberAddRequest, MemberAddResponse, MemberListRequest,
    MemberListResponse, MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest,
    MemberRemoveResponse, MemberRenewKeyRequest, MemberRenewKeyResponse, MemberRole, MemberUpdateRequest,
    MemberUpdateResponse,
};
pub use enums::{
    AlarmAction, AlarmType, CompareResult, CompareTarget, DowngradeAction, EventType, FilterType, SortOrder,
    SortTarget,
};
pub use failure::{Failure, StreamMessage};
pub use invite::{
    InviteListRequest, InviteListResponse, InviteRequest, InviteResponse, InviteRevokeRequest,
    InviteRevokeResponse, InviteStatus,
};
pub use kv::{
    CompactionRequest, CompactionResponse, Compare, CompareOperand, DeleteRangeRequest, DeleteRangeResponse,
    KeyValue, KeyValueAt, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader,
    ResponseOp, TxnRequest, TxnResponse,
};
pub use lease::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
pub use maintenance::{
    AlarmMember, AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeRequest,
    DowngradeResponse, HashKVRequest, HashKVResponse, HashRequest, HashResponse, MoveLeaderRequest,
    MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
pub use message::{Message, Value};
pub use read::{Documents, ParseError, decode};
pub use watch::{
    Event, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
pub use write::{encode, encode_into, integer, key, member, text};
