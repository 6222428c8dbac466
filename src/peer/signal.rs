//! One task tells another that there is something to look at.

use smol::channel::{Receiver, Sender, bounded};

/// Raised while nobody waits, it is seen by the next who does; raised twice, it is seen once.
#[derive(Debug)]
pub(super) struct Signal(Sender<()>, Receiver<()>);

impl Signal {
    pub(super) fn new() -> Signal {
        let (sender, receiver) = bounded(1);
        Signal(sender, receiver)
    }

    pub(super) fn raise(&self) {
        // Full: it is raised already.
        let _ = self.0.try_send(());
    }

    pub(super) async fn raised(&self) {
        // Both ends live here, so it cannot be closed.
        let _ = self.1.recv().await;
    }
}
