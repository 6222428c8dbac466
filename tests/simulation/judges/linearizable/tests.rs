//! Small histories, each with one thing to see.

use solder::types::{Bytes, KeyRev, Revision};

use super::{
    super::{
        history::{Answer, At, History, Kv, Op},
        truth::{Event, Truth},
    },
    judge,
};

/// `invoked..answered op`, in order of invocation.
#[derive(Default)]
struct Story(History);

impl Story {
    fn told(mut self, times: (u64, u64), op: Op, answer: Answer) -> Story {
        let id = self.0.invoke(times.0, op, times.0);
        self.0.answer(id, answer, times.1);
        self
    }

    fn unknown(mut self, invoked: u64, op: Op) -> Story {
        self.0.invoke(invoked, op, invoked);
        self
    }

    fn put(self, times: (u64, u64), value: &str, made: i64) -> Story {
        self.told(times, put(value), Answer::Put { revision: Revision(made) })
    }

    fn delete(self, times: (u64, u64), revision: i64, deleted: bool) -> Story {
        self.told(times, delete(), Answer::Delete { revision: Revision(revision), deleted })
    }

    fn get(self, times: (u64, u64), revision: i64, kv: Option<Kv>) -> Story {
        self.told(times, get(), Answer::Get { revision: Revision(revision), kv })
    }

    fn legal(self) {
        judge(&self.0, None).unwrap();
    }

    fn illegal(self, why: &str) {
        let reason = judge(&self.0, None).unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }

    fn legal_with(self, events: &[Event]) {
        judge(&self.0, Some(&truth(events))).unwrap();
    }

    fn illegal_with(self, events: &[Event], why: &str) {
        let reason = judge(&self.0, Some(&truth(events))).unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }
}

fn key() -> Bytes {
    b"k".into()
}

fn put(value: &str) -> Op {
    Op::Put { key: key(), value: value.into() }
}

fn delete() -> Op {
    Op::Delete { key: key() }
}

fn get() -> Op {
    Op::Get { key: key(), at: At::Newest, serializable: false }
}

fn get_at(revision: i64) -> Op {
    Op::Get { key: key(), at: At::Revision(Revision(revision)), serializable: false }
}

fn serializable() -> Op {
    Op::Get { key: key(), at: At::Newest, serializable: true }
}

fn cas(expect: i64, value: &str) -> Op {
    Op::Cas { key: key(), expect: Revision(expect), value: value.into() }
}

fn compact(revision: i64) -> Op {
    Op::Compact { revision: Revision(revision) }
}

/// Value, mod revision, create revision, version.
fn kv(value: &str, modified: i64, created: i64, version: i64) -> Option<Kv> {
    Some(Kv { value: value.into(), modified: Revision(modified), created: Revision(created), version })
}

fn got(revision: i64, kv: Option<Kv>) -> Answer {
    Answer::Get { revision: Revision(revision), kv }
}

fn event(main: i64, value: Option<&str>) -> Event {
    Event { at: KeyRev::new(main, 0), key: key(), value: value.map(Bytes::from) }
}

fn truth(events: &[Event]) -> Truth {
    let mut truth = Truth::default();
    truth.learn(events).unwrap();
    truth
}

#[test]
fn one_after_the_other() {
    let story = || {
        Story::default()
            .get((0, 1), 1, None)
            .put((2, 3), "a", 2)
            .get((4, 5), 2, kv("a", 2, 2, 1))
            .put((6, 7), "b", 3)
            .told((8, 9), cas(2, "c"), Answer::CasElse { revision: Revision(3), kv: kv("b", 3, 2, 2) })
            .told((10, 11), cas(3, "d"), Answer::CasDone { revision: Revision(4) })
            .told((12, 13), get_at(2), got(4, kv("a", 2, 2, 1)))
            .delete((14, 15), 5, true)
            .delete((16, 17), 5, false)
            .get((18, 19), 5, None)
            .told((20, 21), cas(0, "e"), Answer::CasDone { revision: Revision(6) })
            .get((22, 23), 6, kv("e", 6, 6, 1))
    };
    story().legal();
    story().legal_with(&[
        event(2, Some("a")),
        event(3, Some("b")),
        event(4, Some("d")),
        event(5, None),
        event(6, Some("e")),
    ]);
}

#[test]
fn a_read_beside_a_write_may_see_it_or_not() {
    Story::default().put((0, 9), "a", 2).get((1, 2), 1, None).legal();
    Story::default().put((0, 9), "a", 2).get((1, 2), 2, kv("a", 2, 2, 1)).legal();
    Story::default()
        .put((0, 9), "a", 2)
        .get((1, 2), 2, kv("a", 2, 2, 1))
        .get((3, 4), 1, None)
        .illegal("stale");
}

#[test]
fn a_stale_read() {
    let story = || Story::default().put((0, 1), "a", 2).put((2, 3), "b", 3).get((4, 5), 2, kv("a", 2, 2, 1));
    story().illegal("stale: answered at revision 2, but 3");
    story().illegal_with(&[event(2, Some("a")), event(3, Some("b"))], "stale");
    Story::default().put((0, 1), "a", 2).get((2, 3), 1, None).illegal("stale");
    Story::default().put((0, 1), "a", 2).delete((2, 3), 1, false).illegal("stale");
}

#[test]
fn at_one_and_the_same_time_is_beside_each_other() {
    Story::default().put((0, 5), "a", 2).get((5, 6), 1, None).legal();
}

#[test]
fn a_serializable_read_may_be_old_but_not_wrong() {
    let story = || Story::default().put((0, 1), "a", 2).put((2, 3), "b", 3);
    story().told((4, 5), serializable(), got(2, kv("a", 2, 2, 1))).legal();
    story().told((4, 5), serializable(), got(1, None)).legal();
    story().told((4, 5), serializable(), got(3, kv("a", 2, 2, 1))).illegal("saw revision 2");
    story().told((4, 5), serializable(), got(2, kv("b", 3, 2, 2))).illegal("saw revision 3");
    // What it was told had happened.
    Story::default()
        .told((0, 1), serializable(), got(2, kv("a", 2, 2, 1)))
        .put((2, 3), "a", 2)
        .illegal("before it was asked");
    Story::default().told((0, 1), serializable(), got(4, None)).get((2, 3), 3, None).illegal("stale");
}

#[test]
fn a_header_of_the_new_with_the_data_of_the_old() {
    let story = || Story::default().put((0, 1), "a", 2).put((2, 3), "b", 3).get((4, 5), 3, kv("a", 2, 2, 1));
    story().illegal("saw revision 2");
    story().illegal_with(&[event(2, Some("a")), event(3, Some("b"))], "saw revision 2");
}

#[test]
fn a_lost_write() {
    Story::default().put((0, 1), "a", 2).get((2, 3), 2, None).illegal("gone by 2");
    Story::default().put((0, 1), "a", 2).put((2, 3), "b", 2).illegal("made twice");
    Story::default().put((0, 1), "a", 2).illegal_with(&[], "in no member's history");
    Story::default()
        .put((0, 1), "a", 2)
        .get((2, 3), 2, None)
        .illegal_with(&[event(2, Some("a"))], "did not find");
}

#[test]
fn a_doubled_write() {
    let story = || Story::default().put((0, 1), "a", 2);
    story().illegal_with(&[event(2, Some("a")), event(3, Some("a"))], "in spite of");
    story().get((2, 3), 3, kv("a", 3, 2, 2)).illegal("in spite of");
    // Of an unknown one once is enough as well.
    let unknown = || Story::default().unknown(0, put("a"));
    unknown().legal_with(&[event(2, Some("a"))]);
    unknown().illegal_with(&[event(2, Some("a")), event(3, Some("a"))], "took effect twice");
    unknown().get((1, 2), 2, kv("a", 2, 2, 1)).get((3, 4), 3, kv("a", 3, 2, 2)).illegal("took effect twice");
    // Two puts known, three counted.
    story().put((2, 3), "b", 3).get((4, 5), 3, kv("b", 3, 2, 2)).legal();
    story().put((2, 3), "b", 4).get((4, 5), 4, kv("b", 4, 2, 3)).illegal("needs 1 times a Put");
}

#[test]
fn an_unknown_write_is_seen_late_or_never() {
    let story = || Story::default().unknown(0, put("x")).put((1, 2), "a", 2).get((3, 4), 2, kv("a", 2, 2, 1));
    story().legal();
    story().get((5, 6), 3, kv("x", 3, 2, 2)).legal();
    story().get((5, 6), 3, kv("x", 3, 2, 2)).get((7, 8), 3, kv("a", 2, 2, 1)).illegal("saw revision 2");
    story().legal_with(&[event(2, Some("a"))]);
    story().legal_with(&[event(2, Some("a")), event(3, Some("x"))]);
}

#[test]
fn an_unknown_write_has_no_effect_before_it_was_asked() {
    let story = || Story::default().put((0, 1), "a", 3).unknown(2, put("x"));
    story().get((3, 4), 4, kv("x", 4, 3, 2)).legal();
    story().told((3, 4), get_at(2), got(3, kv("x", 2, 2, 1))).illegal("before it was asked");
    story().illegal_with(&[event(2, Some("x")), event(3, Some("a"))], "before it was asked");
}

#[test]
fn a_write_that_was_refused_is_never_seen() {
    let story = || Story::default().told((0, 1), put("a"), Answer::Refused);
    story().get((2, 3), 1, None).legal();
    story().get((2, 3), 2, kv("a", 2, 2, 1)).illegal("in spite of");
    story().illegal_with(&[event(2, Some("a"))], "in spite of");
}

#[test]
fn what_nobody_wrote() {
    Story::default().get((0, 1), 2, kv("?", 2, 2, 1)).illegal("written by nobody");
    Story::default().get((0, 1), 1, None).illegal_with(&[event(2, Some("?"))], "written by nobody");
    let elsewhere = Op::Put { key: b"other".into(), value: b"a".into() };
    Story::default().unknown(0, elsewhere).get((1, 2), 2, kv("a", 2, 2, 1)).illegal("stands at");
}

#[test]
fn keys_that_no_call_names_are_other_peoples() {
    let other = |main| Event { key: b"other".into(), ..event(main, Some("?")) };
    Story::default().put((0, 1), "a", 3).legal_with(&[other(2), event(3, Some("a")), other(4)]);
}

#[test]
fn writes_that_follow_each_other_have_rising_revisions() {
    Story::default().put((0, 1), "a", 3).put((2, 3), "b", 2).illegal("before it was asked");
    Story::default().put((0, 9), "a", 3).put((1, 2), "b", 2).legal();
    Story::default().get((0, 1), 2, None).put((2, 3), "b", 2).illegal("before it was asked");
}

#[test]
fn an_absent_key_was_deleted_by_somebody() {
    let story = || Story::default().put((0, 1), "a", 2);
    story().unknown(2, delete()).get((3, 4), 3, None).legal();
    story().unknown(2, delete()).get((3, 4), 2, None).illegal("gone by 2");
    story().unknown(2, delete()).get((3, 4), 3, kv("a", 2, 2, 1)).get((5, 6), 4, None).legal();
    story().unknown(2, delete()).get((3, 4), 3, None).get((5, 6), 4, kv("a", 2, 2, 1)).illegal("gone by 3");
    story().get((2, 3), 3, None).unknown(4, delete()).illegal("nobody was told of");
    // One delete cannot explain two gaps.
    let twice = |story: Story| {
        story.get((3, 4), 3, None).told((5, 6), cas(0, "b"), Answer::CasDone { revision: Revision(4) }).get(
            (7, 8),
            5,
            None,
        )
    };
    twice(story().unknown(2, delete())).illegal("needs 2 times a Delete");
    twice(story().unknown(2, delete()).unknown(2, delete())).legal();
}

#[test]
fn deletes_and_the_truth() {
    let story = || Story::default().put((0, 1), "a", 2).unknown(2, delete());
    story().legal_with(&[event(2, Some("a"))]);
    story().legal_with(&[event(2, Some("a")), event(3, None)]);
    Story::default()
        .put((0, 1), "a", 2)
        .illegal_with(&[event(2, Some("a")), event(3, None)], "nobody was told of");
    let refused = Story::default().put((0, 1), "a", 2).told((2, 3), delete(), Answer::Refused);
    refused.illegal_with(&[event(2, Some("a")), event(3, None)], "nobody was told of");
    let late = Story::default().put((0, 1), "a", 2).get((2, 3), 3, None).unknown(4, delete());
    late.illegal_with(&[event(2, Some("a")), event(3, None)], "nobody was told of");
    Story::default()
        .put((0, 1), "a", 2)
        .delete((2, 3), 3, true)
        .illegal_with(&[event(2, Some("a"))], "no member");
}

#[test]
fn a_delete_deletes_something() {
    Story::default().delete((0, 1), 2, true).illegal("needs 1 times a Put");
    Story::default().unknown(0, put("a")).delete((1, 2), 3, true).legal();
    Story::default().put((0, 1), "a", 2).delete((2, 3), 2, false).illegal("gone by 2");
    Story::default()
        .put((0, 1), "a", 2)
        .delete((2, 3), 3, true)
        .delete((4, 5), 4, true)
        .illegal("needs 1 times a Put");
}

#[test]
fn a_life_tells_what_lies_between() {
    let story = || Story::default().put((0, 1), "a", 2);
    let again = |story: Story| story.put((5, 6), "b", 5).get((7, 8), 5, kv("b", 5, 5, 1));
    again(story()).illegal("needs 1 times a Delete");
    again(story().unknown(2, delete())).legal();
    again(story().unknown(2, delete()).get((3, 4), 4, kv("a", 2, 2, 1))).illegal("gone by 4");
    again(story().delete((2, 3), 3, true)).legal();
    let same = |story: Story| story.put((5, 6), "b", 5).get((7, 8), 5, kv("b", 5, 2, 2));
    same(story()).legal();
    same(story().delete((2, 3), 3, true)).illegal("one life from 2 on");
    same(story().unknown(2, delete()).get((3, 4), 4, None)).illegal("it lived from 2 on");
    Story::default()
        .unknown(0, put("x"))
        .get((1, 2), 3, None)
        .put((3, 4), "b", 5)
        .get((5, 6), 5, kv("b", 5, 2, 2))
        .illegal("it lived from 2 on");
    story().get((2, 3), 2, kv("a", 2, 1, 1)).illegal("no key can have");
    story().get((2, 3), 2, kv("a", 2, 1, 9)).illegal("no key can have");
}

#[test]
fn a_transaction_holds_what_it_compared() {
    let story = || Story::default().put((0, 1), "a", 2).put((2, 3), "b", 3);
    story().told((4, 5), cas(3, "c"), Answer::CasDone { revision: Revision(4) }).legal();
    story().told((4, 5), cas(2, "c"), Answer::CasDone { revision: Revision(4) }).illegal("saw revision 2");
    story().told((4, 5), cas(0, "c"), Answer::CasDone { revision: Revision(4) }).illegal("gone by 3");
    let lost = Answer::CasElse { revision: Revision(3), kv: kv("b", 3, 2, 2) };
    story().told((4, 5), cas(3, "c"), lost).illegal("its condition held");
    // One of unknown outcome is held to it once it is seen.
    let seen = |expect| story().unknown(4, cas(expect, "c")).get((5, 6), 4, kv("c", 4, 2, 3));
    seen(3).legal();
    seen(2).illegal("saw revision 2");
    story()
        .unknown(4, cas(2, "c"))
        .illegal_with(&[event(2, Some("a")), event(3, Some("b")), event(4, Some("c"))], "saw revision 2");
}

#[test]
fn a_failed_transaction_gives_an_unknown_write_away() {
    let seen = Answer::CasElse { revision: Revision(2), kv: kv("x", 2, 2, 1) };
    let story = |answer| Story::default().unknown(0, put("x")).told((1, 2), cas(0, "c"), answer);
    story(seen.clone()).get((3, 4), 2, kv("x", 2, 2, 1)).legal();
    story(seen).get((3, 4), 3, kv("x", 3, 3, 1)).illegal("took effect twice");
}

#[test]
fn compaction_hides_the_past_and_nothing_else() {
    let story = || Story::default().put((0, 1), "a", 2).put((2, 3), "b", 3).put((4, 5), "c", 4);
    let done = |story: Story| story.told((6, 7), compact(3), Answer::Compact { revision: Revision(4) });
    done(story()).told((8, 9), get_at(2), Answer::Compacted).legal();
    done(story()).told((8, 9), get_at(3), got(4, kv("b", 3, 2, 2))).legal();
    done(story()).told((8, 9), get_at(3), Answer::Compacted).illegal("only 3 was to be compacted");
    done(story()).told((8, 9), get_at(2), got(4, kv("a", 2, 2, 1))).illegal("read what was compacted");
    story().told((6, 7), get_at(2), Answer::Compacted).illegal("only 0 was to be");
    story().unknown(6, compact(3)).told((7, 8), get_at(2), Answer::Compacted).legal();
    story().unknown(6, compact(3)).told((7, 8), get_at(2), got(4, kv("a", 2, 2, 1))).legal();
    story()
        .told((6, 7), compact(3), Answer::Refused)
        .told((8, 9), get_at(2), Answer::Compacted)
        .illegal("only 0");
    story().told((6, 7), compact(5), Answer::Compact { revision: Revision(4) }).illegal("yet to come");
    done(story())
        .told((8, 9), compact(3), Answer::Compact { revision: Revision(4) })
        .illegal("3 was compacted");
    story().told((6, 7), get_at(5), got(4, None)).illegal("which has yet to come");
}

#[test]
fn an_answer_from_beyond_the_end() {
    Story::default()
        .put((0, 1), "a", 2)
        .get((2, 3), 3, kv("a", 2, 2, 1))
        .illegal_with(&[event(2, Some("a"))], "no member has");
}
