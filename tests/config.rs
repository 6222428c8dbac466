//! Settings: who goes before whom, what is refused and in which words, what `solder check-config` says.

#[path = "golden/mod.rs"]
pub mod golden;
#[path = "runner/mod.rs"]
pub mod runner;

use std::{fs, os::unix::net::UnixDatagram, path::Path, time::Duration};

use clap::Parser;
use solder::{
    config::{self, AutoCompaction, Flags, Profile, Room, Settings, Surroundings},
    logging,
    member::Autopilot,
    run::notify,
};
use tempfile::TempDir;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

/// A command line: words by blanks, nothing quoted.
fn flags(line: &str) -> Flags {
    let words = ["solder", "serve"].into_iter().chain(line.split_whitespace());
    let mut words = config::double_dashes(words.map(Into::into));
    words.remove(1);
    Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).flags
}

/// A machine with these variables.
fn machine(variables: &str) -> Surroundings {
    let variables = variables.split_whitespace().map(|pair| pair.split_once('=').expect("NAME=value"));
    Surroundings {
        environment: variables.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        directory: "/srv".into(),
        hostname: "board".into(),
        model: Some("Raspberry Pi 4 Model B Rev 1.4".into()),
        memory_bytes: Some(4 << 30),
        arch: "aarch64".into(),
        word_bits: 64,
        room: |_| Some(Room { free_bytes: 100 << 30, database_bytes: 0 }),
    }
}

fn resolve(line: &str, surroundings: &Surroundings) -> Result<Settings, String> {
    config::resolve(&flags(line), surroundings).map_err(|error| error.to_string())
}

fn settings(line: &str) -> Settings {
    resolve(line, &machine("")).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refusal(line: &str) -> String {
    resolve(line, &machine("")).expect_err(line)
}

fn file(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("solder.toml");
    fs::write(&path, text).expect("room");
    path.display().to_string()
}

#[test]
fn each_place_goes_before_the_next() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = file(&directory, "heartbeat-interval = 30\nboard = \"rpi-zero-w\"\n");
    let other = TempDir::new().expect("another");
    let empty = file(&other, "");
    for (line, variables, expected) in [
        (String::new(), "", 100),
        ("--board rpi-zero-w".into(), "", 500),
        (format!("--config-file {empty} --board rpi-zero-w"), "", 500),
        (format!("--config-file {path}"), "", 30),
        (format!("--config-file {path}"), "SOLDER_HEARTBEAT_INTERVAL=20", 20),
        (format!("--config-file {path}"), "SOLDER_HEARTBEAT_INTERVAL=", 30),
        (format!("--config-file {path} --heartbeat-interval 10"), "SOLDER_HEARTBEAT_INTERVAL=20", 10),
        (String::new(), "SOLDER_BOARD=rpi-zero-w", 500),
        (format!("--config-file {path} --board none"), "", 30),
    ] {
        let settings = resolve(&line, &machine(variables)).expect(&line);
        let heartbeat = settings.heartbeat_interval.as_millis();
        assert_eq!(heartbeat, expected, "{line} {variables}");
    }
    let by_variable = resolve("", &machine(&format!("SOLDER_CONFIG_FILE={path}"))).expect("readable");
    assert_eq!(
        (by_variable.board.as_deref(), by_variable.heartbeat_interval.as_millis()),
        (Some("rpi-zero-w"), 30)
    );
    let by_systemd = machine(&format!("CONFIGURATION_DIRECTORY={}", directory.path().display()));
    assert_eq!(resolve("", &by_systemd).expect("readable"), by_variable);
    assert_eq!(resolve("", &machine("CONFIGURATION_DIRECTORY=/nowhere")).expect("optional"), settings(""));
}

/// Go's ways to write a flag.
#[test]
fn flags_as_go_takes_them() {
    for line in ["--name x", "--name=x", "-name x", "-name=x", "--name y --name x", "--name=y -name x"] {
        assert_eq!(settings(line).name, "x", "{line}");
    }
    for (line, expected) in [
        ("", true),
        ("--strict-reconfig-check", true),
        ("--strict-reconfig-check=false", false),
        ("-strict-reconfig-check=F", false),
        ("--strict-reconfig-check=0 --strict-reconfig-check=1", true),
    ] {
        assert_eq!(settings(line).strict_reconfig_check, expected, "{line}");
    }
    assert_eq!(settings("--quota-backend-bytes -1").quota_bytes, None);
    let unknown = Line::try_parse_from(["solder", "--nmae", "x"]).err().expect("refused").to_string();
    assert!(
        unknown.contains("unexpected argument '--nmae' found") && unknown.contains("'--name'"),
        "{unknown}"
    );
}

/// What the server is given; those not named here are in `config.golden`.
#[test]
fn texts_become_values() {
    let of = |line: &str| settings(line);
    assert_eq!(of("").data_dir, Path::new("/srv/default.solder"));
    assert_eq!(of("--name a").data_dir, Path::new("/srv/a.solder"));
    assert_eq!(of("--data-dir d").data_dir, Path::new("/srv/d"));
    assert_eq!(of("--data-dir /d").data_dir, Path::new("/d"));
    let by_systemd = resolve("", &machine("STATE_DIRECTORY=/var/lib/solder")).expect("fine");
    assert_eq!(by_systemd.data_dir, Path::new("/var/lib/solder"));

    let addresses =
        |line| of(line).listen_client.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(addresses(""), "127.0.0.1:2379");
    assert_eq!(addresses("--listen-client-urls http://localhost:0,http://[::1]:7"), "127.0.0.1:0 [::1]:7");

    let advertised = |line| of(line).advertise_client_urls.join(" ");
    assert_eq!(advertised(""), "http://localhost:2379");
    assert_eq!(advertised("--listen-client-urls http://10.0.0.7:1"), "http://10.0.0.7:1");
    assert_eq!(advertised("--listen-client-urls http://0.0.0.0:1,http://[::]:1"), "http://board:1");
    assert_eq!(advertised("--advertise-client-urls http://a:1,http://b:1"), "http://a:1 http://b:1");

    let peers = |line| of(line).advertise_peer_urls.join(" ");
    assert_eq!(peers(""), "http://localhost:2380");
    assert_eq!(peers("--initial-cluster default=http://a:1"), "http://a:1");
    let both = "--initial-cluster default=http://b:1,default=http://a:1 --initial-advertise-peer-urls http://a:1,http://b:1";
    assert_eq!(peers(both), "http://a:1 http://b:1");

    let hours = |hours: u64| Some(AutoCompaction::Periodic(Duration::from_secs(3600 * hours)));
    for (line, expected) in [
        ("", None),
        ("--auto-compaction-retention=0", None),
        ("--auto-compaction-retention=0s", None),
        ("--auto-compaction-retention=2", hours(2)),
        ("--auto-compaction-retention=1h", hours(1)),
        ("--auto-compaction-mode=revision", None),
        (
            "--auto-compaction-mode=revision --auto-compaction-retention=1000",
            Some(AutoCompaction::Revision(1000)),
        ),
        ("--board=rpi-5", hours(1)),
        ("--board=rpi-5 --auto-compaction-retention=0", None),
    ] {
        assert_eq!(of(line).auto_compaction, expected, "{line}");
    }
    assert_eq!(of("--cors http://a,https://b:1").cors, ["http://a", "https://b:1"]);
    assert_eq!(of("--host-whitelist a,b").host_whitelist, ["a", "b"]);
    assert_eq!(of("--watch-progress-notify-interval 0").watch_progress_interval, Duration::from_secs(600));
    assert_eq!(
        of("--experimental-watch-progress-notify-interval 5s").watch_progress_interval,
        Duration::from_secs(5)
    );
    let log = of("--log-level=fatal --log-format=json").log;
    assert_eq!(log, logging::Options { level: logging::Level::Fatal, format: logging::Format::Json });
}

/// A service of discovery takes the same settings from the same places, but begins with others.
#[test]
fn discovery_alone() {
    let alone = |given: &[(&'static str, &str)], variables: &str| {
        let given = given.iter().map(|(name, text)| (*name, Some(text.to_string())));
        config::resolve(&Flags::of_discovery(given), &machine(variables)).expect("fine")
    };
    let plain = alone(&[], "");
    assert!(plain.discovery_alone && plain.discovery_public);
    assert_eq!(plain.data_dir, Path::new("/srv/solder-discovery"));
    assert_eq!(plain.listen_client, ["[::]:2379".parse().expect("an address")]);
    assert_eq!(plain.advertise_client_urls, ["http://board:2379"]);
    assert_eq!(plain.listen_peer, [""; 0]);
    assert_eq!(plain.auto_compaction, Some(AutoCompaction::Periodic(Duration::from_secs(3600))));
    let told = alone(
        &[("data-dir", "d"), ("listen-client-urls", "http://127.0.0.1:1")],
        "SOLDER_DISCOVERY_PUBLIC=false SOLDER_AUTO_COMPACTION_RETENTION=2h",
    );
    assert!(told.discovery_alone && !told.discovery_public);
    assert_eq!((told.data_dir, told.listen_client.len()), ("/srv/d".into(), 1));
    assert_eq!(told.advertise_client_urls, ["http://127.0.0.1:1"]);
    assert_eq!(told.auto_compaction, Some(AutoCompaction::Periodic(Duration::from_secs(7200))));
    assert_eq!(alone(&[], "STATE_DIRECTORY=/var/lib/x").data_dir, Path::new("/var/lib/x"));
    let member = settings("");
    assert!(!member.discovery_alone && !member.discovery_public);
    assert!(settings("--discovery-public").discovery_public);
}

/// The rule itself is tested beside it; here is who is asked.
#[test]
fn quota_and_map() {
    const MIB: u64 = 1 << 20;
    for (line, word_bits, quota, map) in [
        ("", 64, 2048 * MIB, 16_384 * MIB),
        ("", 32, 512 * MIB, 1024 * MIB),
        ("--quota-backend-bytes=0", 32, 512 * MIB, 1024 * MIB),
        ("--quota-backend-bytes=64MiB", 32, 64 * MIB, 1024 * MIB),
        ("--quota-backend-bytes=17179869184", 64, 16_384 * MIB, 32_768 * MIB),
        ("--db-map-bytes=1GiB", 64, 512 * MIB, 1024 * MIB),
        ("--board=rpi-zero-w", 32, 128 * MIB, 512 * MIB),
        ("--board=rpi-zero-w --quota-backend-bytes=400MiB", 32, 400 * MIB, 800 * MIB),
        ("--board=rpi-zero-w --quota-backend-bytes=0", 32, 256 * MIB, 512 * MIB),
        ("--board=rpi-zero-w --db-map-bytes=128MiB", 32, 64 * MIB, 128 * MIB),
        ("--board=rpi-4b", 64, 2048 * MIB, 4096 * MIB),
        ("--board=rpi-4b", 32, 512 * MIB, 1024 * MIB),
    ] {
        let settings = resolve(line, &Surroundings { word_bits, ..machine("") }).expect(line);
        let found = (settings.quota_bytes, settings.budget.db_map_bytes_max);
        assert_eq!(found, (Some(quota), map), "{line} with {word_bits} bits");
    }
    let small_disk = Surroundings {
        room: |data_dir| {
            assert_eq!(data_dir, Path::new("/srv/default.solder"));
            Some(Room { free_bytes: 100 << 20, database_bytes: 20 << 20 })
        },
        ..machine("")
    };
    assert_eq!(resolve("--board=rpi-4b", &small_disk).expect("fine").quota_bytes, Some(60 * MIB));
    assert_eq!(resolve("", &small_disk).expect("fine").quota_bytes, Some(2048 * MIB));
    let too_much = Surroundings { word_bits: 32, ..machine("") };
    assert_eq!(
        resolve("--quota-backend-bytes=2147483648", &too_much).expect_err("32 bits"),
        "--quota-backend-bytes: 2147483648 is more than half of the database's map: the most is 536870912"
    );
    assert_eq!(
        resolve("--db-map-bytes=2GiB", &too_much).expect_err("32 bits"),
        "--db-map-bytes: 2147483648 is too large, this board's words can take 1073741824"
    );
}

#[test]
fn what_is_refused_and_in_which_words() {
    for (line, expected) in [
        ("--name=", "--name: a member needs a name"),
        ("--name=a/b", "--name: \"a/b\" has a '/' in it"),
        ("--data-dir=", "--data-dir: empty"),
        ("--config-file=", "--config-file: empty"),
        ("--listen-client-urls=", "--listen-client-urls: no URL: clients could not be served"),
        ("--listen-client-urls=foo", "--listen-client-urls: URL scheme must be http or https: foo"),
        (
            "--listen-client-urls=http://a.example:1",
            "--listen-client-urls: expected IP in URL for binding (http://a.example:1)",
        ),
        (
            "--listen-client-urls=http://127.0.0.1:1,http://127.0.0.1:1",
            "--listen-client-urls: http://127.0.0.1:1 is named twice",
        ),
        (
            "--listen-metrics-urls=https://127.0.0.1:1",
            "--listen-metrics-urls: TLS for clients is not in this version of Solder: use http: https://127.0.0.1:1",
        ),
        (
            "--advertise-client-urls=http://0.0.0.0:1",
            "--advertise-client-urls: http://0.0.0.0:1 is no address that others can call",
        ),
        ("--initial-advertise-peer-urls=", "--initial-advertise-peer-urls: no URL"),
        (
            "--initial-cluster=default=http://localhost:2380,b=http://localhost:2380",
            "--initial-cluster: http://localhost:2380 is named twice",
        ),
        (
            "--initial-advertise-peer-urls=http://0.0.0.0:1",
            "--initial-advertise-peer-urls: http://0.0.0.0:1 is no address that others can call",
        ),
        (
            "--listen-peer-urls=https://10.0.0.7:2380",
            "https://10.0.0.7:2380 needs --peer-cert-file, --peer-key-file and --peer-trusted-ca-file: peers prove to each other \
             who they are",
        ),
        (
            "--initial-cluster=b=http://b:1",
            "--initial-cluster: couldn't find local name \"default\" in the initial cluster configuration",
        ),
        (
            "--initial-cluster=default=http://a:1 --initial-advertise-peer-urls=http://b:1",
            "--initial-cluster: its URLs are not those of --initial-advertise-peer-urls",
        ),
        ("--initial-cluster=x", "--initial-cluster: \"x\" does not have the form NAME=URL"),
        ("--initial-cluster-state=old", "--initial-cluster-state: \"old\" is none of new, existing"),
        ("--heartbeat-interval=0", "--heartbeat-interval: 0 is too small, the least is 1"),
        ("--heartbeat-interval=1s", "--heartbeat-interval: \"1s\" is not a whole number"),
        (
            "--heartbeat-interval=201",
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[201ms]",
        ),
        ("--election-timeout=50001", "--election-timeout: 50001 is too large, the most is 50000"),
        ("--quota-backend-bytes=1GB", "--quota-backend-bytes: \"1GB\" is not a number of bytes"),
        ("--auto-compaction-mode=x", "--auto-compaction-mode: \"x\" is none of periodic, revision"),
        (
            "--auto-compaction-retention=-1h",
            "--auto-compaction-retention: \"-1h\" is not a duration like 1h30m, nor a number of hours",
        ),
        (
            "--auto-compaction-mode=revision --auto-compaction-retention=1h",
            "--auto-compaction-retention: \"1h\" is not a number of revisions",
        ),
        ("--max-request-bytes=2MiB", "--max-request-bytes: 2097152 is too large, the most is 1572864"),
        ("--max-txn-ops=129", "--max-txn-ops: 129 is too large, the most is 128"),
        ("--cors=a.example", "--cors: \"a.example\" is not an origin like http://host:port, nor *"),
        ("--log-level=trace", "--log-level: \"trace\" is none of debug, info, warn, error, panic, fatal"),
        ("--log-format=xml", "--log-format: \"xml\" is none of console, text, json"),
        ("--flush-interval=1", "--flush-interval: \"1\" is not a duration like 1h30m or 100ms"),
        ("--flush-interval=1ms", "--flush-interval: 1ms is too short, the least is 10ms"),
        ("--pending-bytes-max=100KiB", "--pending-bytes-max: 102400 is too small, the least is 262144"),
        ("--wal-segment-bytes=1MiB", "--wal-segment-bytes: 1048576 is too small, the least is 2097152"),
        ("--wal-segment-bytes=2097153", "--wal-segment-bytes: 2097153 is no multiple of 4096"),
        ("--strict-reconfig-check=perhaps", "--strict-reconfig-check: \"perhaps\" is neither true nor false"),
        (
            "--board=rpi-4",
            "--board: there is no board \"rpi-4\": did you mean `rpi-4b`? (known: rpi-zero-w, rpi-zero-2w, rpi-3b, \
             rpi-4b, rpi-5, generic-armv7, generic-arm64, x86, auto, none, or the path of a file)",
        ),
        (
            "--board=./none.toml",
            "--board: cannot read the profile /srv/./none.toml: No such file or directory (os error 2)",
        ),
        (
            "--config-file=none.toml",
            "/srv/none.toml: cannot read the configuration file: No such file or directory (os error 2)",
        ),
        (
            "--discovery=http://x",
            "--discovery: its token is not 32 hexadecimal digits: give the URL that `solder invite` or `solder discovery new` \
             has printed, all of it, in quotes",
        ),
        (
            "--discovery=http://h/0123456789abcdef0123456789abcdef --initial-cluster h8=http://h:2380",
            "both --discovery and --initial-cluster: multiple discovery or bootstrap flags are set, choose one",
        ),
        (
            "--discovery-srv=x",
            "--discovery-srv: boards find each other by --discovery, or are named in --initial-cluster: leave it out",
        ),
        ("--cert-file=x", "--cert-file: TLS is not in this version of Solder: leave it out"),
        (
            "--peer-client-cert-auth",
            "--peer-cert-file is missing: --peer-cert-file, --peer-key-file, --peer-trusted-ca-file belong together",
        ),
        (
            "--unsafe-no-fsync",
            "--unsafe-no-fsync: Solder never answers before a write is on stable storage: leave it out",
        ),
        (
            "--wal-dir=/x",
            "--wal-dir: the log is in the data directory: mount or link another disk at its wal/ instead",
        ),
        (
            "--auth-token=jwt",
            "--auth-token: tokens other than 'simple' are not in this version of Solder: leave it out",
        ),
        ("--enable-v2=x", "--enable-v2: \"x\" is neither true nor false"),
    ] {
        assert_eq!(refusal(line), expected, "{line}");
    }
}

/// What holds anyway may be said.
#[test]
fn what_changes_nothing_is_taken() {
    for line in [
        "--force-new-cluster=false --unsafe-no-fsync=false --client-cert-auth=false --auto-tls=f --enable-v2=false",
        "--wal-dir= --discovery= --cert-file= --trusted-ca-file= --peer-cert-file= --proxy=off --auth-token=simple",
        "--initial-cluster-state=new --initial-cluster-token=etcd-cluster",
        "--listen-peer-urls http://localhost:2380 --quota-backend-bytes=2147483648",
    ] {
        assert_eq!(settings(line), settings(""), "{line}");
    }
}

#[test]
fn what_is_not_needed_is_taken_with_a_warning() {
    let line = "--snapshot-count=5 --logger zap --pre-vote -experimental-compaction-batch-limit 3 \
                --raft-read-timeout 5s";
    let variables = "SOLDER_MAX_WALS=3 SOLDER_DATADIR=x SOLDER_ENDPOINTS=x SOLDER_RUNNER=x";
    let settings = resolve(line, &machine(variables)).expect("taken");
    assert_eq!(
        settings.warnings,
        [
            "SOLDER_DATADIR is unknown: did you mean SOLDER_DATA_DIR?",
            "--snapshot-count is ignored: there are no snapshot files between log and database",
            "SOLDER_MAX_WALS is ignored: the log's files are reused",
            "--pre-vote is ignored: it is always on",
            "--raft-read-timeout is ignored: silent links are noticed in 5 s",
            "--logger is ignored: the log goes to standard error, one line an event",
            "--experimental-compaction-batch-limit is ignored: see flush-pages-max",
        ]
    );
}

#[test]
fn errors_name_the_place() {
    let directory = TempDir::new().expect("a temporary directory");
    for (text, expected) in [
        ("\nheartbeat-interval = 'x'", "PATH: line 2: heartbeat-interval: \"x\" is not a whole number"),
        ("data_dir = '/x'", "PATH: line 1: unknown key `data_dir`: did you mean `data-dir`?"),
        ("zzz = 1", "PATH: line 1: unknown key `zzz`"),
        ("config-file = 'x'", "PATH: line 1: a configuration file cannot name another one"),
        ("cert-file = 'x'", "PATH: line 1: cert-file: TLS is not in this version of Solder: leave it out"),
        ("name = ", "PATH: line 1: string values must be quoted, expected literal string"),
        ("board = 'rpi'", "PATH: line 1: board: there is no board \"rpi\" (known: "),
    ] {
        let path = file(&directory, text);
        let error = refusal(&format!("--config-file {path}"));
        let expected = expected.replace("PATH", &path);
        assert!(
            error == expected || (expected.ends_with("(known: ") && error.starts_with(&expected)),
            "{error}"
        );
    }
    let error = resolve("", &machine("SOLDER_LOG_LEVEL=x")).expect_err("no level");
    assert_eq!(error, "SOLDER_LOG_LEVEL: \"x\" is none of debug, info, warn, error, panic, fatal");
}

/// Every profile, with both sizes of words: what it comes to, and that its report is a file that says the same.
#[test]
fn every_profile_resolves() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut lines = String::new();
    for name in Profile::names() {
        let description = Profile::named(name).expect("it is there").description;
        assert!(!description.is_empty(), "{name}");
        lines += &format!("{name}: {description}\n");
        for word_bits in [32, 64] {
            let machine = Surroundings { word_bits, ..machine("") };
            let settings = resolve(&format!("--board {name}"), &machine).expect(name);
            let Settings { heartbeat_interval, election_timeout, quota_bytes, auto_compaction, .. } =
                &settings;
            lines += &format!(
                "  {word_bits} bits: heartbeat {heartbeat_interval:?}, election {election_timeout:?}, quota {quota_bytes:?}, \
                 {auto_compaction:?}\n    {:?}\n",
                settings.budget
            );
            assert_eq!(
                settings.auto_compaction,
                Some(AutoCompaction::Periodic(Duration::from_secs(3600))),
                "{name}"
            );
            assert!(
                settings.quota_bytes.is_some_and(|quota| quota <= settings.budget.db_map_bytes_max / 2),
                "{name}"
            );
            let report = config::check(&flags(&format!("--board {name}")), &machine).expect(name);
            let path = file(&directory, &report);
            let told = resolve(&format!("--config-file {path}"), &machine).expect("what it says it reads");
            // What stands in a file is somebody's choice: a name that is taken is not changed, and learners are as many.
            let chosen = Autopilot { learners_max: settings.learners_max as u32, ..settings.autopilot };
            let settings = Settings { is_default_name: false, autopilot: chosen, ..settings };
            assert_eq!(told, settings, "{report}");
        }
    }
    golden::check("tests/boards.golden", &lines, "UPDATE_GOLDENFILES=1 cargo test --test config");
}

#[test]
fn a_profile_of_ones_own() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = file(&directory, "description = 'a box'\nmax-connections = 7\nflush-interval = '1m'\n");
    let settings = settings(&format!("--board {path} --flush-interval 2s"));
    assert_eq!(
        (settings.budget.connections_max, settings.budget.flush_interval),
        (7, Duration::from_secs(2))
    );
    assert_eq!(settings.board, Some(path));
    let path = file(&directory, "data-dir = 'x'");
    let expected = format!("--board: {path}: line 1: `data-dir` is not for a board profile");
    assert_eq!(refusal(&format!("--board {path}")), expected);
    let path = file(&directory, "max-connections = 0");
    let expected = format!("board {path}: max-connections: 0 is too small, the least is 1");
    assert_eq!(refusal(&format!("--board {path}")), expected);
}

#[test]
fn check_config_tells_all_and_where_it_comes_from() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = file(
        &directory,
        "name = 'door'\nlisten-client-urls = ['http://127.0.0.1:2379', 'http://0.0.0.0:80']\n",
    );
    let line = format!("--config-file {path} --board auto --snapshot-count 5 --max-txn-ops 64");
    let small_disk = Surroundings {
        room: |_| Some(Room { free_bytes: 500 << 20, database_bytes: 0 }),
        ..machine("SOLDER_ELECTION_TIMEOUT=3000 SOLDER_CORS=*")
    };
    let mut told = String::from("$ solder check-config\n");
    told += &config::check(&Flags::default(), &machine("")).expect("defaults");
    told += "\n$ SOLDER_ELECTION_TIMEOUT=3000 SOLDER_CORS=* solder check-config --config-file FILE --board auto --snapshot-count 5 --max-txn-ops 64\n";
    told += &config::check(&flags(&line), &small_disk).expect("a board").replace(&path, "FILE");
    golden::check("tests/config.golden", &told, "UPDATE_GOLDENFILES=1 cargo test --test config");
}

/// The command itself, with its exit status.
#[test]
fn check_config_as_a_command() {
    let directory = TempDir::new().expect("a temporary directory");
    let run = |line: &str| {
        let mut command = runner::command(env!("CARGO_BIN_EXE_solder"));
        command.arg("check-config").args(line.split_whitespace()).current_dir(&directory);
        let output = command.output().expect("solder runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = run("-name x --data-dir y");
    let expected = directory.path().canonicalize().expect("it is there").join("y");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("data-dir = {:?}", expected.display().to_string())), "{out}");
    assert_eq!(fs::read_dir(&directory).expect("readable").count(), 0, "nothing is made by looking");
    let (code, out, err) = run("--cert-file x");
    let expected = "solder: --cert-file: TLS is not in this version of Solder: leave it out\n";
    assert_eq!((code, out.as_str(), err.as_str()), (Some(1), "", expected));
    let (code, _, err) = run("--data-dri x");
    assert!(code == Some(2) && err.contains("a similar argument exists: '--data-dir'"), "{err}");
}

#[test]
fn the_example_is_a_configuration_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/solder.toml");
    let settings = settings(&format!("--config-file {}", path.display()));
    assert_eq!((settings.board.as_deref(), &settings.warnings[..]), (Some("rpi-4b"), &[][..]));
    // What is commented out is no less right.
    let text = fs::read_to_string(&path).expect("readable");
    let on: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line))
        .collect();
    let on = on.join("\n").replacen("listen-client-urls", "#listen-client-urls", 1);
    let directory = TempDir::new().expect("a temporary directory");
    let all = self::settings(&format!("--config-file {}", file(&directory, &on)));
    assert_eq!((all.listen_client.len(), all.quota_bytes), (2, Some(256 << 20)));
}

/// systemd's own opinion of the unit, where there is systemd.
#[test]
fn the_unit_is_valid() {
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/solder.service"))
        .expect("readable");
    let waits = |line: &str| line.starts_with("Requires=") || line.starts_with("Wants=");
    assert!(!unit.lines().any(waits), "a board without network serves itself");
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("solder.service");
    fs::write(&path, unit.replace("/usr/bin/solder", "/bin/true")).expect("room");
    let verified =
        std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    match verified {
        Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{output:?}"),
        Err(error) => eprintln!("SKIPPED: systemd-analyze: {error}"),
    }
}

#[test]
fn manual_and_completions() {
    let directory = TempDir::new().expect("a temporary directory");
    let run = |words: &[&str]| {
        let output = runner::command(env!("CARGO_BIN_EXE_solder")).args(words).output().expect("solder runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(run(&["completions", "bash"]).contains("check-config"));
    run(&["man", &directory.path().join("man").display().to_string()]);
    let page = fs::read_to_string(directory.path().join("man/solder-check-config.1")).expect("written");
    assert!(page.contains("heartbeat") && !page.contains("snapshot"), "{page}");
}

/// What a service says to the journal and to its manager, as they hear it.
#[test]
fn what_the_service_manager_hears() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let mut process = runner::command(std::env::current_exe().expect("this test"));
    process.args(["--ignored", "--exact", "speaks_to_the_service_manager", "--nocapture"]);
    process.envs([("NOTIFY_SOCKET", path.as_os_str()), ("JOURNAL_STREAM", "8:1".as_ref())]);
    let output = process.env("WATCHDOG_USEC", "30000000").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");

    let mut heard = Vec::new();
    let mut buffer = [0; 200];
    while heard.last().is_none_or(|last: &String| !last.starts_with("STOPPING")) {
        let length = socket.recv(&mut buffer).expect("a message");
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let expected = [
        "EXTEND_TIMEOUT_USEC=5000000\n",
        "READY=1\nSTATUS=serving\n",
        "WATCHDOG=1\n",
        "STOPPING=1\nSTATUS=stopping\n",
    ];
    assert_eq!(heard, expected);
    let journal = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = journal.lines().filter(|line| line.starts_with('<')).collect();
    assert_eq!(lines, ["<6>info  ping every 15s", "<4>warn  two\\nlines"]);
}

#[test]
#[ignore = "what_the_service_manager_hears runs it in a process of its own"]
fn speaks_to_the_service_manager() {
    logging::start(logging::Options { level: logging::Level::Info, format: logging::Format::Console });
    notify::starting(Duration::from_secs(5));
    notify::ready("serving");
    let interval = notify::watchdog_interval().expect("there is a watchdog");
    notify::alive();
    log::info!(target: "solder::run", "ping every {interval:?}");
    log::warn!(target: "another_crate", "two\nlines");
    log::info!(target: "another_crate", "nobody asked");
    log::debug!(target: "solder::run", "more than was asked");
    notify::stopping();
}
