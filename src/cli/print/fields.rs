//! `fields`: one field a line, as Go prints it.

use super::{Answer, Health, Snapshot, line, role_of, simple::event_name};
use crate::{
    cli::go::{duration, quote},
    rpc::{
        AlarmResponse, DeleteRangeResponse, HashKVResponse, KeyValue, LeaseTimeToLiveResponse,
        MemberListResponse, MemberRole, PutResponse, RangeResponse, ResponseHeader, ResponseOp,
        StatusResponse, TxnResponse, WatchResponse,
    },
};

pub(super) fn print(answer: &Answer<'_>, out: &mut Vec<u8>) -> bool {
    match answer {
        Answer::Get(response) => get(response, out),
        Answer::Put(response) => put(response, out),
        Answer::Delete(response) => delete(response, out),
        Answer::Txn(response) => txn(response, out),
        Answer::Watch(response) => watch(response, out),
        Answer::Grant(response) => {
            header(&response.header, out);
            lease(response.id, response.ttl, out);
        }
        Answer::Revoke { response, .. } => header(&response.header, out),
        Answer::KeepAlive(response) => {
            header(&response.header, out);
            lease(response.id, response.ttl, out);
        }
        Answer::TimeToLive { response, .. } => time_to_live(response, out),
        Answer::Leases(response) => {
            header(&response.header, out);
            response.leases.iter().for_each(|lease| line!(out, "\"ID\" : {}", lease.id));
        }
        Answer::Alarms(response) => alarms(response, out),
        Answer::Members(response) => members(response, &[], out),
        Answer::Roles { members: response, roles } => members(response, roles, out),
        Answer::Health(all) => all.iter().for_each(|one| health(one, out)),
        Answer::Status(all) => all.iter().for_each(|(endpoint, response)| status(endpoint, response, out)),
        Answer::Hashes(all) => all.iter().for_each(|(endpoint, response)| hash(endpoint, response, out)),
        Answer::Snapshot(found) => snapshot(found, out),
        Answer::ClusterSettings(settings) => {
            header(&settings.header, out);
            line!(out, "\"HeartbeatInterval\" : {}", settings.heartbeat_interval);
            line!(out, "\"ElectionTimeout\" : {}", settings.election_timeout);
            if settings.voters > 0 {
                line!(out, "\"Voters\" : {}", settings.voters);
                line!(out, "\"ReplaceAfter\" : {}", settings.replace_after);
                line!(out, "\"MaxLearners\" : {}", settings.max_learners);
            }
        }
        Answer::KeyRenewed(renewed) => {
            header(&renewed.header, out);
            line!(out, "\"Key\" : {:?}", renewed.key);
        }
        Answer::Invited(invited) => {
            header(&invited.header, out);
            line!(out, "\"URL\" : {:?}", invited.url);
            line!(out, "\"ID\" : {:?}", invited.id);
            line!(out, "\"TTL\" : {}", invited.ttl);
        }
        Answer::Invites(response) => {
            header(&response.header, out);
            for invite in &response.invites {
                line!(out, "\"ID\" : {:?}", invite.id);
                line!(out, "\"Replica\" : {}", invite.replica);
                line!(out, "\"Uses\" : {}", invite.uses);
                line!(out, "\"Used\" : {}", invite.used);
                line!(out, "\"TTL\" : {}", invite.ttl);
            }
        }
        Answer::LeaderMoved { .. } | Answer::MemberChanged { .. } => return false,
    }
    true
}

fn header(header: &Option<ResponseHeader>, out: &mut Vec<u8>) {
    let header = header.clone().unwrap_or_default();
    line!(out, "\"ClusterID\" : {}", header.cluster_id);
    line!(out, "\"MemberID\" : {}", header.member_id);
    line!(out, "\"Revision\" : {}", header.revision);
    line!(out, "\"RaftTerm\" : {}", header.raft_term);
}

fn key_value(prefix: &str, kv: &KeyValue, out: &mut Vec<u8>) {
    line!(out, "\"{prefix}Key\" : {}", quote(&kv.key));
    line!(out, "\"{prefix}CreateRevision\" : {}", kv.create_revision);
    line!(out, "\"{prefix}ModRevision\" : {}", kv.mod_revision);
    line!(out, "\"{prefix}Version\" : {}", kv.version);
    line!(out, "\"{prefix}Value\" : {}", quote(&kv.value));
    line!(out, "\"{prefix}Lease\" : {}", kv.lease);
}

fn get(response: &RangeResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    response.kvs.iter().for_each(|kv| key_value("", kv, out));
    line!(out, "\"More\" : {}", response.more);
    line!(out, "\"Count\" : {}", response.count);
}

fn put(response: &PutResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    response.prev_kv.iter().for_each(|kv| key_value("Prev", kv, out));
}

fn delete(response: &DeleteRangeResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    line!(out, "\"Deleted\" : {}", response.deleted);
    response.prev_kvs.iter().for_each(|kv| key_value("Prev", kv, out));
}

fn txn(response: &TxnResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    line!(out, "\"Succeeded\" : {}", response.succeeded);
    for operation in &response.responses {
        match operation {
            ResponseOp::DeleteRange(response) => delete(response, out),
            ResponseOp::Put(response) => put(response, out),
            ResponseOp::Range(response) => get(response, out),
            ResponseOp::Txn(response) => txn(response, out),
            ResponseOp::None => {}
        }
    }
}

fn watch(response: &WatchResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    for event in &response.events {
        line!(out, "\"Type\" : {}", event_name(event.kind));
        event.prev_kv.iter().for_each(|kv| key_value("Prev", kv, out));
        event.kv.iter().for_each(|kv| key_value("", kv, out));
    }
}

fn lease(id: i64, ttl: i64, out: &mut Vec<u8>) {
    line!(out, "\"ID\" : {id}");
    line!(out, "\"TTL\" : {ttl}");
}

fn time_to_live(response: &LeaseTimeToLiveResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    lease(response.id, response.ttl, out);
    line!(out, "\"GrantedTTL\" : {}", response.granted_ttl);
    response.keys.iter().for_each(|key| line!(out, "\"Key\" : {}", quote(key)));
}

/// Disarming gives no header.
fn alarms(response: &AlarmResponse, out: &mut Vec<u8>) {
    if response.header.is_some() {
        header(&response.header, out);
    }
    for alarm in &response.alarms {
        line!(out, "\"MemberID\" : {}", alarm.member_id);
        line!(out, "\"AlarmType\" : {}", alarm.alarm.name().unwrap_or("unknown"));
        line!(out, "");
    }
}

fn members(response: &MemberListResponse, roles: &[MemberRole], out: &mut Vec<u8>) {
    header(&response.header, out);
    for member in &response.members {
        line!(out, "\"ID\" : {}", member.id);
        line!(out, "\"Name\" : {}", quote(member.name.as_bytes()));
        member.peer_urls.iter().for_each(|url| line!(out, "\"PeerURL\" : {}", quote(url.as_bytes())));
        member.client_urls.iter().for_each(|url| line!(out, "\"ClientURL\" : {}", quote(url.as_bytes())));
        line!(out, "\"IsLearner\" : {}", member.is_learner);
        if !roles.is_empty() {
            let role = role_of(roles, member.id);
            line!(out, "\"Since\" : {}", role.since);
            line!(out, "\"Why\" : {}", quote(role.why.as_bytes()));
        }
        line!(out, "");
    }
}

fn health(health: &Health, out: &mut Vec<u8>) {
    line!(out, "\"Endpoint\" : {}", quote(health.endpoint.as_bytes()));
    line!(out, "\"Health\" : {}", health.error.is_none());
    line!(out, "\"Took\" : {}", duration(health.took));
    line!(out, "\"Error\" : {}", health.error.as_deref().unwrap_or_default());
    line!(out, "");
}

fn status(endpoint: &str, status: &StatusResponse, out: &mut Vec<u8>) {
    header(&status.header, out);
    line!(out, "\"Version\" : {}", quote(status.version.as_bytes()));
    line!(out, "\"DBSize\" : {}", status.db_size);
    line!(out, "\"Leader\" : {}", status.leader);
    line!(out, "\"IsLearner\" : {}", status.is_learner);
    line!(out, "\"RaftIndex\" : {}", status.raft_index);
    line!(out, "\"RaftTerm\" : {}", status.raft_term);
    line!(out, "\"RaftAppliedIndex\" : {}", status.raft_applied_index);
    line!(out, "\"Errors\" : [{}]", status.errors.join(" "));
    line!(out, "\"Endpoint\" : {}", quote(endpoint.as_bytes()));
    line!(out, "");
}

fn hash(endpoint: &str, response: &HashKVResponse, out: &mut Vec<u8>) {
    header(&response.header, out);
    line!(out, "\"Endpoint\" : {}", quote(endpoint.as_bytes()));
    line!(out, "\"Hash\" : {}", response.hash);
    line!(out, "");
}

fn snapshot(found: &Snapshot, out: &mut Vec<u8>) {
    line!(out, "\"Hash\" : {}", found.hash);
    line!(out, "\"Revision\" : {}", found.revision);
    line!(out, "\"Keys\" : {}", found.keys);
    line!(out, "\"Size\" : {}", found.bytes);
}
