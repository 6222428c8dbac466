//! `simple`: keys and values on lines of their own.

use super::{Answer, Done, Style, line, rows};
use crate::{
    cli::go,
    rpc::{
        AlarmMember, DeleteRangeResponse, EventType, KeyValue, LeaseTimeToLiveResponse, PutResponse,
        RangeResponse, ResponseOp, TxnResponse, WatchResponse,
    },
};

pub(super) fn print(answer: &Answer<'_>, style: &Style, out: &mut Vec<u8>) -> bool {
    match answer {
        Answer::Get(response) => get(response, style, out),
        Answer::Put(response) => put(response, style, out),
        Answer::Delete(response) => delete(response, style, out),
        Answer::Txn(response) => txn(response, style, out),
        Answer::Watch(response) => watch(response, style, out),
        Answer::Grant(response) => {
            line!(out, "lease {:016x} granted with TTL({}s)", response.id, response.ttl);
        }
        Answer::Revoke { id, .. } => line!(out, "lease {id:016x} revoked"),
        Answer::KeepAlive(response) => {
            line!(out, "lease {:016x} keepalived with TTL({})", response.id, response.ttl);
        }
        Answer::TimeToLive { response, keys } => time_to_live(response, *keys, out),
        Answer::Leases(response) => {
            line!(out, "found {} leases", response.leases.len());
            response.leases.iter().for_each(|lease| line!(out, "{:016x}", lease.id));
        }
        Answer::Alarms(response) => {
            response.alarms.iter().for_each(|alarm| line!(out, "{}", alarm_text(alarm)))
        }
        Answer::LeaderMoved { from, to } => line!(out, "Leadership transferred from {from:x} to {to:x}"),
        Answer::MemberChanged { done, header, .. } => {
            let (id, what) = match done {
                Done::Added(member) => (member.map_or(0, |member| member.id), "added to"),
                Done::Removed(id) => (*id, "removed from"),
                Done::Updated(id) => (*id, "updated in"),
                Done::Promoted(id) => (*id, "promoted in"),
            };
            let cluster = header.as_ref().map_or(0, |header| header.cluster_id);
            line!(out, "Member {id:16x} {what} cluster {cluster:16x}");
        }
        Answer::Health(all) => {
            for health in all.iter().filter(|health| health.error.is_none()) {
                let took = go::duration(health.took);
                line!(out, "{} is healthy: successfully committed proposal: took = {took}", health.endpoint);
            }
        }
        Answer::ClusterSettings(settings) => {
            line!(out, "heartbeat-interval {} ms", settings.heartbeat_interval);
            line!(out, "election-timeout {} ms", settings.election_timeout);
            rows::autopilot(settings).iter().for_each(|(name, value)| line!(out, "{name} {value}"));
        }
        Answer::KeyRenewed(renewed) => {
            let id = renewed.header.as_ref().map_or(0, |header| header.member_id);
            line!(out, "Member {id:16x} has a new key: SHA-256 {}", renewed.key);
        }
        Answer::Invited(invited) => line!(out, "{}", invited.url),
        Answer::Invites(_)
        | Answer::Members(_)
        | Answer::Roles { .. }
        | Answer::Status(_)
        | Answer::Hashes(_)
        | Answer::Snapshot(_) => {
            let Some((_, rows)) = rows::rows(answer) else { return false };
            rows.iter().for_each(|row| line!(out, "{}", row.join(", ")));
        }
    }
    true
}

fn get(response: &RangeResponse, style: &Style, out: &mut Vec<u8>) {
    response.kvs.iter().for_each(|kv| key_value(kv, style, out));
}

fn put(response: &PutResponse, style: &Style, out: &mut Vec<u8>) {
    line!(out, "OK");
    response.prev_kv.iter().for_each(|kv| key_value(kv, style, out));
}

fn delete(response: &DeleteRangeResponse, style: &Style, out: &mut Vec<u8>) {
    line!(out, "{}", response.deleted);
    response.prev_kvs.iter().for_each(|kv| key_value(kv, style, out));
}

fn txn(response: &TxnResponse, style: &Style, out: &mut Vec<u8>) {
    line!(out, "{}", if response.succeeded { "SUCCESS" } else { "FAILURE" });
    for operation in &response.responses {
        line!(out, "");
        match operation {
            ResponseOp::DeleteRange(response) => delete(response, style, out),
            ResponseOp::Put(response) => put(response, style, out),
            ResponseOp::Range(response) => get(response, style, out),
            ResponseOp::Txn(response) => txn(response, style, out),
            ResponseOp::None => {}
        }
    }
}

fn watch(response: &WatchResponse, style: &Style, out: &mut Vec<u8>) {
    for event in &response.events {
        line!(out, "{}", event_name(event.kind));
        event.prev_kv.iter().for_each(|kv| key_value(kv, style, out));
        event.kv.iter().for_each(|kv| key_value(kv, style, out));
    }
}

fn time_to_live(response: &LeaseTimeToLiveResponse, keys: bool, out: &mut Vec<u8>) {
    let (id, granted, left) = (response.id, response.granted_ttl, response.ttl);
    if granted == 0 && left == -1 {
        return line!(out, "lease {id:016x} already expired");
    }
    out.extend(format!("lease {id:016x} granted with TTL({granted}s), remaining({left}s)").as_bytes());
    if keys {
        out.extend(b", attached keys([");
        out.extend(response.keys.iter().map(|key| &key[..]).collect::<Vec<_>>().join(&b" "[..]));
        out.extend(b"])");
    }
    out.push(b'\n');
}

fn key_value(kv: &KeyValue, style: &Style, out: &mut Vec<u8>) {
    let mut text = |bytes: &[u8]| {
        match style.hex {
            true => out.extend(go::hex(bytes).as_bytes()),
            false => out.extend(bytes),
        }
        out.push(b'\n');
    };
    if !style.value_only {
        text(&kv.key);
    }
    text(&kv.value);
}

pub(super) fn event_name(kind: EventType) -> String {
    match kind {
        EventType::Unknown(number) => number.to_string(),
        kind => kind.name().unwrap_or_default().to_string(),
    }
}

/// protobuf's text form, with the blank at its end.
fn alarm_text(member: &AlarmMember) -> String {
    let mut text = String::new();
    if member.member_id != 0 {
        text += &format!("memberID:{} ", member.member_id);
    }
    match member.alarm.name() {
        Some("NONE") => {}
        Some(name) => text += &format!("alarm:{name} "),
        None => text += &format!("alarm:{:?} ", member.alarm),
    }
    text
}
