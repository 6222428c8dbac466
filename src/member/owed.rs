//! What watchers are owed stays readable: pinned when a compaction is applied, until the hub, having heard of it, says from
//! where on it is still needed.
//!
//! Who does not come for what is owed to him loses it as every reader does, by time (`pins`).

use crate::types::Revision;

use super::{pins::Pin, store_thread::Keeper};

/// What is kept for watchers.
pub(super) struct Kept {
    /// Readable from here on.
    from: Revision,
    pin: Pin,
}

impl Keeper {
    /// To be called before a compaction: nobody knows yet what of all that is readable now is still to be told.
    pub(super) fn keep_all(&mut self) {
        let readable = self.store().compacted();
        let kept = self.teller_mut().kept.take();
        let still = kept.filter(|kept| kept.from <= readable && self.touch(&kept.pin).is_ok());
        let kept = still.unwrap_or_else(|| Kept { from: readable, pin: self.pin(readable) });
        self.teller_mut().kept = Some(kept);
    }

    /// The hub has spoken: from `owed` on changes are to stay readable, and somebody reads from `reader` on. It is not heard if
    /// there was a compaction since that it does not know of.
    pub(super) fn keep_owed(&mut self, heard: Revision, owed: Option<Revision>, reader: Revision) {
        if heard < self.store().compacted() {
            return;
        }
        let kept = self.teller_mut().kept.take();
        self.teller_mut().kept = owed.map(|owed| {
            // And the values before.
            let from = Revision(owed.0 - 1);
            match kept {
                Some(kept) if kept.from == from => {
                    // If that is too late, the read says so.
                    let _ = (reader <= owed).then(|| self.touch(&kept.pin));
                    kept
                }
                // What was kept is let go only once this is.
                _ => Kept { from, pin: self.pin(from) },
            }
        });
    }
}
