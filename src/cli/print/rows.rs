//! What has columns: `simple` joins them by commas, `table` draws them.

use std::time::Duration;

use super::{Answer, role_of};
use crate::{
    cli::{go, invite},
    logging,
    rpc::{ClusterSettingsResponse, Member, StatusResponse},
};

pub(super) type Rows = (&'static [&'static str], Vec<Vec<String>>);

pub(super) fn rows(answer: &Answer<'_>) -> Option<Rows> {
    Some(match answer {
        Answer::Members(response) => {
            let heads = &["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
            (heads, response.members.iter().map(member).collect())
        }
        Answer::Roles { members, roles } => {
            let heads = &["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner", "Since", "Why"];
            let row = |known: &Member| {
                let role = role_of(roles, known.id);
                let since = if role.since == 0 { String::new() } else { logging::utc(role.since) };
                let mut row = member(known);
                row.extend([since, role.why]);
                row
            };
            (heads, members.members.iter().map(row).collect())
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
            let timeouts = [settings.heartbeat_interval, settings.election_timeout];
            let mut row = timeouts.map(|ms| format!("{ms} ms")).to_vec();
            let more = autopilot(settings);
            let heads: &[&str] = match more.is_empty() {
                true => &["Heartbeat Interval", "Election Timeout"],
                false => {
                    &["Heartbeat Interval", "Election Timeout", "Voters", "Replace After", "Max Learners"]
                }
            };
            row.extend(more.into_iter().map(|(_, value)| value));
            (heads, vec![row])
        }
        _ => return None,
    })
}

/// What a cluster goes by that chooses its voters.
pub(super) fn autopilot(settings: &ClusterSettingsResponse) -> Vec<(&'static str, String)> {
    if settings.voters == 0 {
        return Vec::new();
    }
    let replace_after = Duration::from_secs(settings.replace_after.into());
    vec![
        ("voters", settings.voters.to_string()),
        ("replace-after", go::duration(replace_after)),
        ("max-learners", settings.max_learners.to_string()),
    ]
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
