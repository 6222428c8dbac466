//! Leases.

use super::ResponseHeader;
use crate::types::Bytes;

message! {
    pub struct LeaseGrantRequest {
        ttl: i64 = "TTL",
        id: i64 = "ID",
    }
}

message! {
    pub struct LeaseGrantResponse {
        header: Option<ResponseHeader>,
        id: i64 = "ID",
        ttl: i64 = "TTL",
        error: String,
    }
}

message! {
    pub struct LeaseRevokeRequest {
        id: i64 = "ID",
    }
}

message! {
    pub struct LeaseRevokeResponse {
        header: Option<ResponseHeader>,
    }
}

message! {
    pub struct LeaseKeepAliveRequest {
        id: i64 = "ID",
    }
}

message! {
    pub struct LeaseKeepAliveResponse {
        header: Option<ResponseHeader>,
        id: i64 = "ID",
        ttl: i64 = "TTL",
    }
}

message! {
    pub struct LeaseTimeToLiveRequest {
        id: i64 = "ID",
        keys: bool,
    }
}

message! {
    pub struct LeaseTimeToLiveResponse {
        header: Option<ResponseHeader>,
        id: i64 = "ID",
        ttl: i64 = "TTL",
        granted_ttl: i64 = "grantedTTL",
        keys: Vec<Bytes>,
    }
}

message! {
    pub struct LeaseLeasesRequest {}
}

message! {
    pub struct LeaseStatus {
        id: i64 = "ID",
    }
}

message! {
    pub struct LeaseLeasesResponse {
        header: Option<ResponseHeader>,
        leases: Vec<LeaseStatus>,
    }
}
