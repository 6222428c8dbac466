//! What keeps a member well.

use super::{AlarmAction, AlarmType, DowngradeAction, ResponseHeader};
use crate::types::Bytes;

message! {
    pub struct AlarmRequest {
        action: AlarmAction,
        member_id: u64 = "memberID",
        alarm: AlarmType,
    }
}

message! {
    pub struct AlarmMember {
        member_id: u64 = "memberID",
        alarm: AlarmType,
    }
}

message! {
    pub struct AlarmResponse {
        header: Option<ResponseHeader>,
        alarms: Vec<AlarmMember>,
    }
}

message! {
    pub struct StatusRequest {}
}

message! {
    pub struct StatusResponse {
        header: Option<ResponseHeader>,
        version: String,
        db_size: i64 = "dbSize",
        leader: u64,
        raft_index: u64 = "raftIndex",
        raft_term: u64 = "raftTerm",
        raft_applied_index: u64 = "raftAppliedIndex",
        errors: Vec<String>,
        db_size_in_use: i64 = "dbSizeInUse",
        is_learner: bool = "isLearner",
        /// Not of etcd: what a person should know.
        notes: Vec<String>,
    }
}

message! {
    pub struct DefragmentRequest {}
}

message! {
    pub struct DefragmentResponse {
        header: Option<ResponseHeader>,
    }
}

message! {
    pub struct HashRequest {}
}

message! {
    pub struct HashResponse {
        header: Option<ResponseHeader>,
        hash: u32,
    }
}

message! {
    pub struct HashKVRequest {
        revision: i64,
    }
}

message! {
    pub struct HashKVResponse {
        header: Option<ResponseHeader>,
        hash: u32,
        compact_revision: i64,
    }
}

message! {
    pub struct SnapshotRequest {}
}

message! {
    pub struct SnapshotResponse {
        header: Option<ResponseHeader>,
        remaining_bytes: u64,
        blob: Bytes,
    }
}

message! {
    pub struct MoveLeaderRequest {
        target_id: u64 = "targetID",
    }
}

message! {
    pub struct MoveLeaderResponse {
        header: Option<ResponseHeader>,
    }
}

message! {
    pub struct DowngradeRequest {
        action: DowngradeAction,
        version: String,
    }
}

message! {
    pub struct DowngradeResponse {
        header: Option<ResponseHeader>,
        version: String,
    }
}
