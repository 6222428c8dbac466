//! What an idle watcher costs, measured. A test program of its own, so that nobody else allocates meanwhile.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
};

use solder::{
    types::{Bytes, KeyRange, KeyRev, Revision},
    watch::{Event, Hub, Options, Slice, WatchId, WatchRequest},
};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone)]
struct Change(Rc<(KeyRev, Bytes)>);

impl Event for Change {
    fn rev(&self) -> KeyRev {
        self.0.0
    }

    fn key(&self) -> &Bytes {
        &self.0.1
    }

    fn is_delete(&self) -> bool {
        false
    }

    fn weight_bytes(&self) -> u64 {
        100
    }
}

/// More than the keys themselves, for one of so many watchers that wait for something.
fn weight(streams: usize, watches: usize, range: impl Fn(usize) -> KeyRange) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    let mut hub: Hub<Change> = Hub::new(Options::default(), Revision(1), Revision(-1));
    for place in 0..streams {
        let stream = hub.open();
        for number in 0..watches {
            let request = WatchRequest {
                range: range(place * watches + number),
                start: Revision(0),
                prev_kv: false,
                no_put: false,
                no_delete: false,
                progress_notify: None,
            };
            hub.create(stream, WatchId(number as i64), request);
        }
        assert!(hub.take(stream).is_none());
    }
    hub.scan().expect("the store is to tell of them");
    hub.scanned(Ok(Slice { events: Vec::new(), next: KeyRev { main: Revision(2), sub: 0 } }));
    // Each was told something once.
    let events = (0..streams * watches).map(|number| {
        let rev = KeyRev { main: Revision(2), sub: number as u32 };
        Change(Rc::new((rev, range(number).key)))
    });
    hub.publish(events.collect(), Revision(2), Revision(2));
    for stream in hub.woken() {
        while hub.take(stream).is_some() {}
    }
    assert_eq!((hub.held_bytes(), hub.watchers()), (0, streams * watches));
    (HELD.load(Ordering::Relaxed) - before) / (streams * watches)
}

#[test]
fn an_idle_watcher_weighs_little() {
    const KEY_BYTES: usize = 10;
    let key = |number: usize| format!("/key{number:06}");
    let on_one_stream = weight(1, 10_000, |number| KeyRange::single(key(number).as_str()));
    let on_many = weight(10_000, 1, |number| KeyRange::single(key(number).as_str()));
    let ranges = weight(1, 10_000, |number| KeyRange::prefix(key(number).as_bytes()));
    let same = weight(1000, 1, |_| KeyRange::prefix(b"/key"));
    let figures = [on_one_stream, on_many, ranges, same].map(|weight| weight - KEY_BYTES);
    println!(
        "keys on one stream, on a stream each; ranges on one stream; one range, a stream each: {figures:?} bytes"
    );
    assert!(on_one_stream < 330 + KEY_BYTES, "{on_one_stream}");
    assert!(ranges < 330 + 2 * KEY_BYTES, "{ranges}");
    // With what a stream costs.
    assert!(on_many < 450 && same < 350, "{on_many}, {same}");
}
