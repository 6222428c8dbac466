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
    /// The member that is asked makes itself a new key. Not etcd's.
    pub struct MemberRenewKeyRequest {}
}

message! {
    pub struct MemberRenewKeyResponse {
        header: Option<ResponseHeader>,
        /// SHA-256 of the public key, in hexadecimal.
        key: String,
    }
}

message! {
    /// What holds for all members. Not etcd's: there each member has its own, which nobody compares.
    pub struct ClusterSettingsRequest {}
}

message! {
    /// The first two in milliseconds, `replace_after` in seconds; what is 0 stays as it is. Negative `voters`: people say who
    /// votes.
    pub struct ClusterSetRequest {
        heartbeat_interval: u32 = "heartbeatInterval",
        election_timeout: u32 = "electionTimeout",
        voters: i32,
        replace_after: u32 = "replaceAfter",
        max_learners: u32 = "maxLearners",
        /// With so many boards a cluster is founded that waits for more.
        size: u32,
    }
}

message! {
    pub struct ClusterSettingsResponse {
        header: Option<ResponseHeader>,
        heartbeat_interval: u32 = "heartbeatInterval",
        election_timeout: u32 = "electionTimeout",
        /// So many vote at most, and the cluster sees to it. 0: people say who votes; then the next is of no use.
        voters: u32,
        /// In seconds.
        replace_after: u32 = "replaceAfter",
        /// 0: each member's own setting.
        max_learners: u32 = "maxLearners",
    }
}

message! {
    /// Why members are what they are, where the cluster sees to it. Not etcd's.
    pub struct ClusterRolesRequest {}
}

message! {
    pub struct ClusterRolesResponse {
        header: Option<ResponseHeader>,
        /// None: people say who votes.
        roles: Vec<MemberRole>,
    }
}

message! {
    pub struct MemberRole {
        id: u64 = "ID",
        /// Since when it is voter or learner: Unix seconds, 0 if that is not known.
        since: u64,
        /// A sentence for people.
        why: String,
    }
}
