//! Registries, as the store has them now.

use super::{
    Api, Fault, Kind, Registry, Token, Trouble,
    place::SIZE,
    registry::{Gathering, Node, check},
};
use crate::types::{Command, Outcome, RangeRequest};

/// More than a token can have. Keys can be put by other doors, too, and a token is read whole.
const ROWS_MAX: i64 = 64;

impl Registry {
    /// Linearizable. Refused if there is no such token (any more).
    pub(super) async fn read(api: &Api, token: &Token) -> Result<Registry, Fault> {
        let request = RangeRequest { range: token.keys(), limit: ROWS_MAX, ..RangeRequest::default() };
        let mut reader = api.member.range(request, false).await?;
        let revision = reader.revision();
        let mut gathering = Gathering::default();
        loop {
            let slice = reader.next().await?;
            slice.rows.iter().for_each(|row| gathering.add(token, &row));
            if slice.end.is_some() {
                break;
            }
        }
        gathering.done(revision).ok_or_else(|| Trouble::no_key(token, SIZE, 0).into())
    }
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
        if registry.is_full() {
            let size = registry.node(SIZE).map_or("?", |node| node.value);
            let count = registry.members().count();
            let cause = format!("{count} members have registered for a cluster of {size}: make a new token");
            return Err(Kind::ReadOnly.because(cause).at(index).into());
        }
        match api.propose(Command::Txn(registry.enlist(token, id, value))).await?.outcome {
            Outcome::Txn(txn) if txn.succeeded => return Ok(Node { name: id, value, index: index + 1 }),
            // Something has happened since the registry was read.
            Outcome::Txn(_) => {}
            outcome => panic!("a txn led to {outcome:?}"),
        }
    }
}
