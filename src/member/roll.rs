//! The roll: who the members are, by Raft and by the store's rows about them.

use std::{collections::BTreeMap, mem};

use crate::{
    peer::{MemberAddress, PeerUrl, RollCall, RollEntry, Roster},
    types::{Bytes, ClusterRow, Entry, MemberRow, Membership, MembershipChange, NodeId, Payload},
};

use super::MemberInfo;

/// As of what is applied here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roll {
    rows: BTreeMap<NodeId, MemberRow>,
    pub(super) cluster: ClusterRow,
    /// Of members that were added by entries that are not applied yet: they may be needed for these to be.
    coming: BTreeMap<NodeId, MemberRow>,
    /// Where members were found when they were searched for.
    hints: BTreeMap<NodeId, PeerUrl>,
    /// The voters, as one of them has told this board, which has been let in and was never called.
    told: BTreeMap<NodeId, MemberRow>,
}

impl Roll {
    /// What is no row of a format that this build reads counts for none.
    pub(super) fn new(rows: &[(NodeId, Bytes)]) -> Roll {
        let mut roll = Roll::default();
        for (id, row) in rows {
            match id {
                NodeId(0) => roll.cluster = ClusterRow::decode(row).unwrap_or_default(),
                id => roll.rows.extend(MemberRow::decode(row).map(|row| (*id, row))),
            }
        }
        roll
    }

    /// All rows are these now.
    pub(super) fn update(&mut self, rows: &[(NodeId, Bytes)]) {
        let (coming, mut hints) = (mem::take(&mut self.coming), mem::take(&mut self.hints));
        let told = mem::take(&mut self.told);
        let before = mem::replace(self, Roll::new(rows));
        // Who has told where it is need not be guessed at.
        hints.retain(|id, _| {
            before.row(*id).map(|row| &row.peer_urls) == self.row(*id).map(|row| &row.peer_urls)
        });
        (self.hints, self.told) = (hints, told);
        self.coming = coming.into_iter().filter(|(id, _)| !self.rows.contains_key(id)).collect();
    }

    pub(super) fn appended(&mut self, entry: &Entry) {
        if let Payload::Membership {
            change: MembershipChange::AddVoter(id) | MembershipChange::AddLearner(id),
            info,
            ..
        } = &entry.payload
        {
            self.coming.extend(MemberRow::decode(info).map(|row| (*id, row)));
        }
    }

    /// False: that was known.
    pub(super) fn heard_of(&mut self, id: NodeId, url: PeerUrl) -> bool {
        self.rows.contains_key(&id) && self.hints.insert(id, url.clone()) != Some(url)
    }

    /// False: that was known.
    pub(super) fn heard_of_all(&mut self, told: RollCall, url: PeerUrl) -> bool {
        let voters = told.members.into_iter().filter(|entry| !entry.is_learner);
        let rows = voters.filter_map(|entry| Some((entry.id, MemberRow::decode(&entry.row).ok()?)));
        let mut rows: BTreeMap<NodeId, MemberRow> = rows.collect();
        if let Some(row) = rows.get_mut(&told.member) {
            row.peer_urls.insert(0, url.to_string());
        }
        let is_news = self.told != rows;
        self.told = rows;
        is_news
    }

    pub(super) fn row(&self, id: NodeId) -> Option<&MemberRow> {
        self.rows.get(&id)
    }

    /// Is there a row of anybody else?
    pub(super) fn knows_others(&self, me: NodeId) -> bool {
        self.rows.keys().any(|id| *id != me)
    }

    /// Also of one that is about to be a member.
    pub(super) fn newest(&self, id: NodeId) -> Option<&MemberRow> {
        self.rows.get(&id).or(self.coming.get(&id))
    }

    /// All members, in the order of their ids.
    pub(super) fn infos(&self, membership: &Membership) -> Vec<MemberInfo> {
        membership.members().map(|id| self.info(id, membership)).collect()
    }

    pub(super) fn info(&self, id: NodeId, membership: &Membership) -> MemberInfo {
        let row = self.newest(id).cloned().unwrap_or_default();
        MemberInfo {
            id,
            name: row.name,
            peer_urls: row.peer_urls,
            client_urls: row.client_urls,
            is_learner: membership.learners.contains(&id),
        }
    }

    /// Is one of these the peer URL of a member, other than `except`?
    pub(super) fn has_peer_url(&self, urls: &[String], except: Option<NodeId>) -> bool {
        self.rows
            .iter()
            .filter(|(id, _)| Some(**id) != except)
            .any(|(_, row)| row.peer_urls.iter().any(|url| urls.contains(url)))
    }

    /// What all members know: of one that has never served nobody can say.
    pub(super) fn level(&self, membership: &Membership) -> u32 {
        let level = |id| self.rows.get(&id).map_or(0, |row| row.level);
        membership.members().map(level).min().unwrap_or(0)
    }

    /// For boards that ask. A member whose row this build cannot read is told with an empty one.
    pub(super) fn entries(&self, membership: &Membership) -> Vec<RollEntry> {
        let entry = |id| RollEntry {
            id,
            is_learner: membership.learners.contains(&id),
            row: self.newest(id).cloned().unwrap_or_default().encode(),
        };
        membership.members().map(entry).collect()
    }

    /// Whom peers are to know. A leader's list is the newest there is. Who is to be removed stays until that is applied
    /// here: without the last words of those who stay, a leader that removes itself would never know that it has.
    pub(super) fn roster(&self, membership: &Membership, me: NodeId, leader: Option<NodeId>) -> Roster {
        let votes = |id| membership.voters.contains(&id);
        // Who came in the place of a lost disk stands in the list twice: whoever is where this board is, it is not who it was.
        let mine = self.newest(me).map_or(&[][..], |row| &row.peer_urls);
        let address = |id| MemberAddress {
            id,
            incarnation: self.rows.get(&id).map_or(0, |row| row.incarnation),
            urls: self
                .newest(id)
                .map_or_else(Vec::new, urls)
                .into_iter()
                .chain(self.hints.get(&id).cloned())
                .filter(|url| !mine.contains(&url.to_string()))
                .collect(),
            // Who has lost its leader is perhaps not where that one calls it: it calls by itself, once it has found somebody.
            is_kept: votes(id) && (votes(me) || leader.is_none() && self.hints.contains_key(&id)),
            key: self.newest(id).map_or_else(Bytes::new, |row| row.key.clone()),
            votes: votes(id),
            fills: false,
        };
        let is_going = |id: &NodeId| self.rows.contains_key(id);
        let going = membership.removed.iter().copied().filter(is_going);
        let members = membership.members().chain(going).filter(|id| *id != me).map(address);
        let told = self.told.iter().filter(|(id, _)| membership.is_blank() && **id != me);
        Roster {
            members: members.chain(told.map(|(id, row)| only_told(*id, row))).collect(),
            removed: membership.removed.iter().copied().filter(|id| !is_going(id)).collect(),
            roll: self.entries(membership),
            takes_guests: leader != Some(me),
            is_led: leader.is_some(),
        }
    }
}

/// Whom this board calls so that the leader hears of it. Who leads tells it who the members are.
fn only_told(id: NodeId, row: &MemberRow) -> MemberAddress {
    MemberAddress {
        id,
        incarnation: row.incarnation,
        urls: urls(row),
        is_kept: true,
        key: row.key.clone(),
        votes: false,
        fills: true,
    }
}

fn urls(row: &MemberRow) -> Vec<PeerUrl> {
    row.peer_urls.iter().filter_map(|url| PeerUrl::parse(url).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_leader_calls_whom_it_found() {
        let rows = [1, 2, 3].map(|id| (NodeId(id), MemberRow::default().encode()));
        let members = Membership::of_voters([NodeId(1), NodeId(2)]);
        let members = members.with(MembershipChange::AddLearner(NodeId(3))).expect("a new one");
        let mut roll = Roll::new(&rows);
        let kept = |roll: &Roll, leader| {
            let roster = roll.roster(&members, NodeId(3), leader).members.into_iter();
            roster.filter(|member| member.is_kept).map(|member| member.id.0).collect::<Vec<_>>()
        };
        assert_eq!(
            kept(&roll, None),
            [0; 0],
            "an election is no reason for a hundred learners to call everybody"
        );
        assert!(roll.heard_of(NodeId(2), PeerUrl::parse("https://10.0.0.2:2380").expect("a URL")));
        assert_eq!((kept(&roll, None), kept(&roll, Some(NodeId(1)))), (vec![2], vec![]));
    }

    #[test]
    fn who_was_let_in_and_never_called_calls_those_it_was_told_of() {
        let url = |host: &str| PeerUrl::parse(&format!("https://{host}:1")).expect("a URL");
        let entry = |id, is_learner| {
            let row = MemberRow { peer_urls: vec![url("was").to_string()], ..MemberRow::default() };
            RollEntry { id: NodeId(id), is_learner, row: row.encode() }
        };
        let call = |members: &[(u64, bool)]| RollCall {
            cluster: crate::types::ClusterId(9),
            member: NodeId(2),
            members: members.iter().map(|(id, is_learner)| entry(*id, *is_learner)).collect(),
            removed: Default::default(),
        };
        let (mut roll, me) = (Roll::default(), NodeId(7));
        assert!(roll.heard_of_all(call(&[(1, false), (2, false), (3, true), (7, true)]), url("is")));
        assert!(!roll.heard_of_all(call(&[(1, false), (2, false)]), url("is")), "learners do not count");
        let blank = roll.roster(&Membership::default(), me, None);
        let called = blank
            .members
            .iter()
            .map(|member| (member.id.0, member.urls.clone(), member.is_kept && member.fills));
        assert_eq!(
            called.collect::<Vec<_>>(),
            [(1, vec![url("was")], true), (2, vec![url("is"), url("was")], true)]
        );
        let known = roll.roster(&Membership::of_voters([NodeId(1)]), me, None);
        assert_eq!(known.members.len(), 1, "the list of members is there");
    }

    #[test]
    fn a_board_does_not_call_itself_by_another_name() {
        let row = |url: &str| MemberRow { peer_urls: vec![url.into()], ..MemberRow::default() };
        let rows = [(1, "https://a:1"), (2, "https://b:1"), (3, "https://b:1")];
        let roll = Roll::new(&rows.map(|(id, url)| (NodeId(id), row(url).encode())));
        let members = Membership::of_voters([1, 2, 3].map(NodeId));
        let roster = roll.roster(&members, NodeId(3), None).members.into_iter();
        assert_eq!(roster.map(|member| member.urls.len()).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn who_is_removed_goes_once_that_is_applied() {
        let rows = |ids: &[u64]| -> Vec<(NodeId, Bytes)> {
            ids.iter().map(|id| (NodeId(*id), MemberRow::default().encode())).collect()
        };
        let three = Membership::of_voters([1, 2, 3].map(NodeId));
        let two = three.with(MembershipChange::Remove(NodeId(3))).expect("a member");
        let known = |roster: &Roster| roster.members.iter().map(|member| member.id.0).collect::<Vec<_>>();
        let mut roll = Roll::new(&rows(&[1, 2, 3]));
        let roster = roll.roster(&two, NodeId(1), None);
        assert_eq!((known(&roster), roster.removed.len()), (vec![2, 3], 0));
        assert!(!roster.members[1].is_kept, "it does not vote any more");
        roll.update(&rows(&[1, 2]));
        let roster = roll.roster(&two, NodeId(1), None);
        assert_eq!((known(&roster), roster.removed), (vec![2], two.removed));
    }
}
