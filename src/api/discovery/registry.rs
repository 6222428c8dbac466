//! What the store holds of a token, and what is to hold when a member gets into it. Without I/O, so that it can be tried in every
//! order of things (`tests/founding`).

use super::{
    Kind, Token, Trouble,
    place::{SIZE, is_id},
};
use crate::{
    store::Record,
    types::{
        Compare, CompareResult, CompareValue, KeyRange, LeaseId, PutRequest, Revision, TxnOp, TxnRequest,
        limits,
    },
};

/// The index of the size; members follow.
const SIZE_INDEX: u64 = 1;

/// A token as it stood at a revision.
pub struct Registry {
    size: String,
    lease: LeaseId,
    /// In the order in which they came.
    members: Vec<Member>,
    revision: Revision,
}

/// One that is being read, row by row.
#[derive(Default)]
pub struct Gathering {
    size: Option<(String, LeaseId)>,
    members: Vec<Member>,
}

struct Member {
    created: Revision,
    id: String,
    value: String,
}

/// A value below a token.
pub struct Node<'r> {
    pub name: &'r str,
    pub value: &'r str,
    pub index: u64,
}

impl Gathering {
    /// A row from below the token, as the store has it.
    pub fn add(&mut self, token: &Token, row: &Record<'_>) {
        let value = String::from_utf8_lossy(row.value).into_owned();
        if row.key == &token.size()[..] {
            self.size = Some((value, row.lease));
        } else if let Some(id) = token.id_of(row.key) {
            self.members.push(Member { created: row.create, id: id.to_owned(), value });
        }
    }

    /// All rows of `revision` were there. `None`: there is no such token (any more).
    pub fn done(self, revision: Revision) -> Option<Registry> {
        let Gathering { size, mut members } = self;
        members.sort_by_key(|member| member.created);
        let (size, lease) = size?;
        Some(Registry { size, lease, members, revision })
    }
}

impl Registry {
    /// That of what came last.
    pub fn index(&self) -> u64 {
        SIZE_INDEX + self.members.len() as u64
    }

    /// In the order in which they came.
    pub fn members(&self) -> impl Iterator<Item = Node<'_>> {
        let members = self.members.iter().zip(SIZE_INDEX + 1..);
        members.map(|(Member { id, value, .. }, index)| Node { name: id, value, index })
    }

    pub fn node(&self, name: &str) -> Option<Node<'_>> {
        match name {
            SIZE => Some(Node { name: SIZE, value: &self.size, index: SIZE_INDEX }),
            name => self.members().find(|node| node.name == name),
        }
    }

    /// As many as it takes have registered, and some more who came late.
    pub fn is_full(&self) -> bool {
        let size = self.size.parse::<u8>().unwrap_or(0).min(limits::DISCOVERY_SIZE_MAX);
        self.members.len() >= size as usize + limits::DISCOVERY_LATE_MAX
    }

    /// What adds a member whose place follows from this registry: it holds only if nobody has come since, and if the token is there
    /// still.
    pub fn enlist(&self, token: &Token, id: &str, value: &str) -> TxnRequest {
        let compare =
            |range, result, revision| Compare { range, result, value: CompareValue::Create(revision) };
        let there = compare(KeyRange::single(token.size()), CompareResult::Greater, Revision(0));
        let none_newer = compare(token.members(), CompareResult::Less, self.revision.next());
        let put = PutRequest {
            key: token.member(id),
            value: value.as_bytes().into(),
            lease: self.lease,
            ..PutRequest::default()
        };
        TxnRequest { compare: vec![there, none_newer], success: vec![TxnOp::Put(put)], failure: Vec::new() }
    }
}

/// One that cannot be understood would spoil the token for all, for it can never be taken back.
pub(super) fn check(id: &str, value: &str) -> Result<(), Trouble> {
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
