//! A question of one voter to another: what is the key of the cluster's authority? So that losing a minority of voters never
//! ends joining.
//!
//! ```text
//!   asker   | greeting: purpose authority, as a member |
//!   asked   | greeting, or why not | frame: AuthorityKey |        both close
//! ```
//!
//! It is told to who has shown the very key that the list of members has for it, and votes by that list, or is about to: that
//! the leader says, to its own list only, of one or two at a time. So never to any other learner, a guest, or over plain TCP. What is told is worth nothing before it is checked against ca.crt
//! (`BoardTls::keep_authority_key`).

use std::{path::PathBuf, rc::Rc};

use futures_lite::io::AsyncWriteExt;

use crate::types::{Bytes, NodeId};

use super::{
    BoardTls, Frame, Greeting, PeerUrl, Purpose, accept, dial,
    frame::AuthorityKey,
    limits::AUTHORITY_BYTES_MAX,
    peer::Peer,
    shared::{Shared, read_frame},
    stream::Stream,
    voters,
};

/// Of one voter after the other, or of this one. Errors: one line for each URL that was tried.
pub(super) async fn ask(shared: Rc<Shared>, only: Option<NodeId>) -> Result<Bytes, String> {
    voters::ask(&shared, only, "the authority's key", ask_at).await
}

async fn ask_at(shared: &Shared, peer: &Peer, url: &PeerUrl) -> Result<Bytes, String> {
    let connected = dial::connect(shared, peer, Purpose::Authority, url).await;
    let (mut stream, _) = connected.map_err(|trouble| trouble.to_string())?;
    match read_frame(&mut stream, AUTHORITY_BYTES_MAX).await {
        Ok(Frame::AuthorityKey(AuthorityKey(key))) => {
            // The key is here: how the connection ends is of no interest.
            let _ = stream.close().await;
            Ok(key)
        }
        Ok(_) => Err(format!("{url}: its answer is no key")),
        Err(error) => Err(dial::explain(url, &error)),
    }
}

/// The other side. Whoever calls this bounds it.
pub(super) async fn answer(shared: &Shared, mut stream: Stream, theirs: &Greeting) {
    let verdict = shared.judge_voter(theirs, &stream, true);
    let key = if verdict.is_none() { key(shared.board()).await } else { None };
    // The list may have changed meanwhile.
    let verdict = shared.judge_voter(theirs, &stream, key.is_some());
    let mine = shared.greeting(theirs.from, Purpose::Authority, verdict);
    let mut bytes = mine.encode().to_vec();
    match (verdict, key) {
        (None, Some(key)) => {
            let told = Frame::AuthorityKey(AuthorityKey(key)).encode(&mut bytes, AUTHORITY_BYTES_MAX);
            assert!(told.is_ok(), "a key has a few hundred bytes: {told:?}");
            log::info!(
                "member {} is told the key of the cluster's authority: it votes, or is about to",
                theirs.from
            );
        }
        (verdict, _) => {
            shared.counts.refused.add(1);
            let why = verdict.map(|reason| reason.explain(theirs, &mine)).unwrap_or_default();
            shared.warn(&format!("the authority's key was not told: {why}"));
        }
    }
    if stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
        accept::close(stream).await;
    }
}

/// As it is in the folder now; the disk may be slow.
async fn key(folder: Option<PathBuf>) -> Option<Bytes> {
    let folder = folder?;
    match smol::unblock(move || BoardTls::open(&folder)).await {
        Ok(board) => board?.authority_key(),
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}
