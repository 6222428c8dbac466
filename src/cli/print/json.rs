//! `json`: as Go's encoding/json writes etcd's structs, which is not what the gateway writes: numbers are numbers, enums are
//! numbers, some answers have their header's fields among their own.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Answer, Done, Health, Style, role_of};
use crate::{
    cli::go,
    rpc::{
        AlarmResponse, DeleteRangeResponse, Event, EventType, HashKVResponse, InviteStatus, KeyValue,
        LeaseTimeToLiveResponse, Member, MemberListResponse, MemberRole, PutResponse, RangeResponse,
        ResponseHeader, ResponseOp, StatusResponse, TxnResponse, WatchResponse,
    },
};

pub(super) fn print(answer: &Answer<'_>, style: &Style, out: &mut Vec<u8>) -> bool {
    let text = match answer {
        Answer::Get(response) => get(response),
        Answer::Put(response) => put(response),
        Answer::Delete(response) => delete(response),
        Answer::Txn(response) => txn(response),
        Answer::Watch(response) => watch(response),
        Answer::Grant(response) => flat(&response.header)
            .raw("ID", response.id)
            .raw("TTL", response.ttl)
            .raw("Error", string(&response.error))
            .end(),
        Answer::Revoke { response, .. } => with_header(&response.header).end(),
        Answer::KeepAlive(response) => {
            flat(&response.header).raw("ID", response.id).raw("TTL", response.ttl).end()
        }
        Answer::TimeToLive { response, .. } => time_to_live(response),
        Answer::Leases(response) => {
            let leases = response.leases.iter().map(|lease| Object::new().raw("id", lease.id).end());
            flat(&response.header).raw("leases", array(leases)).end()
        }
        Answer::Alarms(response) => alarms(response),
        Answer::MemberChanged { done, header, members } => {
            let added = match done {
                Done::Added(member) => member.map(one_member),
                Done::Removed(_) | Done::Updated(_) | Done::Promoted(_) => None,
            };
            with_header(header).some("member", added).list("members", members.iter().map(one_member)).end()
        }
        Answer::ClusterSettings(settings) => with_header(&settings.header)
            .raw("heartbeatInterval", settings.heartbeat_interval)
            .raw("electionTimeout", settings.election_timeout)
            .number("voters", settings.voters)
            .number("replaceAfter", settings.replace_after)
            .number("maxLearners", settings.max_learners)
            .end(),
        Answer::KeyRenewed(renewed) => with_header(&renewed.header).text("key", &renewed.key).end(),
        Answer::Invited(invited) => with_header(&invited.header)
            .text("url", &invited.url)
            .text("id", &invited.id)
            .raw("TTL", invited.ttl)
            .end(),
        Answer::Invites(response) => {
            let one = |invite: &InviteStatus| {
                Object::new()
                    .text("id", &invite.id)
                    .raw("replica", invite.replica)
                    .raw("uses", invite.uses)
                    .raw("used", invite.used)
                    .raw("TTL", invite.ttl)
                    .end()
            };
            with_header(&response.header).list("invites", response.invites.iter().map(one)).end()
        }
        Answer::Members(response) if style.hex => members_hex(response),
        Answer::Members(response) => members(response),
        Answer::Roles { members, roles } => with_roles(members, roles, style.hex),
        Answer::Health(all) => array(all.iter().map(health)),
        Answer::Status(all) => array(all.iter().map(|(endpoint, response)| status(endpoint, response))),
        Answer::Hashes(all) => array(all.iter().map(|(endpoint, response)| hash(endpoint, response))),
        Answer::Snapshot(found) => Object::new()
            .raw("hash", found.hash)
            .raw("revision", found.revision)
            .raw("totalKey", found.keys)
            .raw("totalSize", found.bytes)
            .end(),
        Answer::LeaderMoved { .. } => Object::new().end(),
    };
    out.extend(text.as_bytes());
    out.push(b'\n');
    true
}

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Object {
        Object("{".into())
    }

    /// A field whatever its value, which is JSON already.
    fn raw(mut self, name: &str, value: impl ToString) -> Object {
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0 += &format!("{comma}\"{name}\":{}", value.to_string());
        self
    }

    /// A field that is left out if it is empty.
    fn some(self, name: &str, value: Option<String>) -> Object {
        match value {
            Some(value) => self.raw(name, value),
            None => self,
        }
    }

    fn number<N: Into<i128>>(self, name: &str, number: N) -> Object {
        let number = number.into();
        self.some(name, (number != 0).then(|| number.to_string()))
    }

    fn flag(self, name: &str, flag: bool) -> Object {
        self.some(name, flag.then(|| "true".into()))
    }

    fn bytes(self, name: &str, bytes: &[u8]) -> Object {
        self.some(name, (!bytes.is_empty()).then(|| base64(bytes)))
    }

    fn text(self, name: &str, text: &str) -> Object {
        self.some(name, (!text.is_empty()).then(|| string(text)))
    }

    fn list(self, name: &str, items: impl ExactSizeIterator<Item = String>) -> Object {
        self.some(name, (items.len() > 0).then(|| array(items)))
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text += &item;
    }
    text.push(']');
    text
}

fn base64(bytes: &[u8]) -> String {
    format!("\"{}\"", STANDARD.encode(bytes))
}

/// Go escapes what HTML and JavaScript would stumble over.
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\x08' => out += "\\b",
            '\x0c' => out += "\\f",
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out += &format!("\\u{:04x}", u32::from(char))
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

fn header_fields(object: Object, header: &ResponseHeader) -> Object {
    object
        .number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
}

fn header(header: &ResponseHeader) -> String {
    header_fields(Object::new(), header).end()
}

fn with_header(given: &Option<ResponseHeader>) -> Object {
    Object::new().some("header", given.as_ref().map(header))
}

/// The header's fields among those of the answer.
fn flat(header: &Option<ResponseHeader>) -> Object {
    header.iter().fold(Object::new(), header_fields)
}

fn key_value(kv: &KeyValue) -> String {
    Object::new()
        .bytes("key", &kv.key)
        .number("create_revision", kv.create_revision)
        .number("mod_revision", kv.mod_revision)
        .number("version", kv.version)
        .bytes("value", &kv.value)
        .number("lease", kv.lease)
        .end()
}

fn get(response: &RangeResponse) -> String {
    with_header(&response.header)
        .list("kvs", response.kvs.iter().map(key_value))
        .flag("more", response.more)
        .number("count", response.count)
        .end()
}

fn put(response: &PutResponse) -> String {
    with_header(&response.header).some("prev_kv", response.prev_kv.as_ref().map(key_value)).end()
}

fn delete(response: &DeleteRangeResponse) -> String {
    with_header(&response.header)
        .number("deleted", response.deleted)
        .list("prev_kvs", response.prev_kvs.iter().map(key_value))
        .end()
}

fn txn(response: &TxnResponse) -> String {
    with_header(&response.header)
        .flag("succeeded", response.succeeded)
        .list("responses", response.responses.iter().map(operation))
        .end()
}

fn operation(operation: &ResponseOp) -> String {
    let inner = match operation {
        ResponseOp::Range(response) => Object::new().raw("response_range", get(response)),
        ResponseOp::Put(response) => Object::new().raw("response_put", put(response)),
        ResponseOp::DeleteRange(response) => Object::new().raw("response_delete_range", delete(response)),
        ResponseOp::Txn(response) => Object::new().raw("response_txn", txn(response)),
        ResponseOp::None => return Object::new().raw("Response", "null").end(),
    };
    Object::new().raw("Response", inner.end()).end()
}

fn watch(response: &WatchResponse) -> String {
    // A refused watch never was: etcd's client makes its answer up.
    let never = response.created && response.canceled;
    let header = match never {
        true => "{}".into(),
        false => response.header.as_ref().map_or_else(|| "{}".into(), header),
    };
    let events = if never { "null".into() } else { array(response.events.iter().map(event)) };
    Object::new()
        .raw("Header", header)
        .raw("Events", events)
        .raw("CompactRevision", response.compact_revision)
        .raw("Canceled", response.canceled)
        .raw("Created", response.created && !never)
        .end()
}

fn event(event: &Event) -> String {
    let kind: i32 = match event.kind {
        EventType::Put => 0,
        EventType::Delete => 1,
        EventType::Unknown(number) => number,
    };
    Object::new()
        .number("type", kind)
        .some("kv", event.kv.as_ref().map(key_value))
        .some("prev_kv", event.prev_kv.as_ref().map(key_value))
        .end()
}

fn time_to_live(response: &LeaseTimeToLiveResponse) -> String {
    let keys = match response.keys.is_empty() {
        true => "null".into(),
        false => array(response.keys.iter().map(|key| base64(key))),
    };
    flat(&response.header)
        .raw("id", response.id)
        .raw("ttl", response.ttl)
        .raw("granted-ttl", response.granted_ttl)
        .raw("keys", keys)
        .end()
}

fn alarms(response: &AlarmResponse) -> String {
    use crate::rpc::AlarmType::{Corrupt, NoSpace, None, Unknown};
    let alarm = |alarm: &crate::rpc::AlarmMember| {
        let kind = match alarm.alarm {
            None => 0,
            NoSpace => 1,
            Corrupt => 2,
            Unknown(number) => number,
        };
        Object::new().number("memberID", alarm.member_id).number("alarm", kind).end()
    };
    with_header(&response.header).list("alarms", response.alarms.iter().map(alarm)).end()
}

fn texts(texts: &[String]) -> impl ExactSizeIterator<Item = String> {
    texts.iter().map(|text| string(text))
}

fn one_member(member: &Member) -> String {
    Object::new()
        .number("ID", member.id)
        .text("name", &member.name)
        .list("peerURLs", texts(&member.peer_urls))
        .list("clientURLs", texts(&member.client_urls))
        .flag("isLearner", member.is_learner)
        .end()
}

/// As members are listed, with two fields more, which etcd does not have.
fn with_roles(response: &MemberListResponse, roles: &[MemberRole], hex: bool) -> String {
    let id = |id: u64| if hex { string(&format!("{id:x}")) } else { id.to_string() };
    let member = |member: &Member| {
        let role = role_of(roles, member.id);
        Object::new()
            .raw("ID", id(member.id))
            .text("name", &member.name)
            .list("peerURLs", texts(&member.peer_urls))
            .list("clientURLs", texts(&member.client_urls))
            .flag("isLearner", member.is_learner)
            .number("since", role.since)
            .text("why", &role.why)
            .end()
    };
    with_header(&response.header).list("members", response.members.iter().map(member)).end()
}

fn members(response: &MemberListResponse) -> String {
    with_header(&response.header).list("members", response.members.iter().map(one_member)).end()
}

/// `--hex` changes the ids of members alone, and one name, as etcdctl's does.
fn members_hex(response: &MemberListResponse) -> String {
    let hex = |id: u64| string(&format!("{id:x}"));
    let member = |member: &Member| {
        Object::new()
            .raw("ID", hex(member.id))
            .text("name", &member.name)
            .list("peerURLs", texts(&member.peer_urls))
            .list("clientURLS", texts(&member.client_urls))
            .flag("isLearner", member.is_learner)
            .end()
    };
    let given = response.header.clone().unwrap_or_default();
    let header = Object::new()
        .raw("cluster_id", hex(given.cluster_id))
        .raw("member_id", hex(given.member_id))
        .number("revision", given.revision)
        .number("raft_term", given.raft_term);
    Object::new().raw("header", header.end()).list("members", response.members.iter().map(member)).end()
}

fn health(health: &Health) -> String {
    Object::new()
        .raw("endpoint", string(&health.endpoint))
        .raw("health", health.error.is_none())
        .raw("took", string(&go::duration(health.took)))
        .text("error", health.error.as_deref().unwrap_or_default())
        .end()
}

fn status(endpoint: &str, status: &StatusResponse) -> String {
    let inner = with_header(&status.header)
        .text("version", &status.version)
        .number("dbSize", status.db_size)
        .number("leader", status.leader)
        .number("raftIndex", status.raft_index)
        .number("raftTerm", status.raft_term)
        .number("raftAppliedIndex", status.raft_applied_index)
        .list("errors", texts(&status.errors))
        .number("dbSizeInUse", status.db_size_in_use)
        .flag("isLearner", status.is_learner);
    Object::new().raw("Endpoint", string(endpoint)).raw("Status", inner.end()).end()
}

fn hash(endpoint: &str, response: &HashKVResponse) -> String {
    let inner = with_header(&response.header)
        .number("hash", response.hash)
        .number("compact_revision", response.compact_revision);
    Object::new().raw("Endpoint", string(endpoint)).raw("HashKV", inner.end()).end()
}
