//! Invitations: not etcd's, whose members are named to each other by people.

use super::ResponseHeader;

message! {
    pub struct InviteRequest {
        /// Seconds; 0: it does not end.
        ttl: i64 = "TTL",
        /// Boards that it lets in; 0: any number.
        uses: u32,
        /// Those that come in hold the data and never vote.
        replica: bool,
    }
}

message! {
    pub struct InviteResponse {
        header: Option<ResponseHeader>,
        url: String,
        id: String,
        /// As granted, in seconds.
        ttl: i64 = "TTL",
        /// The same URL for boards that look for members in their network; empty: this member is not found so.
        near_url: String = "nearURL",
    }
}

message! {
    pub struct InviteListRequest {}
}

message! {
    /// One that may still be used; the secret is told once, when it is made.
    pub struct InviteStatus {
        id: String,
        replica: bool,
        uses: u32,
        used: u32,
        /// Seconds that are left; -1: it does not end.
        ttl: i64 = "TTL",
    }
}

message! {
    pub struct InviteListResponse {
        header: Option<ResponseHeader>,
        invites: Vec<InviteStatus>,
    }
}

message! {
    pub struct InviteRevokeRequest {
        id: String,
    }
}

message! {
    pub struct InviteRevokeResponse {
        header: Option<ResponseHeader>,
    }
}
