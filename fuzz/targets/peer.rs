//! What comes from other boards, or from whoever says that he is one.

use solder::peer::{FRAME_HEADER_BYTES, Frame, GREETING_BYTES, Greeting, Validity};

const FRAME_BYTES_MAX: u32 = 1 << 16;

/// A greeting, or a certificate: what a stranger sends first. As it is, and as a greeting with a good checksum.
pub fn peer_greeting(data: &[u8]) {
    let _ = Validity::of(data);
    greeting(data);
    let mut good = data.to_vec();
    if let Ok(length) = Greeting::length(data) {
        good.resize(length, 0);
        let (fields, sum) = good.split_at_mut(length - 4);
        sum.copy_from_slice(&crc32fast::hash(fields).to_le_bytes());
        greeting(&good);
    }
}

fn greeting(bytes: &[u8]) {
    let Ok(greeting) = Greeting::decode(bytes) else { return };
    assert_eq!(Greeting::length(bytes), Ok(bytes.len()), "of what can be read, the length is known");
    let again = greeting.encode();
    assert_eq!(again.len(), GREETING_BYTES);
    assert_eq!(Greeting::decode(&again), Ok(greeting));
}

/// Frames, one behind the other: as they are, and as the payload of one with a good checksum.
pub fn peer_frames(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((frame, length))) = Frame::decode(rest, FRAME_BYTES_MAX) {
        assert!((FRAME_HEADER_BYTES..=rest.len()).contains(&length), "{length} bytes of {}", rest.len());
        written_again(&frame);
        rest = &rest[length..];
    }
    let Ok(length) = u32::try_from(data.len()) else { return };
    let good = [&length.to_le_bytes()[..], &crc32fast::hash(data).to_le_bytes(), data].concat();
    if let Ok(Some((frame, _))) = Frame::decode(&good, FRAME_BYTES_MAX) {
        written_again(&frame);
    }
}

/// What is read is written in a form that is read again as the same.
fn written_again(frame: &Frame) {
    let mut bytes = Vec::new();
    // Numbers may have been written longer than they need be, so it is not longer than it was.
    frame.encode(&mut bytes, FRAME_BYTES_MAX).expect("it came in a frame of no more");
    let (again, length) = Frame::decode(&bytes, FRAME_BYTES_MAX).expect("good").expect("whole");
    assert_eq!((format!("{again:?}"), length), (format!("{frame:?}"), bytes.len()));
}
