//! Watches.

use super::{EventType, FilterType, KeyValue, ResponseHeader};
use crate::types::Bytes;

oneof! {
    message enum WatchRequest {
        Create(WatchCreateRequest) = "create_request",
        Cancel(WatchCancelRequest) = "cancel_request",
        Progress(WatchProgressRequest) = "progress_request",
    }
}

message! {
    pub struct WatchCreateRequest {
        key: Bytes,
        range_end: Bytes,
        start_revision: i64,
        progress_notify: bool,
        filters: Vec<FilterType>,
        prev_kv: bool,
        watch_id: i64,
        fragment: bool,
    }
}

message! {
    pub struct WatchCancelRequest {
        watch_id: i64,
    }
}

message! {
    pub struct WatchProgressRequest {}
}

message! {
    pub struct WatchResponse {
        header: Option<ResponseHeader>,
        watch_id: i64,
        created: bool,
        canceled: bool,
        compact_revision: i64,
        cancel_reason: String,
        fragment: bool,
        events: Vec<Event>,
    }
}

message! {
    pub struct Event {
        kind: EventType = "type",
        kv: Option<KeyValue>,
        prev_kv: Option<KeyValue>,
    }
}
