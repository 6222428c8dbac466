//! /metrics in Prometheus' text form, with etcd's names where the meaning is the same, so that etcd's dashboards work.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write,
    time::Duration,
};

use super::{
    Api,
    errors::{Code, status},
    process::Process,
    routes::{Call, Row, Stream},
};
use crate::{
    http::{Closed, Exchange, Head},
    member::{Figures, PeerFigures, Status},
    types::{Error, Histogram, KeyRange, NodeId, RangeRequest},
};

/// As etcd's label has the cluster's version: without its last part.
const CLUSTER_MINOR: &str = "3.5";

/// Calls by how they ended, and what else the doors count.
#[derive(Default)]
pub(super) struct Counters {
    handled: RefCell<BTreeMap<Ended, (&'static str, u64)>>,
    /// Learners that became voters by a call of this member's clients.
    promoted: Cell<u64>,
    /// And those that did not, by etcd's text.
    not_promoted: RefCell<BTreeMap<String, u64>>,
}

/// Service, method, and how it ended.
type Ended = (&'static str, &'static str, Code);

impl Counters {
    pub(super) fn handled(&self, row: &'static Row, code: Code) {
        let kind = match row.call {
            Call::Unary(_) => "unary",
            Call::Stream(Stream::Snapshot) => "server_stream",
            Call::Stream(Stream::Watch | Stream::LeaseKeepAlive) => "bidi_stream",
        };
        let mut handled = self.handled.borrow_mut();
        handled.entry((row.service, row.method, code)).or_insert((kind, 0)).1 += 1;
    }

    pub(super) fn promoted(&self, failure: Option<&Error>) {
        match failure {
            None => self.promoted.set(self.promoted.get() + 1),
            Some(error) => *self.not_promoted.borrow_mut().entry(error.to_string()).or_default() += 1,
        }
    }
}

pub(super) async fn handle(api: &Api, exchange: &mut Exchange<'_>) -> Result<(), Closed> {
    let mut page = Page(String::with_capacity(8 << 10));
    page.member(&api.member.figures());
    page.peers(api.member.id(), &api.member.peer_figures());
    page.promotions(&api.counters);
    page.cluster(api.member.cluster_level());
    if let Ok(status) = api.member.status().await {
        page.store(&status);
    }
    if let Ok(keys) = keys(api).await {
        page.gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.", keys);
    }
    page.calls(&api.counters);
    page.process(&Process::look());
    page.build();
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    exchange.reply(Head { status: status::OK, content_type, headers: &[] }, page.0.as_bytes()).await
}

/// Those that are there now. They are walked the first time, slice by slice; then the store knows most of the count.
async fn keys(api: &Api) -> Result<u64, Error> {
    let request = RangeRequest { range: KeyRange::all(), count_only: true, ..RangeRequest::default() };
    let mut reader = api.member.range(request, true).await?;
    loop {
        if let Some(done) = reader.next().await?.end {
            return Ok(done.count);
        }
    }
}

struct Page(String);

/// Memory takes all that is written.
const WRITTEN: &str = "a string takes what memory takes";

impl Page {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.about(name, kind, help);
        writeln!(self.0, "{name} {value}").expect(WRITTEN);
    }

    fn about(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect(WRITTEN);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.one(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.one(name, "counter", help, value);
    }

    fn histogram<const FIRST_US: u64, const BUCKETS: usize>(
        &mut self,
        name: &str,
        help: &str,
        histogram: &Histogram<FIRST_US, BUCKETS>,
    ) {
        self.about(name, "histogram", help);
        self.buckets(name, "", histogram);
    }

    /// `label` is empty, or ends with a comma.
    fn buckets<const FIRST_US: u64, const BUCKETS: usize>(
        &mut self,
        name: &str,
        label: &str,
        histogram: &Histogram<FIRST_US, BUCKETS>,
    ) {
        for (bound, count) in histogram.buckets() {
            writeln!(self.0, "{name}_bucket{{{label}le=\"{}\"}} {count}", seconds(bound)).expect(WRITTEN);
        }
        let (count, sum) = (histogram.count(), seconds(histogram.sum()));
        let alone = match label.strip_suffix(',') {
            Some(label) => format!("{{{label}}}"),
            None => String::new(),
        };
        let infinite = format!("{name}_bucket{{{label}le=\"+Inf\"}} {count}");
        writeln!(self.0, "{infinite}\n{name}_sum{alone} {sum}\n{name}_count{alone} {count}").expect(WRITTEN);
    }

    /// One line for each peer, under etcd's label.
    fn each(&mut self, about: [&str; 3], label: &str, values: impl Iterator<Item = (NodeId, u64)>) {
        let [name, kind, help] = about;
        self.about(name, kind, help);
        for (id, value) in values {
            writeln!(self.0, "{name}{{{label}=\"{id}\"}} {value}").expect(WRITTEN);
        }
    }

    fn peers(&mut self, me: NodeId, peers: &[PeerFigures]) {
        let name = "etcd_server_id";
        self.about(
            name,
            "gauge",
            "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        );
        writeln!(self.0, "{name}{{server_id=\"{me}\"}} 1").expect(WRITTEN);
        // Of a board alone nobody is to look for what is not there.
        if peers.is_empty() {
            return;
        }
        let of = |value: fn(&PeerFigures) -> u64| peers.iter().map(move |peer| (peer.id, value(peer)));
        let about = ["etcd_network_active_peers", "gauge", "The current number of active peer connections."];
        let label = format!("Local=\"{me}\",Remote");
        self.each(about, &label, of(|peer| u64::from(peer.is_active)));
        let name = "etcd_network_peer_sent_bytes_total";
        let help = "The total number of bytes sent to peers.";
        self.each([name, "counter", help], "To", of(|peer| peer.bytes_sent));
        let name = "etcd_network_peer_received_bytes_total";
        let help = "The total number of bytes received from peers.";
        self.each([name, "counter", help], "From", of(|peer| peer.bytes_received));
        let name = "etcd_network_peer_sent_failures_total";
        let help = "The total number of send failures from peers.";
        self.each([name, "counter", help], "To", of(|peer| peer.dropped));
        let name = "etcd_network_peer_received_failures_total";
        let help = "The total number of receive failures from peers.";
        self.each([name, "counter", help], "From", of(|peer| peer.malformed));
        let name = "etcd_network_peer_round_trip_time_seconds";
        self.about(name, "histogram", "Round-Trip-Time histogram between peers");
        for PeerFigures { id, round_trips, .. } in peers {
            self.buckets(name, &format!("To=\"{id}\","), round_trips);
        }
    }

    /// etcd's are the leader's; here they are those of who was asked.
    fn promotions(&mut self, counters: &Counters) {
        let name = "etcd_server_learner_promote_successes";
        let help = "The total number of successful learner promotions that this member was asked for.";
        self.counter(name, help, counters.promoted.get());
        let failures = counters.not_promoted.borrow();
        if failures.is_empty() {
            return;
        }
        let name = "etcd_server_learner_promote_failures";
        let help = "The total number of failed learner promotions (likely learner not ready) that this member was asked for.";
        self.about(name, "counter", help);
        for (reason, count) in failures.iter() {
            writeln!(self.0, "{name}{{Reason=\"{reason}\"}} {count}").expect(WRITTEN);
        }
    }

    fn cluster(&mut self, level: u32) {
        let name = "etcd_cluster_version";
        let help = "Which version is running. 1 for 'cluster_version' label with current cluster version";
        if level > 0 {
            self.about(name, "gauge", help);
            writeln!(self.0, "{name}{{cluster_version=\"{CLUSTER_MINOR}\"}} 1").expect(WRITTEN);
        }
    }

    fn member(&mut self, figures: &Figures) {
        let flag = u8::from;
        self.gauge("etcd_server_has_leader", "Whether or not a leader exists.", flag(figures.has_leader));
        self.gauge(
            "etcd_server_is_leader",
            "Whether or not this member is a leader.",
            flag(figures.is_leader),
        );
        let name = "etcd_server_leader_changes_seen_total";
        self.counter(name, "The number of leader changes seen.", figures.leader_changes);
        let name = "etcd_server_proposals_committed_total";
        self.gauge(name, "The total number of consensus proposals committed.", figures.proposals_committed);
        let name = "etcd_server_proposals_applied_total";
        self.gauge(name, "The total number of consensus proposals applied.", figures.proposals_applied);
        let name = "etcd_server_proposals_pending";
        self.gauge(name, "The current number of pending proposals to commit.", figures.proposals_pending);
        let name = "etcd_server_proposals_failed_total";
        self.counter(name, "The total number of failed proposals seen.", figures.proposals_failed);
        let name = "etcd_server_slow_apply_total";
        self.counter(name, "The total number of slow apply requests.", figures.slow_applies);
        let name = "etcd_disk_wal_fsync_duration_seconds";
        self.histogram(name, "The latency distributions of fsync called by WAL.", &figures.log_syncs);
        let name = "etcd_disk_backend_commit_duration_seconds";
        self.histogram(name, "The latency distributions of commit called by backend.", &figures.flushes);
        let name = "etcd_debugging_mvcc_current_revision";
        self.gauge(name, "The current revision of store.", figures.revision);
        let name = "etcd_debugging_mvcc_compact_revision";
        self.gauge(name, "The revision of the last compaction in store.", figures.compacted);
        let name = "etcd_debugging_mvcc_watch_stream_total";
        self.gauge(name, "Total number of watch streams.", figures.watch_streams);
        let name = "etcd_debugging_mvcc_watcher_total";
        self.gauge(name, "Total number of watchers.", figures.watchers);
        let name = "etcd_debugging_mvcc_slow_watcher_total";
        self.gauge(name, "Total number of unsynced slow watchers.", figures.slow_watchers);
        let name = "etcd_debugging_mvcc_pending_events_total";
        self.gauge(name, "Total number of pending events to be sent.", figures.pending_events);
        let name = "solder_store_pending_bytes";
        self.gauge(name, "What the log has and the database has not yet.", figures.pending_bytes);
        let name = "solder_slow_requests_total";
        self.counter(
            name,
            "Requests that took longer than --warning-unary-request-duration.",
            figures.slow_requests,
        );
    }

    fn store(&mut self, status: &Status) {
        let name = "etcd_mvcc_db_total_size_in_bytes";
        self.gauge(
            name,
            "Total size of the underlying database physically allocated in bytes.",
            status.db_size_bytes,
        );
        let name = "etcd_mvcc_db_total_size_in_use_in_bytes";
        self.gauge(
            name,
            "Total size of the underlying database logically in use in bytes.",
            status.db_in_use_bytes,
        );
        let name = "etcd_server_quota_backend_bytes";
        self.gauge(name, "Current backend storage quota size in bytes.", status.quota_bytes);
        self.gauge(
            "etcd_server_is_learner",
            "Whether or not this member is a learner.",
            u8::from(status.is_learner),
        );
    }

    fn calls(&mut self, counters: &Counters) {
        let name = "grpc_server_handled_total";
        self.about(
            name,
            "counter",
            "Total number of RPCs completed on the server, regardless of success or failure.",
        );
        for (&(service, method, code), &(kind, count)) in counters.handled.borrow().iter() {
            let code = code.name();
            writeln!(
                self.0,
                "{name}{{grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"}} {count}"
            )
            .expect(WRITTEN);
        }
    }

    fn process(&mut self, process: &Process) {
        if let Some(seconds) = process.cpu_seconds {
            let help = "Total user and system CPU time spent in seconds.";
            self.counter("process_cpu_seconds_total", help, seconds);
        }
        let help = "Start time of the process since unix epoch in seconds.";
        self.known("process_start_time_seconds", help, process.start_time_seconds);
        self.known("process_resident_memory_bytes", "Resident memory size in bytes.", process.resident_bytes);
        self.known("process_virtual_memory_bytes", "Virtual memory size in bytes.", process.virtual_bytes);
        self.known("process_open_fds", "Number of open file descriptors.", process.open_fds);
        self.known("process_max_fds", "Maximum number of open file descriptors.", process.max_fds);
    }

    fn known(&mut self, name: &str, help: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.gauge(name, help, value);
        }
    }

    fn build(&mut self) {
        let name = "etcd_server_version";
        self.about(
            name,
            "gauge",
            "Which version is running. 1 for 'server_version' label with current version.",
        );
        let version = super::SERVER_VERSION;
        writeln!(self.0, "{name}{{server_version=\"{version}\"}} 1").expect(WRITTEN);
        let name = "solder_build_info";
        self.about(name, "gauge", "The version of solder.");
        writeln!(self.0, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")).expect(WRITTEN);
    }
}

/// As short as it is exact: 0.001, 8.192.
fn seconds(time: Duration) -> f64 {
    // One rounding, not two: 1.6384 and not 1.6383999999999999.
    time.as_nanos() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::{self, Route};

    #[test]
    fn names_as_dashboards_know_them() {
        let counters = Counters::default();
        let Route::Call(row) = routes::find("/v3/kv/put") else { panic!() };
        counters.handled(row, Code::Ok);
        counters.handled(row, Code::Ok);
        counters.handled(row, Code::InvalidArgument);
        let mut page = Page(String::new());
        page.member(&Figures { has_leader: true, ..Figures::default() });
        page.calls(&counters);
        for line in [
            "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n",
            "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 0\n",
            "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 0\n",
            "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 0\n",
            "etcd_disk_wal_fsync_duration_seconds_sum 0\n",
            "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 2\n",
            "grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"Put\",",
        ] {
            assert!(page.0.contains(line), "{line} in\n{}", page.0);
        }
    }

    /// Every line of the page is a comment or a sample, and every sample has its kind said before.
    #[test]
    fn the_page_can_be_read() {
        let mut page = Page(String::new());
        page.member(&Figures::default());
        page.process(&Process::look());
        page.build();
        let mut kind = "";
        for line in page.0.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(about) => kind = about.split(' ').next().unwrap(),
                None if line.starts_with("# HELP ") => {}
                None => {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    assert!(name.starts_with(kind), "{line} after {kind}");
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
    }
}
