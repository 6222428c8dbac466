//! What keeps a member well: status, alarms, hashes, defragmentation, snapshots.

use std::{cell::RefCell, collections::VecDeque};

use sha2::{Digest, Sha256};

use super::{
    Api, CLUSTER_VERSION, SERVER_VERSION, convert,
    errors::{Fault, Refusal},
    lines::Lines,
};
use crate::{
    http::Closed,
    member::Status,
    rpc::{self, Documents, DowngradeAction},
    store::HashAt,
    types::{AlarmAction, AlarmKind, AlarmRequest, Error, NodeId, Revision},
};

pub(super) async fn status(api: &Api, _: rpc::StatusRequest) -> Result<rpc::StatusResponse, Fault> {
    let status = api.member.status().await?;
    Ok(rpc::StatusResponse {
        header: Some(api.header()),
        version: SERVER_VERSION.to_owned(),
        db_size: status.db_size_bytes as i64,
        leader: status.leader.map_or(0, |leader| leader.0),
        raft_index: status.raft_index,
        raft_term: status.term.0,
        raft_applied_index: status.applied_index,
        errors: errors(&status),
        db_size_in_use: status.db_in_use_bytes as i64,
        is_learner: status.is_learner,
        notes: status.notes,
    })
}

/// As etcd prints its alarms, blank at the end and all: tools look for these words.
fn errors(status: &Status) -> Vec<String> {
    let no_leader = status.leader.is_none().then(|| Error::NoLeader.to_string());
    let alarms = status.alarms.iter().map(|&(member, kind)| {
        let name = convert::alarm_type(kind).name().unwrap_or_default();
        format!("memberID:{} alarm:{name} ", member.0)
    });
    no_leader.into_iter().chain(alarms).collect()
}

pub(super) async fn alarm(api: &Api, request: rpc::AlarmRequest) -> Result<rpc::AlarmResponse, Fault> {
    let (member, kind) = (NodeId(request.member_id), convert::alarm_kind(request.alarm));
    let alarms = match (request.action, kind) {
        (rpc::AlarmAction::Get, kind) => {
            let alarms = api.member.alarms().await.map_err(Refusal::of_write)?;
            alarms.into_iter().filter(|&(_, raised)| kind.is_none_or(|kind| kind == raised)).collect()
        }
        (rpc::AlarmAction::Activate, Some(kind)) => change(api, AlarmAction::Activate, member, kind).await?,
        (rpc::AlarmAction::Deactivate, Some(kind)) => {
            change(api, AlarmAction::Deactivate, member, kind).await?
        }
        _ => Vec::new(),
    };
    let alarms = alarms
        .into_iter()
        .map(|(member, kind)| rpc::AlarmMember { member_id: member.0, alarm: convert::alarm_type(kind) });
    Ok(rpc::AlarmResponse { header: Some(api.header()), alarms: alarms.collect() })
}

async fn change(
    api: &Api,
    action: AlarmAction,
    member: NodeId,
    kind: AlarmKind,
) -> Result<Vec<(NodeId, AlarmKind)>, Fault> {
    let touched = api.member.change_alarm(AlarmRequest { action, member, kind }).await;
    let touched = touched.map_err(Refusal::of_write)?;
    Ok(touched.into_iter().map(|alarm| (alarm.member, alarm.kind)).collect())
}

pub(super) async fn defragment(
    api: &Api,
    _: rpc::DefragmentRequest,
) -> Result<rpc::DefragmentResponse, Fault> {
    api.member.defragment().await.map_err(Refusal::unknown)?;
    Ok(rpc::DefragmentResponse::default())
}

pub(super) async fn hash(api: &Api, _: rpc::HashRequest) -> Result<rpc::HashResponse, Fault> {
    let hash = api.member.hash_kv(Revision(0)).await?.hash;
    Ok(rpc::HashResponse { header: Some(api.header()), hash })
}

pub(super) async fn hash_kv(api: &Api, request: rpc::HashKVRequest) -> Result<rpc::HashKVResponse, Fault> {
    let found = match api.hashes.find(Revision(request.revision)) {
        Some(known) => known,
        None => api.hashes.keep(api.member.hash_kv(Revision(request.revision)).await?),
    };
    Ok(rpc::HashKVResponse {
        header: Some(api.header()),
        hash: found.hash,
        compact_revision: found.compact_revision.0,
    })
}

/// The last hashes that were asked for. What was true of a revision stays true, and who compares members with each other
/// still gets it when one of them has compacted in between; etcd keeps as many.
#[derive(Default)]
pub(super) struct Hashes(RefCell<VecDeque<HashAt>>);

impl Hashes {
    const MAX: usize = 10;

    fn find(&self, revision: Revision) -> Option<HashAt> {
        self.0.borrow().iter().find(|known| known.revision == revision).copied()
    }

    fn keep(&self, hash: HashAt) -> HashAt {
        let mut hashes = self.0.borrow_mut();
        hashes.retain(|known| known.revision != hash.revision);
        if hashes.len() == Hashes::MAX {
            hashes.pop_front();
        }
        hashes.push_back(hash);
        hash
    }
}

pub(super) async fn move_leader(
    api: &Api,
    request: rpc::MoveLeaderRequest,
) -> Result<rpc::MoveLeaderResponse, Fault> {
    api.member.transfer_leadership(NodeId(request.target_id)).await?;
    Ok(rpc::MoveLeaderResponse::default())
}

/// There is no older version of the data to go back to: what etcd would validate is validated, nothing is done.
pub(super) async fn downgrade(
    api: &Api,
    request: rpc::DowngradeRequest,
) -> Result<rpc::DowngradeResponse, Fault> {
    if request.action == DowngradeAction::Cancel {
        return Err(Refusal::DOWNGRADE_NONE.into());
    }
    let parts: Option<Vec<u32>> = request.version.split('.').map(|part| part.parse().ok()).collect();
    match (parts.as_deref(), request.action) {
        (Some([3, 4, _]), DowngradeAction::Validate) => {
            Ok(rpc::DowngradeResponse { header: Some(api.header()), version: CLUSTER_VERSION.to_owned() })
        }
        (Some([3, 4, _]), _) => Err(Refusal::ABSENT.into()),
        (Some([_, _, _]), _) => Err(Refusal::DOWNGRADE_TARGET.into()),
        _ => Err(Refusal::DOWNGRADE_FORMAT.into()),
    }
}

/// The whole store in pieces, and the SHA-256 of all of them as the last one.
pub(super) async fn snapshot(api: &Api, body: Vec<u8>, mut lines: Lines<'_, '_>) -> Result<(), Closed> {
    let request = Documents::<rpc::SnapshotRequest>::new(&body).next().transpose();
    drop(body);
    let result = match request {
        Ok(_) => send_snapshot(api, &mut lines).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => lines.end().await,
        Err(Fault::Refused(refusal)) => lines.fail(&refusal).await,
        Err(Fault::Closed) => Err(Closed),
    }
}

async fn send_snapshot(api: &Api, lines: &mut Lines<'_, '_>) -> Result<(), Fault> {
    let mut reader = api.member.snapshot().await?;
    let mut digest = Sha256::new();
    while let Some(piece) = reader.next().await? {
        digest.update(&piece);
        lines.send(snapshot_line(reader.remaining_bytes(), piece)).await?;
        lines.room().wait().await;
    }
    lines.send(snapshot_line(0, digest.finalize().to_vec())).await?;
    Ok(())
}

fn snapshot_line(remaining_bytes: u64, blob: Vec<u8>) -> Vec<u8> {
    let result = rpc::SnapshotResponse { header: None, remaining_bytes, blob: blob.into() };
    rpc::encode(&rpc::StreamMessage { result: Some(result), error: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hashes_are_known() {
        let hashes = Hashes::default();
        let at = |revision| HashAt { hash: 7, revision: Revision(revision), compact_revision: Revision(-1) };
        for revision in 1..=11 {
            hashes.keep(at(revision));
        }
        assert_eq!(hashes.find(Revision(0)), None);
        assert_eq!(hashes.find(Revision(1)), None);
        assert_eq!(hashes.find(Revision(2)), Some(at(2)));
        // A newer look at the same revision replaces the older one.
        let newer = HashAt { compact_revision: Revision(5), ..at(11) };
        hashes.keep(newer);
        assert_eq!(hashes.find(Revision(11)), Some(newer));
        assert_eq!(hashes.find(Revision(2)), Some(at(2)));
    }
}
