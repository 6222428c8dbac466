//! Who waits for the next member. The hub wakes it; what has happened is read from the store, so that an index of the past and
//! one of the future are the same question.

use futures_lite::future;

use super::{
    Api, Fault, Node, Registry, Token,
    document::{self, Action},
    reply,
};
use crate::{
    api::{
        errors::{Refusal, status},
        watch,
    },
    http::Exchange,
    member::{WatchId, WatchNews, WatchRequest},
    types::Revision,
};

/// What is waited for.
pub(super) struct Wanted<'n> {
    /// Of a member, or of the size; empty: any member.
    pub(super) name: &'n str,
    /// The first index that counts; 0: that of what comes next.
    pub(super) since: u64,
}

impl Wanted<'_> {
    fn find<'r>(&self, registry: &'r Registry) -> Option<Node<'r>> {
        let node = match self.name {
            "" => registry.members().find(|node| node.index >= self.since),
            name => registry.node(name),
        };
        node.filter(|node| node.index >= self.since)
    }
}

/// Answers with what was created, or after a while with nothing.
pub(super) async fn wait(
    api: &Api,
    token: &Token,
    mut wanted: Wanted<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<(), Fault> {
    // Before anything is read: what comes later is told.
    let mut stream = api.member.watch_stream();
    let request = WatchRequest {
        range: token.keys(),
        start: Revision(0),
        prev_kv: false,
        no_put: false,
        no_delete: false,
        progress_notify: Some(api.options.discovery.poll),
    };
    stream.create(WatchId(0), request);
    let room = exchange.room();
    loop {
        let registry = Registry::read(api, token).await?;
        let index = registry.index();
        if wanted.since == 0 {
            wanted.since = index + 1;
        }
        if let Some(node) = wanted.find(&registry) {
            let body = document::event(Action::Create, token, &node);
            return Ok(reply(exchange, status::OK, index, &body).await?);
        }
        drop(registry);
        let news = async { Some(watch::next(&mut stream, &room).await.map(|news| news.what)) };
        let gone = async {
            exchange.closed().await;
            None
        };
        match future::or(gone, news).await {
            Some(Err(error)) => return Err(Refusal::from(error).into()),
            Some(Ok(WatchNews::Events(_) | WatchNews::Part(_))) => {}
            Some(Ok(WatchNews::Progress | WatchNews::Compacted(_))) | None => {
                return Ok(reply(exchange, status::OK, index, b"").await?);
            }
        }
    }
}
