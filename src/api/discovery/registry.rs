//! What the store holds of a token, and how a member gets into it.

use super::{
    Api, Fault, Kind, Token, Trouble,
    document::Node,
    place::{SIZE, is_id},
};
use crate::{
    store::Record,
    types::{
        Command, Compare, CompareResult, CompareValue, KeyRange, LeaseId, Outcome, PutRequest, RangeRequest,
        Revision, TxnOp, TxnRequest, limits,
    },
};

/// More than a token can have. Keys can be put by other doors, too, and a token is read whole.
const ROWS_MAX: i64 = 64;

/// The index of the size; members follow.
const SIZE_INDEX: u64 = 1;

/// A token as it stood at a revision.
pub(super) struct Registry {
    size: String,
    lease: LeaseId,
    /// In the order in which they came.
    members: Vec<Member>,
    revision: Revision,
}

struct Member {
    created: Revision,
    id: String,
    value: String,
}

impl Registry {
    /// Linearizable. Refused if there is no such token (any more).
    pub(super) async fn read(api: &Api, token: &Token) -> Result<Registry, Fault> {
        let request = RangeRequest { range: token.keys(), limit: ROWS_MAX, ..RangeRequest::default() };
        let mut reader = api.member.range(request, false).await?;
        let revision = reader.revision();
        let (mut size, mut members) = (None, Vec::new());
        loop {
            let slice = reader.next().await?;
            for row in slice.rows.iter() {
                if row.key == &token.size()[..] {
                    size = Some((text(row.value), row.lease));
                } else {
                    members.extend(member(token, &row));
                }
            }
            if slice.end.is_some() {
                break;
            }
        }
        members.sort_by_key(|member: &Member| member.created);
        let Some((size, lease)) = size else { return Err(Trouble::no_key(token, SIZE, 0).into()) };
        Ok(Registry { size, lease, members, revision })
    }

    /// That of what came last.
    pub(super) fn index(&self) -> u64 {
        SIZE_INDEX + self.members.len() as u64
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Node<'_>> {
        let members = self.members.iter().zip(SIZE_INDEX + 1..);
        members.map(|(Member { id, value, .. }, index)| Node { name: id, value, index })
    }

    pub(super) fn node(&self, name: &str) -> Option<Node<'_>> {
        match name {
            SIZE => Some(Node { name: SIZE, value: &self.size, index: SIZE_INDEX }),
            name => self.members().find(|node| node.name == name),
        }
    }

    fn members_max(&self) -> usize {
        self.size.parse::<u8>().unwrap_or(0).min(limits::DISCOVERY_SIZE_MAX) as usize
            + limits::DISCOVERY_LATE_MAX
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn member(token: &Token, row: &Record<'_>) -> Option<Member> {
    let id = token.id_of(row.key)?.to_owned();
    Some(Member { created: row.create, id, value: text(row.value) })
}

/// Adds a member. Its place in the order follows from who was there before, so it is added only if nobody came meanwhile; if
/// somebody did, it is tried again, which has an end: a token takes few.
pub(super) async fn register<'m>(
    api: &Api,
    token: &Token,
    id: &'m str,
    value: &'m str,
) -> Result<Node<'m>, Fault> {
    check(id, value)?;
    loop {
        let registry = Registry::read(api, token).await?;
        let index = registry.index();
        if registry.node(id).is_some() {
            return Err(Kind::Exists.because(format!("/{token}/{id}")).at(index).into());
        }
        if registry.members.len() >= registry.members_max() {
            let cause = format!(
                "{} members have registered for a cluster of {}: make a new token",
                registry.members.len(),
                registry.size
            );
            return Err(Kind::ReadOnly.because(cause).at(index).into());
        }
        if add(api, token, id, value, &registry).await? {
            return Ok(Node { name: id, value, index: index + 1 });
        }
    }
}

/// One that cannot be understood would spoil the token for all, for it can never be taken back.
fn check(id: &str, value: &str) -> Result<(), Trouble> {
    if id.is_empty() || id == SIZE {
        return Err(Kind::ReadOnly.because("a token stays as it was made"));
    }
    if !is_id(id) {
        return Err(Kind::Field.because("an id has letters, digits, - and ., at most 64"));
    }
    let is_named =
        |part: &str| part.split_once('=').is_some_and(|(name, url)| !name.is_empty() && url.contains("://"));
    if value.len() > limits::DISCOVERY_VALUE_BYTES_MAX || !value.split(',').all(is_named) {
        let cause = format!(
            "the value is not NAME=URL[,NAME=URL], of at most {} bytes",
            limits::DISCOVERY_VALUE_BYTES_MAX
        );
        return Err(Kind::Field.because(cause));
    }
    Ok(())
}

/// False: something has happened since the registry was read.
async fn add(api: &Api, token: &Token, id: &str, value: &str, seen: &Registry) -> Result<bool, Fault> {
    let compare = |range, result, revision| Compare { range, result, value: CompareValue::Create(revision) };
    let there = compare(KeyRange::single(token.size()), CompareResult::Greater, Revision(0));
    let none_newer = compare(token.members(), CompareResult::Less, seen.revision.next());
    let put = PutRequest {
        key: token.member(id),
        value: value.as_bytes().into(),
        lease: seen.lease,
        ..PutRequest::default()
    };
    let txn =
        TxnRequest { compare: vec![there, none_newer], success: vec![TxnOp::Put(put)], failure: Vec::new() };
    match api.propose(Command::Txn(txn)).await?.outcome {
        Outcome::Txn(txn) => Ok(txn.succeeded),
        outcome => panic!("a txn led to {outcome:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_registered() {
        let longest = format!("a=http://{}", "b".repeat(limits::DISCOVERY_VALUE_BYTES_MAX - 9));
        for good in ["a=http://b:1", "a=http://b:1,a=https://[::1]:2", &longest] {
            assert!(check("8e9e05c52164694d", good).is_ok(), "{good}");
        }
        for bad in ["", "a", "=http://b:1", "a=b", "a=http://b:1,", "a=http://b:1,c", &format!("{longest}b")]
        {
            assert!(check("8e9e05c52164694d", bad).is_err(), "{bad}");
        }
        for bad in ["", SIZE, "_config", "a/b"] {
            assert!(check(bad, "a=http://b:1").is_err(), "{bad}");
        }
    }
}
