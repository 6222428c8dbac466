//! Messages with events: whole, cut into fragments for who asked for those, or in parts as they come from history.
//!
//! ```text
//!   {"result":{"header":{..},"watch_id":"1","events":[{..},{..}      the first part
//!   ,{..},{..}                                                       others
//!   ,{..}]}}                                                         the last one, perhaps without an event
//! ```
//!
//! However many events a revision has, of a message that comes in parts no more than one is held here.

use std::{cell::OnceCell, rc::Rc};

use crate::{
    api::{
        convert,
        lines::{Lines, Place},
    },
    http::Closed,
    member::WatchEvent,
    rpc::{self, member},
};

/// What a message may weigh before `fragment` cuts it: etcd's request limit and 512 KiB.
const FRAGMENT_BYTES: usize = (1536 + 512) << 10;

#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
}

/// What is around the events of a message.
pub(super) struct Frame {
    pub(super) header: rpc::ResponseHeader,
    pub(super) watch_id: i64,
    pub(super) flags: Flags,
}

/// The message of a stream that has begun, if one has.
#[derive(Default)]
pub(super) struct Telling {
    open: Option<Open>,
}

enum Open {
    /// Its line is not at its end; it has an event already.
    Line,
    /// The fragment that is next: whether it is the last is not known yet.
    Fragment(Vec<Rc<WatchEvent>>),
}

impl Telling {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Some events of a message of which there may be more.
    pub(super) async fn part(
        &mut self,
        frame: &Frame,
        events: Vec<Rc<WatchEvent>>,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Closed> {
        if frame.flags.fragment {
            if let Some(Open::Fragment(before)) = self.open.replace(Open::Fragment(events)) {
                send_fragments(frame, before, true, lines).await?;
            }
            return Ok(());
        }
        let (mut out, place) = match self.open {
            None => (frame.begin(false), Place::First),
            Some(_) => (vec![b','], Place::Middle),
        };
        self.open = Some(Open::Line);
        write_events(&mut out, &events, frame.flags.prev_kv);
        drop(events);
        lines.part(out, place).await
    }

    /// A message, or the end of one.
    pub(super) async fn last(
        &mut self,
        frame: &Frame,
        events: Vec<Rc<WatchEvent>>,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Closed> {
        match self.open.take() {
            None => send_fragments(frame, events, false, lines).await,
            Some(Open::Fragment(before)) if events.is_empty() => {
                send_fragments(frame, before, false, lines).await
            }
            Some(Open::Fragment(before)) => {
                send_fragments(frame, before, true, lines).await?;
                send_fragments(frame, events, false, lines).await
            }
            Some(Open::Line) => {
                let mut out = if events.is_empty() { Vec::new() } else { vec![b','] };
                write_events(&mut out, &events, frame.flags.prev_kv);
                drop(events);
                out.extend_from_slice(END);
                lines.part(out, Place::Last).await
            }
        }
    }
}

/// `more`: there are others to come.
async fn send_fragments(
    frame: &Frame,
    events: Vec<Rc<WatchEvent>>,
    more: bool,
    lines: &mut Lines<'_, '_>,
) -> Result<(), Closed> {
    let mut pieces = fragments(&events, frame.flags);
    let last = pieces.pop().map(|(part, _)| frame.line(part, more));
    for (part, more) in pieces {
        lines.send(frame.line(part, more)).await?;
    }
    // A peer that does not take it holds its line, but not the events.
    drop(events);
    lines.send(last.unwrap_or_default()).await
}

/// The pieces of a message, and for each whether more follow. One that is not to be cut is one piece.
fn fragments(events: &[Rc<WatchEvent>], flags: Flags) -> Vec<(&[Rc<WatchEvent>], bool)> {
    if !flags.fragment {
        return vec![(events, false)];
    }
    let mut bytes = events.first().map_or(0, |first| weight_bytes(first, flags.prev_kv));
    // A piece ends before the event that would make it too heavy; one event alone is never too heavy.
    let pieces: Vec<_> = events
        .chunk_by(|_, next| {
            let weight = weight_bytes(next, flags.prev_kv);
            let fits = bytes + weight < FRAGMENT_BYTES;
            bytes = if fits { bytes + weight } else { weight };
            fits
        })
        .collect();
    let last = pieces.len().saturating_sub(1);
    pieces.into_iter().enumerate().map(|(index, piece)| (piece, index < last)).collect()
}

fn weight_bytes(event: &WatchEvent, prev_kv: bool) -> usize {
    const NUMBERS_BYTES: usize = 40;
    let of = |record: &crate::store::RevRecord| NUMBERS_BYTES + record.key.len() + record.value.len();
    of(&event.record) + event.prev.as_ref().filter(|_| prev_kv).map_or(0, of)
}

const END: &[u8] = b"]}}";

impl Frame {
    /// A WatchResponse up to its first event.
    fn begin(&self, fragment: bool) -> Vec<u8> {
        const ENVELOPE_BYTES: usize = 256;
        let mut out = Vec::with_capacity(ENVELOPE_BYTES);
        out.extend_from_slice(b"{\"result\":{");
        member(&mut out, "\"header\":", &self.header);
        member(&mut out, "\"watch_id\":", &self.watch_id);
        member(&mut out, "\"fragment\":", &fragment);
        rpc::key(&mut out, "\"events\":");
        out.push(b'[');
        out
    }

    fn line(&self, events: &[Rc<WatchEvent>], fragment: bool) -> Vec<u8> {
        let mut out = self.begin(fragment);
        write_events(&mut out, events, self.flags.prev_kv);
        out.extend_from_slice(END);
        out
    }
}

/// With their shared forms.
fn write_events(out: &mut Vec<u8>, events: &[Rc<WatchEvent>], prev_kv: bool) {
    let forms = || events.iter().map(|event| encoded(event, prev_kv));
    out.reserve_exact(END.len() + 1 + forms().map(|form| form.len() + 1).sum::<usize>());
    for (index, form) in forms().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(form);
    }
}

/// The event's JSON, made by whoever needs it first.
fn encoded(event: &WatchEvent, prev_kv: bool) -> &[u8] {
    let form: &OnceCell<Box<[u8]>> = &event.encoded[usize::from(prev_kv)];
    form.get_or_init(|| {
        let prev = event.prev.as_ref().filter(|_| prev_kv);
        let kind = if event.record.tombstone { rpc::EventType::Delete } else { rpc::EventType::Put };
        let kv = Some(convert::key_value(event.record.clone()));
        let event = rpc::Event { kind, kv, prev_kv: prev.cloned().map(convert::key_value) };
        rpc::encode(&event).into_boxed_slice()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::RevRecord,
        types::{KeyRev, LeaseId, Revision},
    };

    fn event(value_bytes: usize) -> Rc<WatchEvent> {
        let record = RevRecord {
            rev: KeyRev::new(2, 0),
            key: b"a".into(),
            value: vec![b'v'; value_bytes].into(),
            create: Revision(2),
            version: 1,
            lease: LeaseId::NONE,
            tombstone: false,
        };
        Rc::new(WatchEvent { record: record.clone(), prev: Some(record), encoded: Default::default() })
    }

    fn pieces(weights_kib: &[usize], flags: Flags) -> Vec<(usize, bool)> {
        let events: Vec<_> = weights_kib.iter().map(|kib| event(kib << 10)).collect();
        fragments(&events, flags).into_iter().map(|(piece, more)| (piece.len(), more)).collect()
    }

    #[test]
    fn messages_are_cut_where_they_get_too_heavy() {
        let cut = Flags { prev_kv: false, fragment: true };
        assert_eq!(pieces(&[1000, 1000, 1000], cut), [(2, true), (1, false)]);
        assert_eq!(pieces(&[1000, 1000], cut), [(2, false)]);
        assert_eq!(pieces(&[3000, 10, 3000], cut), [(1, true), (1, true), (1, false)]);
        assert_eq!(pieces(&[3000], cut), [(1, false)]);
        assert_eq!(pieces(&[], cut), []);
        // The values before weigh too, if they are told.
        assert_eq!(pieces(&[600, 600], Flags { prev_kv: true, fragment: true }), [(1, true), (1, false)]);
        assert_eq!(pieces(&[3000, 3000], Flags { prev_kv: true, fragment: false }), [(2, false)]);
    }

    #[test]
    fn an_event_is_given_its_form_once() {
        let event = event(1);
        let first = encoded(&event, false).as_ptr();
        assert_eq!(first, encoded(&event, false).as_ptr());
        let text = |prev_kv| std::str::from_utf8(encoded(&event, prev_kv)).unwrap().to_owned();
        let kv = r#"{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"dg=="}"#;
        assert_eq!(text(false), format!(r#"{{"kv":{kv}}}"#));
        assert_eq!(text(true), format!(r#"{{"kv":{kv},"prev_kv":{kv}}}"#));
    }
}
