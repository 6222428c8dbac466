//! Every key that is known, and what becomes of it.
//!
//! A key is a flag (`--data-dir`), an environment variable (`SOLDER_DATA_DIR`) and a key of the configuration file
//! (`data-dir`). Defaults are etcd's where there is no reason against it; the reasons stand beside them.

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What other versions of etcd call it.
    pub(super) alias: Option<&'static str>,
    /// `--key` alone means `--key=true`.
    pub(super) switch: bool,
    pub(super) fate: Fate,
}

#[derive(Debug)]
pub(super) enum Fate {
    /// It changes what Solder does.
    Used(Used),
    /// etcd has it, Solder does not need it: a warning that says why.
    Needless(&'static str),
    /// Refused with this sentence, unless the value is one of those that change nothing.
    Refused { unless: &'static [&'static str], because: &'static str },
}

#[derive(Debug)]
pub(super) struct Used {
    pub(super) default: &'static str,
    pub(super) group: &'static str,
    pub(super) value: &'static str,
    pub(super) help: &'static str,
    /// May a board profile set it?
    pub(super) profile: bool,
}

pub(super) const MEMBER: &str = "Member";
pub(super) const CLUSTER: &str = "Cluster";
pub(super) const STORE: &str = "Store";
pub(super) const CLIENTS: &str = "Clients";
pub(super) const LOG: &str = "Log";
pub(super) const BOARD: &str = "Board";

const NO_TLS: &str = "TLS is not in this version of Solder: leave it out";
const NO_DISCOVERY: &str =
    "boards find each other by --discovery, or are named in --initial-cluster: leave it out";
const NO_TUNING: &str = "Solder's store is not bbolt";
const NO_GRPC: &str = "Solder speaks HTTP/JSON, not gRPC";
const NO_V2: &str = "there is no v2 store";
const NO_PROXY: &str = "there is no v2 proxy";
const NO_TRACING: &str = "there is no tracing";
const NOT_FILES: &str = "the log goes to standard error, one line an event";

const fn used(
    name: &'static str,
    group: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        alias: None,
        switch: false,
        fate: Fate::Used(Used { default, group, value, help, profile: false }),
    }
}

const fn needless(name: &'static str, why: &'static str) -> Key {
    Key { name, alias: None, switch: false, fate: Fate::Needless(why) }
}

const fn refused(name: &'static str, unless: &'static [&'static str], because: &'static str) -> Key {
    Key { name, alias: None, switch: false, fate: Fate::Refused { unless, because } }
}

impl Key {
    const fn switch(mut self) -> Key {
        self.switch = true;
        self
    }

    const fn or(mut self, alias: &'static str) -> Key {
        self.alias = Some(alias);
        self
    }

    const fn by_profile(mut self) -> Key {
        if let Fate::Used(used) = &mut self.fate {
            used.profile = true;
        }
        self
    }

    /// The environment variable of a name.
    pub(super) fn variable(name: &str) -> String {
        format!("SOLDER_{}", name.to_ascii_uppercase().replace('-', "_"))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.alias].into_iter().flatten()
    }

    pub(super) fn used(&self) -> Option<&Used> {
        match &self.fate {
            Fate::Used(used) => Some(used),
            _ => None,
        }
    }

    pub(super) fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.names().any(|known| known == name))
    }
}

/// In the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    used(
        "config-file",
        MEMBER,
        "FILE",
        "",
        "Settings in TOML, under the names of the flags; flags and environment variables go \
         before it",
    ),
    used("name", MEMBER, "NAME", "", "Human-readable name of this member; default: the host's name"),
    used(
        "data-dir",
        MEMBER,
        "DIR",
        "",
        "Directory of all that this member keeps; default: systemd's StateDirectory, else \
         NAME.solder, and default.solder without a name",
    ),
    used(
        "listen-client-urls",
        MEMBER,
        "URLS",
        "http://127.0.0.1:2379",
        "Addresses on which clients are served",
    ),
    used(
        "advertise-client-urls",
        MEMBER,
        "URLS",
        "",
        "Client URLs to tell others; default: those listened on",
    ),
    used("listen-metrics-urls", MEMBER, "URLS", "", "More addresses for /metrics and /health alone"),
    used("listen-peer-urls", CLUSTER, "URLS", "http://127.0.0.1:2380", "Addresses on which peers are served"),
    used("initial-advertise-peer-urls", CLUSTER, "URLS", "http://localhost:2380", "Peer URLs to tell others"),
    used("initial-cluster", CLUSTER, "NAME=URL,...", "", "Members of the new cluster, or of the one to join"),
    used(
        "initial-cluster-state",
        CLUSTER,
        "STATE",
        "new",
        "'new', or 'existing' to join one that knows this member",
    ),
    used(
        "initial-cluster-token",
        CLUSTER,
        "TOKEN",
        "etcd-cluster",
        "Keeps clusters apart that began with the same members",
    ),
    used(
        "discovery",
        CLUSTER,
        "URL",
        "",
        "How a board without data becomes a member: what 'solder invite' or 'solder discovery new' has \
         printed; with data it only tells where members may be",
    ),
    used(
        "force-new-cluster",
        CLUSTER,
        "BOOL",
        "false",
        "Make a cluster of this member alone of its data: when the majority is lost for good",
    )
    .switch(),
    used("peer-cert-file", CLUSTER, "FILE", "", "This member's certificate, for https peer URLs"),
    used("peer-key-file", CLUSTER, "FILE", "", "The certificate's key"),
    used("peer-trusted-ca-file", CLUSTER, "FILE", "", "The authority of all members' certificates"),
    used(
        "peer-client-cert-auth",
        CLUSTER,
        "BOOL",
        "false",
        "Peers must show certificates; with https peer URLs they always must",
    )
    .switch(),
    used("heartbeat-interval", CLUSTER, "MS", "100", "Milliseconds between heartbeats").by_profile(),
    used(
        "election-timeout",
        CLUSTER,
        "MS",
        "1000",
        "Milliseconds without a heartbeat after which there is an election",
    )
    .by_profile(),
    used(
        "strict-reconfig-check",
        CLUSTER,
        "BOOL",
        "true",
        "Refuse changes of members that would lose the quorum",
    )
    .switch(),
    used(
        "max-learners",
        CLUSTER,
        "N",
        "1",
        "Learners in the cluster at one time; where it chooses its voters 100",
    )
    .or("experimental-max-learners"),
    used(
        "voters",
        CLUSTER,
        "N",
        "0",
        "Voters, at most, that the cluster chooses by itself from its founding on; 0: people do, and once \
         boards join it by a URL it chooses 5",
    ),
    used(
        "replace-after",
        CLUSTER,
        "DURATION",
        "10m",
        "In such a cluster: a voter that cannot be reached for so long is replaced by a learner",
    ),
    used(
        "quota-backend-bytes",
        STORE,
        "BYTES",
        "0",
        "Size of the database from which on writes are refused; 0: 2 GiB, or half of what \
         the database's map can hold; negative: no quota",
    )
    .by_profile(),
    used(
        "auto-compaction-mode",
        STORE,
        "MODE",
        "periodic",
        "'periodic': keep history by time; 'revision': by number of revisions",
    )
    .by_profile(),
    used(
        "auto-compaction-retention",
        STORE,
        "N",
        "0",
        "What auto-compaction keeps: '1h' or a number of hours, or of revisions; 0: everything",
    )
    .by_profile(),
    used("max-request-bytes", CLIENTS, "BYTES", "1572864", "Largest request").by_profile(),
    used("max-txn-ops", CLIENTS, "N", "128", "Operations in a transaction").by_profile(),
    // Not etcd's '*': any web page could write to a board on the reader's network.
    used("cors", CLIENTS, "ORIGINS", "", "Web origins that may use this member beside its own; '*': all"),
    // Not etcd's '*': a name that is rebound to 127.0.0.1 would reach a member that trusts its own machine.
    used(
        "host-whitelist",
        CLIENTS,
        "HOSTS",
        "",
        "Host names in requests that are taken on loopback addresses beside its own; '*': all",
    ),
    used(
        "watch-progress-notify-interval",
        CLIENTS,
        "DURATION",
        "10m",
        "How often idle watches that asked for it are told the revision",
    )
    .or("experimental-watch-progress-notify-interval")
    .by_profile(),
    used(
        "warning-unary-request-duration",
        CLIENTS,
        "DURATION",
        "300ms",
        "Requests that take longer are named in the log",
    )
    .or("experimental-warning-unary-request-duration")
    .by_profile(),
    used(
        "discovery-public",
        CLIENTS,
        "BOOL",
        "false",
        "Make discovery URLs (/new) for others than this board itself, too",
    )
    .switch(),
    used("log-level", LOG, "LEVEL", "info", "debug, info, warn, error, panic or fatal").by_profile(),
    // Not etcd's json: a person reads it.
    used("log-format", LOG, "FORMAT", "console", "'console': a line for people; 'json': a line for machines")
        .by_profile(),
    used(
        "board",
        BOARD,
        "BOARD",
        "none",
        "Profile that sets defaults: its name, 'auto', 'none', or the path of a file",
    ),
    used(
        "pending-bytes-max",
        BOARD,
        "BYTES",
        "4194304",
        "Changes held in memory until they are flushed to the database; more are refused for \
         the moment",
    )
    .by_profile(),
    used(
        "flush-interval",
        BOARD,
        "DURATION",
        "5m",
        "Longest time that a change waits for its flush; it is in the log already",
    )
    .by_profile(),
    used(
        "flush-pages-max",
        BOARD,
        "PAGES",
        "1024",
        "Pages of the database that one flush may write: a put waits behind them on a slow card",
    )
    .by_profile(),
    used("wal-segment-bytes", BOARD, "BYTES", "4194304", "Size of a file of the log").by_profile(),
    used(
        "db-map-bytes",
        BOARD,
        "BYTES",
        "17179869184",
        "Address space that the database may take; with 32-bit words at most 1 GiB",
    )
    .by_profile(),
    used("max-connections", BOARD, "N", "16384", "Clients connected at one time").by_profile(),
    // Not built yet, or against what Solder promises.
    refused(
        "unsafe-no-fsync",
        &["false"],
        "Solder never answers before a write is on stable storage: leave it out",
    )
    .switch(),
    refused(
        "wal-dir",
        &[""],
        "the log is in the data directory: mount or link another disk at its wal/ instead",
    ),
    refused(
        "listen-client-http-urls",
        &[""],
        "clients all speak HTTP here: name the addresses in --listen-client-urls",
    ),
    refused("discovery-srv", &[""], NO_DISCOVERY),
    refused("discovery-srv-name", &[""], NO_DISCOVERY),
    refused("discovery-token", &[""], NO_DISCOVERY),
    refused("discovery-endpoints", &[""], NO_DISCOVERY),
    refused("discovery-proxy", &[""], NO_DISCOVERY),
    refused("cert-file", &[""], NO_TLS),
    refused("key-file", &[""], NO_TLS),
    refused("client-cert-auth", &["false"], NO_TLS).switch(),
    refused("client-cert-file", &[""], NO_TLS),
    refused("client-key-file", &[""], NO_TLS),
    refused("client-crl-file", &[""], NO_TLS),
    refused("client-cert-allowed-hostname", &[""], NO_TLS),
    refused("trusted-ca-file", &[""], NO_TLS),
    refused("auto-tls", &["false"], NO_TLS).switch(),
    refused("peer-client-cert-file", &[""], NO_TLS),
    refused("peer-client-key-file", &[""], NO_TLS),
    refused("peer-cert-allowed-cn", &[""], NO_TLS),
    refused("peer-cert-allowed-hostname", &[""], NO_TLS),
    refused("peer-auto-tls", &["false"], NO_TLS).switch(),
    refused("peer-crl-file", &[""], NO_TLS),
    refused("cipher-suites", &[""], NO_TLS),
    refused("tls-min-version", &["", "TLS1.2"], NO_TLS),
    refused("tls-max-version", &[""], NO_TLS),
    refused(
        "auth-token",
        &["", "simple"],
        "tokens other than 'simple' are not in this version of Solder: leave it out",
    ),
    refused("proxy", &["", "off"], NO_PROXY),
    refused("enable-v2", &["false"], NO_V2).switch(),
    refused("experimental-enable-v2v3", &[""], NO_V2),
    refused(
        "experimental-memory-mlock",
        &["false"],
        "Solder leaves the page cache to the kernel: leave it out",
    )
    .switch(),
    refused("memory-mlock", &["false"], "Solder leaves the page cache to the kernel: leave it out").switch(),
    // etcd's, and not needed.
    needless("snapshot-count", "there are no snapshot files between log and database"),
    needless("experimental-snapshot-catchup-entries", "the log in memory is bounded in bytes"),
    needless("snapshot-catchup-entries", "the log in memory is bounded in bytes"),
    needless("max-snapshots", "there are no snapshot files"),
    needless("max-wals", "the log's files are reused"),
    needless("backend-bbolt-freelist-type", NO_TUNING),
    needless("experimental-backend-bbolt-freelist-type", NO_TUNING),
    needless("backend-batch-interval", "see flush-interval"),
    needless("backend-batch-limit", "see flush-pages-max"),
    needless("initial-election-tick-advance", "a board alone does not wait for an election").switch(),
    needless("pre-vote", "it is always on").switch(),
    needless("max-concurrent-streams", NO_GRPC),
    needless("enable-grpc-gateway", "the HTTP/JSON API is always on").switch(),
    needless("grpc-keepalive-min-time", NO_GRPC),
    needless("grpc-keepalive-interval", NO_GRPC),
    needless("grpc-keepalive-timeout", NO_GRPC),
    needless("socket-reuse-port", "an address belongs to one server").switch(),
    needless("socket-reuse-address", "it is always on").switch(),
    needless("raft-read-timeout", "silent links are noticed in 5 s"),
    needless("raft-write-timeout", "silent links are noticed in 5 s"),
    needless("discovery-fallback", "there is no v2 proxy: who finds a cluster full joins it"),
    needless("discovery-dial-timeout", "--discovery needs no other settings"),
    needless("discovery-request-timeout", "--discovery needs no other settings"),
    needless("discovery-keepalive-time", "--discovery needs no other settings"),
    needless("discovery-keepalive-timeout", "--discovery needs no other settings"),
    needless("discovery-insecure-transport", "--discovery needs no other settings").switch(),
    needless("v2-deprecation", NO_V2),
    needless("self-signed-cert-validity", "there are no certificates in this version"),
    needless("bcrypt-cost", "there are no users in this version"),
    needless("auth-token-ttl", "there are no users in this version"),
    needless("enable-pprof", "Solder is not a Go program").switch(),
    needless("metrics", "there is one level of detail"),
    needless("logger", NOT_FILES),
    needless("log-outputs", NOT_FILES),
    needless("log-package-levels", "see log-level"),
    needless("debug", "see log-level").switch(),
    needless("enable-log-rotation", NOT_FILES).switch(),
    needless("log-rotation-config-json", NOT_FILES),
    needless("proxy-failure-wait", NO_PROXY),
    needless("proxy-refresh-interval", NO_PROXY),
    needless("proxy-dial-timeout", NO_PROXY),
    needless("proxy-write-timeout", NO_PROXY),
    needless("proxy-read-timeout", NO_PROXY),
    needless("experimental-enable-distributed-tracing", NO_TRACING).switch(),
    needless("experimental-distributed-tracing-address", NO_TRACING),
    needless("experimental-distributed-tracing-service-name", NO_TRACING),
    needless("experimental-distributed-tracing-instance-id", NO_TRACING),
    needless("experimental-distributed-tracing-sampling-rate", NO_TRACING),
    needless("enable-distributed-tracing", NO_TRACING).switch(),
    needless("distributed-tracing-address", NO_TRACING),
    needless("distributed-tracing-service-name", NO_TRACING),
    needless("distributed-tracing-instance-id", NO_TRACING),
    needless("distributed-tracing-sampling-rate", NO_TRACING),
    needless("experimental-initial-corrupt-check", "log and records are always checked").switch(),
    needless("experimental-corrupt-check-time", "hashes are compared at every compaction"),
    needless("corrupt-check-time", "hashes are compared at every compaction"),
    needless("experimental-compact-hash-check-enabled", "hashes are compared at every compaction").switch(),
    needless("experimental-compact-hash-check-time", "hashes are compared at every compaction"),
    needless("compact-hash-check-time", "hashes are compared at every compaction"),
    needless("experimental-enable-lease-checkpoint", "long leases are always checkpointed").switch(),
    needless("experimental-enable-lease-checkpoint-persist", "long leases are always checkpointed").switch(),
    needless("experimental-compaction-batch-limit", "see flush-pages-max"),
    needless("compaction-batch-limit", "see flush-pages-max"),
    needless("experimental-compaction-sleep-interval", "compaction shares the flushes"),
    needless("compaction-sleep-interval", "compaction shares the flushes"),
    needless("experimental-peer-skip-client-san-verification", "names of callers are not looked at").switch(),
    needless("peer-skip-client-san-verification", "names of callers are not looked at").switch(),
    needless("experimental-downgrade-check-time", "there is no downgrade"),
    needless("downgrade-check-time", "there is no downgrade"),
    needless("experimental-warning-apply-duration", "see warning-unary-request-duration"),
    needless("warning-apply-duration", "see warning-unary-request-duration"),
    needless("experimental-txn-mode-write-with-shared-buffer", NO_TUNING).switch(),
    needless("experimental-bootstrap-defrag-threshold-megabytes", "see 'solder defrag'"),
    needless("bootstrap-defrag-threshold-megabytes", "see 'solder defrag'"),
    needless("experimental-stop-grpc-service-on-defrag", NO_GRPC).switch(),
    needless("feature-gates", "there are none"),
];
