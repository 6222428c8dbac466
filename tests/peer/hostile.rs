//! Bytes that no good peer sends, and sockets that say nothing.

use std::{fs, time::Duration};

use futures_lite::io::AsyncReadExt;
use solder::peer::{Bye, Frame, Greeting, Roster};

use crate::{
    raw::{FRAME_BYTES_MAX, Raw, bytes_of, greeting},
    support::{Board, heartbeat, options, run, until},
};

/// Takes anybody who greets well.
fn open_board(executor: &std::rc::Rc<smol::LocalExecutor<'static>>) -> Board {
    let board = Board::start(executor, 1);
    board.peers.set_members(Roster { takes_guests: true, ..Roster::default() });
    board
}

async fn serves(board: &Board) {
    let mut good = Raw::join(&board.url, greeting(2, 1)).await;
    let round = fastrand::u64(..);
    good.send(Frame::Message(heartbeat(2, 1, round))).await;
    until("a good peer is heard", || board.messages().contains(&format!("heartbeat {round}"))).await;
}

#[test]
fn what_is_no_greeting() {
    run(|executor| async move {
        let board = open_board(&executor);
        let good = greeting(3, 1).encode();
        let mut bad_sum = good;
        bad_sum[47] ^= 1;
        let mut too_long = good;
        too_long[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
        let inputs: [&[u8]; 5] =
            [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[0xff; 4096], &bad_sum, &too_long, b"SolderPe\0\0"];
        for (count, input) in (1..).zip(inputs) {
            let mut raw = Raw::dial(&board.url).await;
            raw.write(input).await;
            let mut rest = Vec::new();
            let _ = raw.socket.read_to_end(&mut rest).await;
            assert_eq!(rest, [0u8; 0], "no word for whom is not understood");
            assert_eq!(board.peers.totals().strangers_failed, count);
        }
        let mut half = Raw::dial(&board.url).await;
        half.write(&good[..30]).await;
        drop(half);
        until("it went", || board.peers.totals().strangers_failed == 6).await;
        serves(&board).await;
    });
}

#[test]
fn what_is_no_frame() {
    run(|executor| async move {
        let board = open_board(&executor);
        let good = bytes_of(&Frame::Message(heartbeat(3, 1, 1)));
        let mut bad_sum = good.clone();
        bad_sum[10] ^= 1;
        let too_long = [(FRAME_BYTES_MAX + 1).to_le_bytes(), [0; 4]].concat();
        let unknown_kind = [&[1, 0, 0, 0][..], &crc32fast::hash(&[77]).to_le_bytes(), &[77]].concat();
        let of_another = bytes_of(&Frame::Message(heartbeat(4, 1, 1)));
        let for_another = bytes_of(&Frame::Message(heartbeat(3, 5, 1)));
        for input in [bad_sum, too_long, unknown_kind, of_another, for_another, vec![0xff; 20_000]] {
            let mut raw = Raw::join(&board.url, greeting(3, 1)).await;
            // Something is still on its way when the other side has had enough.
            raw.write(&input).await;
            assert_eq!(board.figures(3).malformed, 0);
            assert_eq!(raw.bye().await, Some(Bye::Malformed));
            until("counted", || board.peers.figures().iter().all(|figures| figures.malformed == 1)).await;
            drop(raw);
            until("gone", || board.peers.figures().is_empty()).await;
        }
        assert_eq!(board.messages(), [""; 0]);
        assert_eq!(board.lost(), [0; 0], "this board ended it");
        serves(&board).await;
    });
}

#[test]
fn frames_in_pieces() {
    run(|executor| async move {
        let board = open_board(&executor);
        let mut raw = Raw::join(&board.url, greeting(3, 1)).await;
        let frame = bytes_of(&Frame::Message(heartbeat(3, 1, 7)));
        for byte in &frame {
            raw.write(&[*byte]).await;
            smol::future::yield_now().await;
        }
        until("it came", || board.messages() == ["heartbeat 7"]).await;
        raw.write(&frame[..frame.len() - 1]).await;
        drop(raw);
        until("its end", || board.lost() == [3]).await;
        assert_eq!(board.messages(), ["heartbeat 7"], "half a frame is none");
    });
}

#[test]
fn a_ping_is_answered_with_its_number() {
    run(|executor| async move {
        let board = open_board(&executor);
        let mut raw = Raw::join(&board.url, greeting(3, 1)).await;
        raw.send(Frame::Ping { number: 99 }).await;
        loop {
            if let Frame::Pong { number } = raw.next().await.expect("it stays") {
                assert_eq!(number, 99);
                break;
            }
        }
        raw.send(Frame::Pong { number: 12_345 }).await;
        raw.send(Frame::Message(heartbeat(3, 1, 1))).await;
        until("it goes on", || board.messages() == ["heartbeat 1"]).await;
        assert_eq!(board.figures(3).round_trip, None, "that was no answer to what was asked");
    });
}

#[test]
fn who_says_nothing_has_little_time() {
    run(|executor| async move {
        let mut options = options(1);
        options.limits.greeting_timeout = Duration::from_millis(50);
        let board = Board::start_at(&executor, options, "http://127.0.0.1:0");
        let mut silent = Raw::dial(&board.url).await;
        assert!(silent.next().await.is_none());
        let mut slow = Raw::dial(&board.url).await;
        slow.write(b"Solder").await;
        assert!(slow.next().await.is_none());
        assert_eq!(board.peers.totals().strangers_failed, 2);
    });
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Half-open sockets: the memory is bounded, and peers come through.
#[test]
fn a_flood_of_silence() {
    run(|executor| async move {
        let board = open_board(&executor);
        let mut good = Raw::join(&board.url, greeting(2, 1)).await;
        let before_kb = resident_kb();
        let mut flood = Vec::new();
        for number in 0..450 {
            let mut raw = Raw::dial(&board.url).await;
            raw.write(&greeting(3, 1).encode()[..number % 48]).await;
            flood.push(raw);
        }
        until("all were taken", || board.peers.totals().accepted == 451).await;
        let most = options(1).limits.strangers_max as u64;
        assert_eq!(board.peers.totals().strangers_pushed_out, 450 - most);
        let grown_kb = resident_kb().saturating_sub(before_kb);
        println!("{grown_kb} KB more for 450 silent sockets at both of their ends");
        assert!(grown_kb < 32 << 10, "{grown_kb} KB for 450 silent sockets");
        good.send(Frame::Message(heartbeat(2, 1, 5))).await;
        until("who is here is served", || board.messages() == ["heartbeat 5"]).await;
        let late = Raw::join(&board.url, Greeting { to: board.id, ..greeting(4, 1) }).await;
        until("who comes is served", || board.is_connected(4)).await;
        drop((flood, late));
    });
}
