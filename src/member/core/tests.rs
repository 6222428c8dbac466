//! What the core decides, looked at without threads.

use std::collections::VecDeque;

use super::*;
use crate::{
    member::{Opened, open},
    types::{Entry, MemberRow},
};

/// Everything that the replica wants is done at once.
fn lead(replica: &mut Replica, options: &Options) {
    let mut effects = VecDeque::from(stand_at_once(replica, options));
    while let Some(effect) = effects.pop_front() {
        let event = match effect {
            Effect::Append(append) => Event::Persisted(append.ticket),
            Effect::Apply(entries) => {
                let index = entries.last().map(Entry::index).expect("something is applied");
                Event::Applied { index, outcomes: Vec::new() }
            }
            _ => continue,
        };
        effects.extend(replica.handle(event));
    }
}

/// As long as the removal of another member is not applied, that one may have acknowledged what is not applied here either.
#[test]
fn who_is_alone_by_the_log_alone_does_not_answer_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { options, identity, mut replica, store, leases, .. } =
        open(Options::new(dir.path())).unwrap();
    lead(&mut replica, &options);
    assert!(replica.node().membership().members().eq([identity.member]), "the log knows nobody else");
    let row = |id: NodeId| (id, MemberRow::default().encode());
    let both = [row(identity.member), row(NodeId(1))];
    let mut core = Core::new(replica, &store, Roll::new(&both), leases, &identity, &options);
    assert!(core.is_leader());
    assert!(!core.answers_alone(), "the removal is not applied");
    core.roll.update(&both[..1]);
    assert!(core.answers_alone());
}
