//! The thread that would flush: one transaction at a time.

use solder::{
    store::StoreError,
    types::{Index, NodeId},
};

use super::{
    super::{judges::Verdict, world::World},
    Flush, Step,
};

impl World {
    pub(super) fn flush_due(&mut self, id: NodeId) -> Verdict {
        let every = self.knobs.disk.flush_every;
        self.later(id, every, Step::FlushDue);
        let running = self.running(id).expect("it runs");
        if running.flush.is_none() && running.store.receive_mark().is_none() {
            let durable = running.replica.node().durable();
            if let Some(job) = running.store.start_flush(durable) {
                running.flush = Some(Flush::Out(job));
                let delay = self.rng.u64(..=self.knobs.disk.flush_max);
                self.later(id, delay, Step::FlushRuns);
            }
        }
        Ok(())
    }

    pub(super) fn flush_runs(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let Some(Flush::Out(job)) = running.flush.take() else { unreachable!("a flush is out") };
        running.flush = Some(Flush::Done(job.run(&*running.backend)));
        let delay = self.rng.u64(..=self.knobs.disk.flush_max);
        self.later(id, delay, Step::FlushEnds);
        Ok(())
    }

    pub(super) fn flush_ends(&mut self, id: NodeId) -> Verdict {
        let running = self.running(id).expect("it runs");
        let Some(Flush::Done(result)) = running.flush.take() else { unreachable!("a flush has run") };
        match running.store.finish_flush(result) {
            // Nothing was changed; the next flush tries the same again.
            Err(StoreError::Full { .. }) => Ok(()),
            Ok(()) => {
                let flushed: Index = running.store.flushed().index;
                running.wal.release(flushed);
                Ok(())
            }
            Err(StoreError::Io { .. }) => self.die(id),
            Err(error) => Err(format!("{id} cannot flush: {error}")),
        }
    }
}
