//! What has columns: `simple` joins them by commas, `table` draws them.

use super::Answer;
use crate::{
    cli::{go, invite},
    rpc::{Member, StatusResponse},
};

pub(super) type Rows = (&'static [&'static str], Vec<Vec<String>>);

pub(super) fn rows(answer: &Answer<'_>) -> Option<Rows> {
    Some(match answer {
        Answer::Members(response) => {
            let heads = &["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
            (heads, response.members.iter().map(member).collect())
        }
        Answer::Status(all) => {
            let heads = &[
                "Endpoint",
                "ID",
                "Version",
                "DB Size",
                "Is Leader",
                "Is Learner",
                "Raft Term",
                "Raft Index",
                "Raft Applied Index",
                "Errors",
            ];
            (heads, all.iter().map(|(endpoint, response)| status(endpoint, response)).collect())
        }
        Answer::Hashes(all) => {
            let row = |(endpoint, response): &(String, crate::rpc::HashKVResponse)| {
                vec![endpoint.clone(), response.hash.to_string()]
            };
            (&["Endpoint", "Hash"], all.iter().map(row).collect())
        }
        Answer::Health(all) => {
            let row = |health: &super::Health| {
                let healthy = health.error.is_none().to_string();
                vec![
                    health.endpoint.clone(),
                    healthy,
                    go::duration(health.took),
                    health.error.clone().unwrap_or_default(),
                ]
            };
            (&["Endpoint", "Health", "Took", "Error"], all.iter().map(row).collect())
        }
        Answer::Snapshot(found) => {
            let row = vec![
                format!("{:x}", found.hash),
                found.revision.to_string(),
                found.keys.to_string(),
                go::size(found.bytes),
            ];
            (&["Hash", "Revision", "Total Keys", "Total Size"], vec![row])
        }
        Answer::Invites(response) => (&["ID", "Role", "Used", "Left"], invite::rows(response)),
        Answer::ClusterSettings(settings) => {
            let row = [settings.heartbeat_interval, settings.election_timeout];
            (&["Heartbeat Interval", "Election Timeout"], vec![row.map(|ms| format!("{ms} ms")).to_vec()])
        }
        _ => return None,
    })
}

fn member(member: &Member) -> Vec<String> {
    let started = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        started.into(),
        member.name.clone(),
        member.peer_urls.join(","),
        member.client_urls.join(","),
        member.is_learner.to_string(),
    ]
}

fn status(endpoint: &str, status: &StatusResponse) -> Vec<String> {
    let member = status.header.as_ref().map_or(0, |header| header.member_id);
    vec![
        endpoint.to_string(),
        format!("{member:x}"),
        status.version.clone(),
        go::size(status.db_size.unsigned_abs()),
        (status.leader == member).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
    ]
}
