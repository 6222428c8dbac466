//! Watches at random: whatever is written, compacted, created, cancelled, taken late or never, and however late the store
//! answers, each watcher is told exactly the changes from its start on that are for it, in order, whole revisions, none
//! twice. And what is held for those who do not take stays bounded.
//!
//! `SEED=n cargo test --test watch random` repeats one run; `SEEDS=n` makes so many.

use crate::seeds;
use std::{collections::BTreeMap, ops::Range, time::Duration};

use solder::{
    types::{Bytes, KeyRange, KeyRev, Revision},
    watch::{Message, News, Options, StreamId, WatchId, WatchRequest},
};

use crate::{
    script::of_message,
    world::{Handle, World},
};

const STEPS: u32 = 2000;

struct Game {
    rng: fastrand::Rng,
    world: World,
    options: Options,
    streams: BTreeMap<StreamId, Stream>,
    now: Duration,
    told: usize,
    doomed: usize,
    /// The store keeps what is owed, or has once let it go.
    forgets: bool,
    has_forgotten: bool,
}

#[derive(Default)]
struct Stream {
    watches: BTreeMap<WatchId, Watch>,
    /// Its client does not read.
    stuck: bool,
    waits: bool,
    /// Whose message goes on.
    speaker: Option<WatchId>,
}

/// What the model knows of a watch.
struct Watch {
    request: WatchRequest,
    /// Everything before was told.
    next: KeyRev,
    /// It has once been told everything, or began with what was to come.
    was_live: bool,
}

#[test]
fn random() {
    const USUAL: Range<u64> = 0..300;
    let seeds = seeds::asked_for(USUAL);
    let is_usual = seeds == USUAL;
    let (mut told, mut doomed) = (0, 0);
    for seed in seeds {
        let game = std::panic::catch_unwind(|| {
            let mut game = Game::new(seed);
            game.play();
            (game.told, game.doomed)
        });
        let (more, gone) = game.unwrap_or_else(|cause| {
            eprintln!("repeat it with: SEED={seed} cargo test --test watch random");
            std::panic::resume_unwind(cause)
        });
        (told, doomed) = (told + more, doomed + gone);
    }
    assert!(told > 100 && (doomed > 0 || !is_usual), "{told} events, {doomed} compacted: that tries little");
}

impl Game {
    fn new(seed: u64) -> Game {
        let mut rng = fastrand::Rng::with_seed(seed);
        let options = Options {
            window_bytes_max: [30, 100, 1000][rng.usize(..3)],
            message_events_max: [1, 3, 1000][rng.usize(..3)],
            message_bytes_max: [1, 50, 10_000][rng.usize(..3)],
            slice_patience: Duration::from_millis(100),
        };
        let mut world = World::new(options);
        world.store.slice_max = [1, 2, 5, 100][rng.usize(..4)];
        world.store.publish_max = [1, 3, 100][rng.usize(..3)];
        let (streams, now) = (BTreeMap::new(), Duration::ZERO);
        Game {
            rng,
            world,
            options,
            streams,
            now,
            told: 0,
            doomed: 0,
            forgets: seed % 2 == 1,
            has_forgotten: false,
        }
    }

    fn play(&mut self) {
        for _ in 0..STEPS {
            self.step();
            self.check_bounds();
        }
        self.finish();
    }

    fn step(&mut self) {
        match self.rng.u32(..100) {
            0..20 => self.write(),
            20..40 => self.world.hear(),
            40..55 => self.ask(),
            55..75 => self.take_somewhere(),
            75..82 => self.create(),
            82..85 => self.cancel(),
            85 => self.compact(),
            86..88 => self.open(),
            88 => self.close(),
            89..91 => self.toggle_stuck(),
            91..93 => self.rest(),
            93 => self.forget(),
            _ => self.pass(),
        }
    }

    fn key(&mut self) -> Bytes {
        let length = self.rng.usize(1..3);
        (0..length).map(|_| self.rng.u8(b'a'..b'd')).collect::<Vec<u8>>().into()
    }

    fn range(&mut self) -> KeyRange {
        let (key, end) = (self.key(), self.key());
        match self.rng.u8(..5) {
            0 | 1 => KeyRange::single(key),
            2 => KeyRange::prefix(&key),
            3 => KeyRange::all(),
            _ => KeyRange::new(key, end),
        }
    }

    fn write(&mut self) {
        let revisions = if self.rng.u8(..4) == 0 { self.rng.usize(2..6) } else { 1 };
        let mut all = Vec::new();
        for _ in 0..revisions {
            let mut changes = BTreeMap::new();
            for _ in 0..if self.rng.u8(..5) == 0 { self.rng.usize(2..6) } else { 1 } {
                let value = (self.rng.u8(..4) > 0).then(|| ".".repeat(self.rng.usize(..20)));
                changes.insert(self.key(), value);
            }
            all.push(changes.into_iter().collect());
        }
        let report = self.world.store.write_all(all);
        self.world.said.push_back(report);
    }

    fn ask(&mut self) {
        if let Some(scan) = self.world.hub.scan() {
            self.world.asked.push_back(scan);
        } else if let Some(scan) = self.world.asked.pop_front() {
            let report = self.world.store.carry_out(&scan);
            self.world.said.push_back(report);
        }
    }

    fn any_stream(&mut self) -> Option<StreamId> {
        let place = self.rng.usize(..self.streams.len().max(1));
        self.streams.keys().nth(place).copied()
    }

    fn open(&mut self) {
        if self.streams.len() < 6 {
            self.streams.insert(self.world.hub.open(), Stream::default());
        }
    }

    fn close(&mut self) {
        if let Some(id) = self.any_stream() {
            self.streams.remove(&id);
            self.world.hub.close(id);
        }
    }

    fn toggle_stuck(&mut self) {
        if let Some(id) = self.any_stream() {
            let stream = self.streams.get_mut(&id).expect("it is there");
            stream.stuck = !stream.stuck;
            // Sometimes who is stuck had said that he waits.
            if stream.stuck && self.rng.bool() {
                stream.waits = false;
                self.world.hub.rest(id);
            }
        }
    }

    fn rest(&mut self) {
        if let Some(id) = self.any_stream() {
            self.streams.get_mut(&id).expect("it is there").waits = false;
            self.world.hub.rest(id);
        }
    }

    fn create(&mut self) {
        let Some(stream) = self.any_stream() else { return };
        let id = WatchId(self.rng.i64(0..8));
        let (here, range) = (self.world.hub.revision(), self.range());
        let watches = &mut self.streams.get_mut(&stream).expect("it is there").watches;
        if watches.contains_key(&id) {
            return;
        }
        let start = match self.rng.u8(..4) {
            0 => Revision(0),
            1 => Revision(here.0 + self.rng.i64(0..6)),
            _ => Revision(self.rng.i64(1..=here.0)),
        };
        let (prev_kv, no_put, no_delete) = (self.rng.bool(), self.rng.u8(..6) == 0, self.rng.u8(..6) == 0);
        let progress_notify = (self.rng.u8(..3) == 0).then_some(Duration::from_millis(300));
        let request = WatchRequest { range, start, prev_kv, no_put, no_delete, progress_notify };
        let next = KeyRev { main: if start.0 == 0 { here.next() } else { start }, sub: 0 };
        watches.insert(id, Watch { request: request.clone(), next, was_live: next.main > here });
        self.world.hub.create(stream, id, request);
    }

    fn cancel(&mut self) {
        let Some(stream) = self.any_stream() else { return };
        let id = WatchId(self.rng.i64(0..8));
        let known = self.streams.get_mut(&stream).expect("it is there");
        known.speaker = known.speaker.filter(|speaker| *speaker != id);
        let known = known.watches.remove(&id).is_some();
        assert_eq!(self.world.hub.cancel(stream, id), known);
    }

    fn compact(&mut self) {
        let (low, high) = (self.world.store.compacted.0 + 1, self.world.store.revision.0);
        if low <= high {
            let report = self.world.store.compact(Revision(self.rng.i64(low.max(high - 5)..=high)));
            self.world.said.push_back(report);
        }
    }

    /// Some came too late for what they were owed; in every other run.
    fn forget(&mut self) {
        if self.forgets {
            self.world.store.kept = None;
            self.has_forgotten = true;
        }
    }

    fn pass(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(..60));
        self.world.hub.advance(self.now);
    }

    fn take_somewhere(&mut self) {
        for stream in self.world.hub.woken() {
            self.streams.entry(stream).and_modify(|stream| stream.waits = false);
        }
        if let Some(id) = self.any_stream()
            && !self.streams[&id].stuck
        {
            self.take(id);
        }
    }

    /// True: there was something.
    fn take(&mut self, id: StreamId) -> bool {
        let synced = self.world.hub.synced(id);
        if synced.is_some() {
            let watches = &mut self.streams.get_mut(&id).expect("it is there").watches;
            watches.values_mut().for_each(|watch| watch.was_live = true);
        }
        let Some(message) = self.world.hub.take(id) else {
            self.streams.get_mut(&id).expect("it is there").waits = true;
            return false;
        };
        assert_eq!(synced, None, "stream {id:?} had this to say: {}", of_message(&message));
        self.judge(id, &message);
        true
    }

    fn judge(&mut self, id: StreamId, message: &Message<Handle>) {
        let text = of_message(message);
        let Stream { watches, speaker, .. } = self.streams.get_mut(&id).expect("it is there");
        let was_open = speaker.take();
        assert!(was_open.is_none_or(|open| open == message.watch), "{text} while {was_open:?} speaks");
        let watch = watches.get_mut(&message.watch).unwrap_or_else(|| panic!("nobody's message {text}"));
        match &message.what {
            News::Events(events) | News::Part(events) => {
                let goes_on = matches!(message.what, News::Part(_));
                assert!(!events.is_empty() || (was_open.is_some() && !goes_on), "{text} is empty");
                let expected = expected(&self.world, &watch.request, watch.next, message.revision);
                let got: Vec<_> = events.iter().map(|event| (event.0.rev, &event.0.key)).collect();
                let whole = if goes_on { &expected[..got.len().min(expected.len())] } else { &expected[..] };
                assert_eq!(got, whole, "{text} for {:?} from {}", watch.request, watch.next);
                events.iter().for_each(|event| check_event(&self.world, &watch.request, event));
                self.told += events.len();
                watch.next = match events.last().filter(|_| goes_on) {
                    Some(last) => last.0.rev.next(),
                    None => behind(message.revision).max(watch.next),
                };
                *speaker = goes_on.then_some(message.watch);
            }
            News::Progress => {
                let missed = expected(&self.world, &watch.request, watch.next, message.revision);
                assert_eq!(missed, [], "{text} for {:?} from {}", watch.request, watch.next);
                watch.next = behind(message.revision).max(watch.next);
            }
            News::Compacted(compacted) => {
                assert!(watch.next.main < *compacted, "{text} for {:?} from {}", watch.request, watch.next);
                assert!(*compacted <= self.world.store.compacted, "{text}");
                let owed = watch.was_live || was_open.is_some();
                assert!(!owed || self.has_forgotten, "{text} for {:?}, to whom it is owed", watch.request);
                self.doomed += 1;
                watches.remove(&message.watch);
            }
        }
    }

    /// What is held for others to take is within its bounds: a window and a slice, whatever a revision holds.
    fn check_bounds(&self) {
        let held = self.world.hub.held_bytes();
        let most = self.options.window_bytes_max + self.world.store.slice_max as u64 * 30;
        assert!(held <= most, "{held} bytes are held, {most} may be");
    }

    /// In the end, when all read and the store answers, everybody has been told everything.
    fn finish(&mut self) {
        for _ in 0..100_000 {
            self.now += Duration::from_millis(1);
            self.world.hub.advance(self.now);
            self.ask();
            self.world.hear();
            let ids: Vec<StreamId> = self.streams.keys().copied().collect();
            let busy = ids.into_iter().filter(|&id| self.take(id)).count() > 0;
            let posted = self.world.said.len() + self.world.asked.len();
            if !busy && posted == 0 && !self.world.hub.has_scan() {
                return self.check_end();
            }
        }
        panic!("it does not come to an end");
    }

    fn check_end(&self) {
        let revision = self.world.store.revision;
        for (id, stream) in &self.streams {
            assert_eq!(self.world.hub.synced(*id), Some(revision), "{id:?}");
            for (name, watch) in &stream.watches {
                let missed = expected(&self.world, &watch.request, watch.next, revision);
                assert_eq!(missed, [], "{name:?} of {id:?} was not told: {:?}", watch.request);
            }
        }
    }
}

/// What a watch is to be told from a revision up to another.
fn expected<'a>(
    world: &'a World,
    request: &WatchRequest,
    from: KeyRev,
    upto: Revision,
) -> Vec<(KeyRev, &'a Bytes)> {
    let changes = world.store.changes.iter();
    let wanted = changes.filter(|(rev, key, value)| {
        let filtered = if value.is_some() { request.no_put } else { request.no_delete };
        from <= *rev && rev.main <= upto && request.range.contains(key) && !filtered
    });
    wanted.map(|(rev, key, _)| (*rev, key)).collect()
}

fn behind(revision: Revision) -> KeyRev {
    KeyRev { main: revision.next(), sub: 0 }
}

fn check_event(world: &World, request: &WatchRequest, event: &Handle) {
    let change = &event.0;
    let before = Revision(change.rev.main.0 - 1);
    let prev = world.store.value_at(&change.key, before);
    let may_be_gone = before < world.store.compacted;
    if request.prev_kv && !(may_be_gone && change.prev.is_none()) {
        assert_eq!(change.prev, prev, "the value before {event:?}");
    }
}
