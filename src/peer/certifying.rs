//! A question of a member to a voter: what does the cluster's authority say of this key? For a member that renews its own, and
//! does not have the authority's: learners never have it.
//!
//! ```text
//!   asker   | greeting: purpose certificate, as a member |          | frame: Certify |
//!   asked   | greeting, or why not                       |          | frame: Certificate |       both close
//! ```
//!
//! It is answered to who has shown the very key that the list of members has for it, with a certificate for that member and no
//! other. Nobody is let in by it: the list has the old key until the log says otherwise.

use std::{path::PathBuf, rc::Rc};

use futures_lite::io::AsyncWriteExt;

use crate::types::{Bytes, NodeId};

use super::{
    BoardTls, Frame, Greeting, PeerUrl, Purpose, accept, dial,
    limits::AUTHORITY_BYTES_MAX,
    peer::Peer,
    shared::{Shared, read_frame, write_frame, write_greeting},
    stream::Stream,
    voters,
};

/// For this public key (SubjectPublicKeyInfo, DER), as this member. DER; worth nothing before it is checked.
pub(super) async fn ask(shared: Rc<Shared>, public_key: Bytes) -> Result<Bytes, String> {
    let ask_at =
        async |shared: &Shared, peer: &Peer, url: &PeerUrl| ask_at(shared, peer, url, &public_key).await;
    voters::ask(&shared, None, "the authority's word about a new key", ask_at).await
}

async fn ask_at(shared: &Shared, peer: &Peer, url: &PeerUrl, public_key: &Bytes) -> Result<Bytes, String> {
    let connected = dial::connect(shared, peer, Purpose::Certificate, url).await;
    let (mut stream, _) = connected.map_err(|trouble| trouble.to_string())?;
    let asked = write_frame(&mut stream, &Frame::Certify(public_key.clone()), AUTHORITY_BYTES_MAX).await;
    asked.map_err(|error| dial::explain(url, &error))?;
    match read_frame(&mut stream, AUTHORITY_BYTES_MAX).await {
        Ok(Frame::Certificate(certificate)) => {
            // It is here: how the connection ends is of no interest.
            let _ = stream.close().await;
            Ok(certificate)
        }
        Ok(_) => Err(format!("{url}: its answer is no certificate")),
        Err(error) => Err(dial::explain(url, &error)),
    }
}

/// The other side. Whoever calls this bounds it.
pub(super) async fn answer(shared: &Shared, mut stream: Stream, theirs: &Greeting) {
    let has_authority = match shared.judge_member(theirs, &stream, true) {
        None => has_authority(shared.board()).await,
        Some(_) => false,
    };
    let verdict = shared.judge_member(theirs, &stream, has_authority);
    let mine = shared.greeting(theirs.from, Purpose::Certificate, verdict);
    if let Some(reason) = verdict {
        shared.counts.refused.add(1);
        shared.warn(&format!("no certificate was made: {}", reason.explain(theirs, &mine)));
    }
    if write_greeting(&mut stream, &mine).await.is_err() {
        return;
    }
    if verdict.is_none()
        && let Err(why) = certify(shared, &mut stream, theirs).await
    {
        shared.warn(&format!("member {} was made no certificate for a new key: {why}", theirs.from));
    }
    accept::close(stream).await;
}

async fn certify(shared: &Shared, stream: &mut Stream, theirs: &Greeting) -> Result<(), String> {
    let asked = read_frame(stream, AUTHORITY_BYTES_MAX).await.map_err(|error| error.to_string())?;
    let Frame::Certify(public_key) = asked else { return Err("it did not say for which".into()) };
    let certificate = made(shared.board(), public_key, theirs.from).await?;
    // The list may have changed meanwhile.
    if let Some(reason) = shared.judge_member(theirs, stream, true) {
        let mine = shared.greeting(theirs.from, Purpose::Certificate, Some(reason));
        return Err(reason.explain(theirs, &mine));
    }
    let told = write_frame(stream, &Frame::Certificate(certificate), AUTHORITY_BYTES_MAX).await;
    told.map_err(|error| error.to_string())?;
    log::info!("member {} was made a certificate for a new key", theirs.from);
    Ok(())
}

/// As it is in the folder now; the disk may be slow.
async fn has_authority(folder: Option<PathBuf>) -> bool {
    let Some(folder) = folder else { return false };
    let board = smol::unblock(move || BoardTls::open(&folder)).await;
    board.is_ok_and(|board| board.is_some_and(|board| board.has_authority_key()))
}

/// A signature takes a small board its time, too.
async fn made(folder: Option<PathBuf>, public_key: Bytes, member: NodeId) -> Result<Bytes, String> {
    let folder = folder.ok_or("this board has no keys")?;
    let made = smol::unblock(move || {
        let board = BoardTls::open(&folder)?.ok_or("this board's keys have gone")?;
        board.certify(&public_key, member)
    });
    made.await
}
