//! The members of a cluster.

use super::ResponseHeader;

message! {
    pub struct Member {
        id: u64 = "ID",
        name: String,
        peer_urls: Vec<String> = "peerURLs",
        client_urls: Vec<String> = "clientURLs",
        is_learner: bool = "isLearner",
    }
}

message! {
    pub struct MemberAddRequest {
        peer_urls: Vec<String> = "peerURLs",
        is_learner: bool = "isLearner",
    }
}

message! {
    pub struct MemberAddResponse {
        header: Option<ResponseHeader>,
        member: Option<Member>,
        members: Vec<Member>,
    }
}

message! {
    pub struct MemberRemoveRequest {
        id: u64 = "ID",
    }
}

message! {
    pub struct MemberRemoveResponse {
        header: Option<ResponseHeader>,
        members: Vec<Member>,
    }
}

message! {
    pub struct MemberUpdateRequest {
        id: u64 = "ID",
        peer_urls: Vec<String> = "peerURLs",
    }
}

message! {
    pub struct MemberUpdateResponse {
        header: Option<ResponseHeader>,
        members: Vec<Member>,
    }
}

message! {
    pub struct MemberListRequest {
        linearizable: bool,
    }
}

message! {
    pub struct MemberListResponse {
        header: Option<ResponseHeader>,
        members: Vec<Member>,
    }
}

message! {
    pub struct MemberPromoteRequest {
        id: u64 = "ID",
    }
}

message! {
    pub struct MemberPromoteResponse {
        header: Option<ResponseHeader>,
        members: Vec<Member>,
    }
}

message! {
    /// What holds for all members. Not etcd's: there each member has its own, which nobody compares.
    pub struct ClusterSettingsRequest {}
}

message! {
    /// In milliseconds; what is 0 stays as it is.
    pub struct ClusterSetRequest {
        heartbeat_interval: u32 = "heartbeatInterval",
        election_timeout: u32 = "electionTimeout",
    }
}

message! {
    pub struct ClusterSettingsResponse {
        header: Option<ResponseHeader>,
        heartbeat_interval: u32 = "heartbeatInterval",
        election_timeout: u32 = "electionTimeout",
    }
}
