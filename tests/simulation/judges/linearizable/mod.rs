//! Were clients told one story, in which every call took effect at one moment between its invocation and its answer?
//!
//! Every write that has an effect has a revision of its own and every answer names the newest revision of its moment,
//! so there is only one order that can explain a history: by revision, a write before the reads of its state. It
//! remains to check that this order agrees with real time, and every answer with it; n log n in all.
//!
//! | file | rule |
//! |---|---|
//! | `effects` | a call takes effect once or never, a revision is one call's, what is refused is never seen |
//! | `order` | what was answered before a call was made is not after it: no stale read, no write into the past |
//! | `looks` | who looks at a key at a revision sees the newest write up to it, or that it is deleted |
//! | `compaction` | what is compacted is refused, and only that |
//!
//! *With the truth* (all events) every unknown outcome is settled and the answer is exact. It takes two things on
//! trust, and a run must keep to them: keys that some call names are changed by calls of this history alone, one key a
//! revision; and a truth is whole.
//!
//! *Without it* what is known are acknowledged writes and what reads saw. Never refused, though it may be wrong:
//! - a write that nobody was told of and nobody saw;
//! - an unknown put that was deleted or overwritten before anybody looked, where only its effect on `version` betrays it;
//! - a key that was deleted, put unseen and deleted again while one unknown delete would explain what was seen of it.
//!
//! An unknown outcome stays possible for ever, from its invocation on.

mod chronicle;
mod compaction;
mod effects;
mod lives;
mod looks;
mod needs;
mod order;
#[cfg(test)]
mod tests;

use self::effects::Effects;
use super::{Verdict, history::History, truth::Truth};

/// Refuses a history that no linearizable store could have told.
pub fn judge(history: &History, truth: Option<&Truth>) -> Verdict {
    let calls = history.calls();
    let effects = Effects::of(calls, truth)?;
    let floors = order::floors(calls);
    order::check(calls, &floors, &effects, truth.map(Truth::last))?;
    looks::check(calls, &floors, &effects)?;
    compaction::check(calls)
}
