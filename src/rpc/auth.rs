//! Who may do what.

use super::ResponseHeader;

message! {
    pub struct AuthStatusRequest {}
}

message! {
    pub struct AuthStatusResponse {
        header: Option<ResponseHeader>,
        enabled: bool,
        auth_revision: u64 = "authRevision",
    }
}

message! {
    pub struct AuthUserGetRequest {
        name: String,
    }
}
