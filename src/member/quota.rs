//! How much the store may become. Only who proposes looks here: what is in the log is applied whatever a board's size.

/// Where the log begins to warn, in percent.
const WARN_PERCENT: u64 = 80;

pub(super) struct Quota {
    quota_bytes: u64,
    used_bytes: u64,
    pending_bytes: u64,
    /// The database can take what may be pending.
    has_room: bool,
    warned: bool,
}

impl Quota {
    pub(super) fn new(quota_bytes: u64, used_bytes: u64, pending_bytes: u64) -> Quota {
        Quota { quota_bytes, used_bytes, pending_bytes, has_room: true, warned: false }
    }

    pub(super) fn flushed(&mut self, used_bytes: u64) {
        self.used_bytes = used_bytes;
        self.warn();
    }

    pub(super) fn applied(&mut self, pending_bytes: u64) {
        self.pending_bytes = pending_bytes;
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    pub(super) fn has_room(&self) -> bool {
        self.has_room
    }

    /// Was it otherwise before?
    pub(super) fn set_room(&mut self, has_room: bool) -> bool {
        std::mem::replace(&mut self.has_room, has_room) != has_room
    }

    /// Is it within the quota, with so much more?
    pub(super) fn allows(&self, more_bytes: u64) -> bool {
        let wanted = [self.pending_bytes, more_bytes].into_iter().fold(self.used_bytes, u64::saturating_add);
        wanted <= self.quota_bytes
    }

    /// Is there little left of it?
    pub(super) fn is_nearly_used_up(&self) -> bool {
        self.used_bytes.saturating_add(self.pending_bytes) > self.warn_bytes()
    }

    fn warn_bytes(&self) -> u64 {
        self.quota_bytes / 100 * WARN_PERCENT
    }

    /// Once each time it is crossed.
    fn warn(&mut self) {
        let over = self.used_bytes > self.warn_bytes();
        if over && !self.warned {
            log::warn!(
                "the store uses {} of {} bytes of its quota: `solder compaction` and `solder defrag` give room, deleting \
                 keys too; --quota-backend-bytes raises it",
                self.used_bytes,
                self.quota_bytes
            );
        }
        self.warned = over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_and_pending_and_the_request_count() {
        let mut quota = Quota::new(1000, 600, 300);
        assert!(quota.allows(100));
        assert!(!quota.allows(101));
        quota.applied(0);
        assert!(quota.allows(400));
        quota.flushed(1001);
        assert!(!quota.allows(0));
        assert!(Quota::new(u64::MAX, 1, 1).allows(u64::MAX));
    }

    #[test]
    fn little_is_left_of_it() {
        let mut quota = Quota::new(1000, 500, 300);
        assert!(!quota.is_nearly_used_up());
        quota.applied(301);
        assert!(quota.is_nearly_used_up());
        assert!(!Quota::new(u64::MAX, 1 << 40, 0).is_nearly_used_up());
    }

    #[test]
    fn a_change_of_room_is_told_once() {
        let mut quota = Quota::new(1000, 0, 0);
        assert!(!quota.set_room(true));
        assert!(quota.set_room(false));
        assert!(!quota.set_room(false));
        assert!(quota.set_room(true));
    }
}
