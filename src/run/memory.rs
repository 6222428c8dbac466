//! How the C library's allocator is to give memory back.
//!
//! By itself it learns from the first large buffer that is freed: from then on buffers of that size come from its heaps, which
//! keep them. A board would pay for ever for the largest burst that it has seen. Other C libraries have nothing to be told.

/// A larger buffer has pages of its own, which go when it goes.
#[cfg(target_env = "gnu")]
const OWN_PAGES_FROM_BYTES: i32 = 128 << 10;

/// What a heap may keep free at its end.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: i32 = 512 << 10;

/// To be called before there are other threads.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(super) fn give_back() {
    let settings = [(libc::M_MMAP_THRESHOLD, OWN_PAGES_FROM_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)];
    for (name, value) in settings {
        // SAFETY: it changes numbers of the allocator under the allocator's own lock.
        let taken = unsafe { libc::mallopt(name, value) };
        if taken == 0 {
            log::debug!("the allocator does not take its setting {name}");
        }
    }
}

#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back() {}
