//! One question to the voters, one after the other, until one answers it.

use std::rc::Rc;

use async_io::Timer;
use futures_lite::future::or;

use crate::types::NodeId;

use super::{PeerUrl, peer::Peer, shared::Shared};

/// Errors: one line for each URL that was tried. `only`: this one and no other. `what`: what nobody could tell.
pub(super) async fn ask<T>(
    shared: &Rc<Shared>,
    only: Option<NodeId>,
    what: &str,
    ask_at: impl AsyncFn(&Shared, &Peer, &PeerUrl) -> Result<T, String>,
) -> Result<T, String> {
    let is_asked = |peer: &&Rc<Peer>| peer.votes.get() && only.is_none_or(|id| peer.id == id);
    let peers: Vec<Rc<Peer>> = shared.peers.borrow().values().filter(is_asked).cloned().collect();
    let mut troubles = Vec::new();
    for peer in peers {
        let urls = peer.urls.borrow().clone();
        for url in urls {
            let late = async {
                Timer::after(shared.limits.greeting_timeout).await;
                Err(format!("{url}: no answer in time"))
            };
            match or(ask_at(shared, &peer, &url), late).await {
                Ok(told) => return Ok(told),
                Err(trouble) => troubles.push(trouble),
            }
        }
    }
    match troubles.is_empty() {
        true => Err(format!("no other voter is known that could tell {what}")),
        false => Err(troubles.join("; ")),
    }
}
