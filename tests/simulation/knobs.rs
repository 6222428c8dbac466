//! What a seed decides before a run: how large the cluster is, how bad its world is, how small its bounds are.
//!
//! Each fault is drawn to be absent, rare or frequent, one by one, so that runs differ in kind and not only in luck.

use solder::types::Bug;

use super::{Micros, pilot::BLIND_MAX, stories::Story};

pub const MILLI: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;

/// How much of the world is against the cluster. All rates are mean times between two faults of a kind; `None`: never.
#[derive(Clone, Debug)]
pub struct Knobs {
    pub voters: u64,
    /// Real LMDB on a RAM disk instead of the twin in memory.
    pub lmdb: bool,
    /// How long faults go on.
    pub stormy: Micros,
    /// A board's clock may run so much slower than another's, in percent.
    pub slow_clock: u64,
    pub network: Network,
    pub disk: Disk,
    pub faults: Faults,
    pub story: Option<Story>,
    pub clients: Clients,
    pub bounds: Bounds,
    pub timing: Timing,
    /// The cluster chooses its voters by itself.
    pub autopilot: Option<Autopilot>,
}

#[derive(Clone, Copy, Debug)]
pub struct Autopilot {
    pub voters_max: usize,
    /// Boards that are members from the beginning and do not vote.
    pub learners: u64,
    pub replace_after: Micros,
}

/// Time-outs, which belong to the cluster and can change while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub tick: Micros,
    pub election_ticks: u32,
    /// A board that has power answers each request by then, and be it that nobody knows.
    pub request_ticks: u64,
}

#[derive(Clone, Debug)]
pub struct Network {
    /// Of 1000 messages.
    pub lost: u32,
    pub doubled: u32,
    pub delay_min: Micros,
    pub delay_max: Micros,
    /// Of 1000 messages, how many take up to three seconds: longer than an election.
    pub straggling: u32,
    /// Of 1000 boards, how many hear at some time that another one is connected, or that its process has ended.
    pub told_of_peers: u32,
}

#[derive(Clone, Debug)]
pub struct Disk {
    pub sync_min: Micros,
    pub sync_max: Micros,
    pub apply_max: Micros,
    pub flush_every: Micros,
    pub flush_max: Micros,
    /// How long what is done may wait until the replica listens.
    pub report_max: Micros,
    /// A sync of a disk that is slow for a while.
    pub slow_max: Micros,
}

#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub partition: Option<Micros>,
    pub crash: Option<Micros>,
    pub pause: Option<Micros>,
    pub slow_disk: Option<Micros>,
    pub full_disk: Option<Micros>,
    pub failing_sync: Option<Micros>,
    pub full_store: Option<Micros>,
    pub lost_disk: Option<Micros>,
    pub membership: Option<Micros>,
    pub leader_transfer: Option<Micros>,
    /// Leaders are cut off one after the other, then the power of all goes.
    pub brownout: Option<Micros>,
    /// A process is said to have ended that lives.
    pub reset: Option<Micros>,
    /// New time-outs, of which each board hears at its own time.
    pub retime: Option<Micros>,
}

#[derive(Clone, Debug)]
pub struct Clients {
    pub count: u64,
    pub think_max: Micros,
    pub patience: Micros,
    pub keys: u64,
    /// The longest value: a batch of many sectors can be torn, one of a single sector cannot.
    pub value_bytes: usize,
    pub watchers: u64,
    /// Of 1000 calls.
    pub compactions: u32,
}

#[derive(Clone, Debug)]
pub struct Bounds {
    pub append_bytes: u64,
    pub window_bytes: u64,
    pub uncommitted_bytes: u64,
    pub tail_bytes: u64,
    pub unapplied_bytes: u64,
    pub piece_bytes: u64,
    pub pending_bytes: u64,
    pub segment_bytes: u32,
}

impl Timing {
    /// As etcd's.
    pub const USUAL: Timing = Timing { tick: 100 * MILLI, election_ticks: 10, request_ticks: 50 };

    pub fn draw(rng: &mut fastrand::Rng) -> Timing {
        Timing {
            tick: [50 * MILLI, 100 * MILLI, 200 * MILLI][rng.usize(..3)],
            election_ticks: [5, 10, 20][rng.usize(..3)],
            request_ticks: [25, 50, 100][rng.usize(..3)],
        }
    }
}

impl Knobs {
    /// A stormy world, drawn from the generator of a seed.
    pub fn draw(rng: &mut fastrand::Rng) -> Knobs {
        let voters = [1, 2, 3, 3, 3, 3, 3, 5, 5, 7][rng.usize(..10)];
        let mut knobs = Knobs {
            voters,
            lmdb: rng.u32(..10) == 0,
            stormy: rng.u64(15..40) * SECOND,
            slow_clock: [0, 10, 100, 300][rng.usize(..4)],
            network: Network::draw(rng),
            disk: Disk::draw(rng),
            faults: Faults::draw(rng, voters),
            story: None,
            clients: Clients::draw(rng),
            bounds: Bounds::draw(rng),
            timing: Timing::USUAL,
            autopilot: None,
        };
        if rng.u32(..4) == 0 {
            knobs.switch_on_autopilot(Autopilot::draw(rng));
        }
        knobs
    }

    /// Where a learner's window is tiny, it is behind as long as anybody writes.
    fn switch_on_autopilot(&mut self, autopilot: Autopilot) {
        self.autopilot = Some(autopilot);
        self.voters = self.voters.min(5);
        self.bounds.window_bytes = 256_000;
    }

    /// A world that is hard on one bug: those that need three things at once are rare in worlds that have everything.
    pub fn against(bug: Bug, rng: &mut fastrand::Rng) -> Knobs {
        let mut knobs = Knobs::draw(rng);
        match bug {
            // A leader that dies between an old entry and its first own one, again and again.
            Bug::CommitOlderTerm => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                (knobs.bounds.append_bytes, knobs.bounds.window_bytes) = (1, 1);
                knobs.network = Network { delay_max: 120 * MILLI, told_of_peers: 950, ..Network::kind() };
                knobs.network.delay_min = 30 * MILLI;
                knobs.disk = Disk::kind();
                knobs.story = Some(Story::FigureEight);
                knobs.clients =
                    Clients { count: 6, think_max: 20 * MILLI, patience: 300 * MILLI, ..knobs.clients };
                knobs.faults = Faults::default();
            }
            // A leader that is cut off with a write under way, and another that replaces it before the disk is done.
            Bug::PersistedByIndexAlone => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                knobs.network = Network { doubled: 400, ..Network::kind() };
                knobs.disk = Disk { slow_max: 3 * SECOND, ..Disk::kind() };
                knobs.clients = Clients { count: 6, think_max: 20 * MILLI, value_bytes: 0, ..knobs.clients };
                knobs.bounds = Bounds::roomy();
                knobs.faults = Faults { brownout: Some(2 * SECOND), ..Faults::default() };
            }
            // A leader that stands still with reads waiting and their round answered, until others have led and written.
            Bug::ReadByEarlierRound => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                knobs.network = Network { delay_min: 5 * MILLI, delay_max: 10 * MILLI, ..Network::kind() };
                knobs.disk = Disk::kind();
                knobs.story = Some(Story::StandingLeader);
                knobs.clients = Clients {
                    count: 8,
                    think_max: 20 * MILLI,
                    patience: 2 * SECOND,
                    keys: 1,
                    ..knobs.clients
                };
                knobs.bounds = Bounds::roomy();
                knobs.faults = Faults::default();
            }
            // Voters that lose their memory between two candidates of one term.
            Bug::VoteNotSynced => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                knobs.disk = Disk { sync_max: 500 * MILLI, ..Disk::kind() };
                knobs.network = Network { delay_max: 120 * MILLI, ..Network::kind() };
                knobs.faults = Faults { crash: Some(400 * MILLI), ..Faults::default() };
            }
            // Boards that lose their power while they write batches of many sectors.
            Bug::TornBatchAccepted | Bug::BatchesShareBlock => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                knobs.disk = Disk { sync_min: 20 * MILLI, sync_max: 200 * MILLI, ..Disk::kind() };
                knobs.network = Network::kind();
                knobs.clients =
                    Clients { count: 6, think_max: 20 * MILLI, value_bytes: 9_000, ..knobs.clients };
                knobs.bounds = Bounds::roomy();
                knobs.faults = Faults { crash: Some(400 * MILLI), ..Faults::default() };
            }
            // Leaders that are cut off with entries of their own, and lose their power once these were replaced.
            Bug::TruncatedSuffixKept => {
                knobs.voters = 3;
                knobs.faults = Faults {
                    partition: Some(SECOND),
                    crash: Some(400 * MILLI),
                    brownout: Some(4 * SECOND),
                    ..Faults::default()
                };
            }
            // Boards that fall behind the tail while much is compacted, and get the store in small pieces.
            Bug::CompactPastTransfer => {
                (knobs.voters, knobs.slow_clock) = (3, 0);
                knobs.network = Network { delay_max: 50 * MILLI, ..Network::kind() };
                knobs.disk = Disk { flush_every: 50 * MILLI, flush_max: 5 * MILLI, ..Disk::kind() };
                knobs.clients = Clients {
                    count: 6,
                    think_max: 20 * MILLI,
                    keys: 6,
                    value_bytes: 2_000,
                    compactions: 60,
                    ..knobs.clients
                };
                knobs.bounds = Bounds { tail_bytes: 500, piece_bytes: 200, ..Bounds::roomy() };
                knobs.faults =
                    Faults { partition: Some(SECOND), crash: Some(2 * SECOND), ..Faults::default() };
            }
            // A voter that is dead for good, and one that could take its place.
            Bug::DemoteTheLiving => {
                (knobs.voters, knobs.slow_clock, knobs.stormy) = (3, 0, 40 * SECOND);
                knobs.network = Network::kind();
                knobs.disk = Disk::kind();
                knobs.faults = Faults { lost_disk: Some(4 * SECOND), ..Faults::default() };
                let replace_after = BLIND_MAX + SECOND;
                knobs.switch_on_autopilot(Autopilot { voters_max: 3, learners: 1, replace_after });
            }
            _ => {}
        }
        if bug != Bug::DemoteTheLiving {
            knobs.autopilot = None;
        }
        knobs
    }

    /// A world in which nothing goes wrong, for measuring: `operations` a simulated second from all clients together.
    pub fn calm(voters: u64, operations: u64, duration: Micros) -> Knobs {
        let clients = 4;
        Knobs {
            voters,
            lmdb: false,
            stormy: duration,
            slow_clock: 0,
            network: Network { delay_min: 200, delay_max: 2 * MILLI, ..Network::kind() },
            disk: Disk::kind(),
            faults: Faults::default(),
            story: None,
            clients: Clients {
                count: clients,
                // A call itself takes about 10 ms of the time between two.
                think_max: 2 * (SECOND * clients / operations).saturating_sub(10 * MILLI),
                patience: 2 * SECOND,
                keys: 16,
                value_bytes: 0,
                watchers: 1,
                compactions: 2,
            },
            bounds: Bounds::roomy(),
            timing: Timing::USUAL,
            autopilot: None,
        }
    }
}

impl Autopilot {
    fn draw(rng: &mut fastrand::Rng) -> Autopilot {
        Autopilot {
            voters_max: [1, 3, 3, 4, 5, 5, 7][rng.usize(..7)],
            learners: rng.u64(..4),
            // Longer than a leader can be wrong about who is there.
            replace_after: [10, 12, 15][rng.usize(..3)] * SECOND,
        }
    }
}

/// How bad a world is: a factor on the mean time between two faults of a kind.
struct Weather(Micros);

impl Weather {
    fn draw(rng: &mut fastrand::Rng) -> Weather {
        Weather([1, 2, 4, 12][rng.usize(..4)])
    }

    /// Half of the faults there are do not happen in a world at all.
    fn rate(&self, rng: &mut fastrand::Rng, often: Micros) -> Option<Micros> {
        rng.bool().then_some(often * self.0)
    }
}

impl Network {
    fn draw(rng: &mut fastrand::Rng) -> Network {
        Network {
            lost: [0, 10, 50, 150][rng.usize(..4)],
            doubled: [0, 10, 100, 400][rng.usize(..4)],
            delay_min: 100,
            delay_max: [MILLI, 10 * MILLI, 50 * MILLI, 120 * MILLI][rng.usize(..4)],
            straggling: [0, 0, 10, 100][rng.usize(..4)],
            told_of_peers: [0, 500, 950][rng.usize(..3)],
        }
    }

    /// A network that a cluster must live well with.
    pub fn kind() -> Network {
        Network { lost: 0, doubled: 0, delay_min: 100, delay_max: 5 * MILLI, straggling: 0, told_of_peers: 0 }
    }
}

impl Disk {
    fn draw(rng: &mut fastrand::Rng) -> Disk {
        Disk {
            sync_min: 200,
            sync_max: [2 * MILLI, 20 * MILLI, 200 * MILLI, SECOND][rng.usize(..4)],
            apply_max: [100, 2 * MILLI, 50 * MILLI][rng.usize(..3)],
            flush_every: [50 * MILLI, 300 * MILLI, 2 * SECOND][rng.usize(..3)],
            flush_max: [5 * MILLI, 100 * MILLI, SECOND][rng.usize(..3)],
            report_max: [0, MILLI, 100 * MILLI][rng.usize(..3)],
            slow_max: [SECOND, 5 * SECOND][rng.usize(..2)],
        }
    }
}

impl Disk {
    /// A disk that a cluster must live well with: an SD card.
    pub fn kind() -> Disk {
        Disk {
            sync_min: MILLI,
            sync_max: 5 * MILLI,
            apply_max: 200,
            flush_every: SECOND,
            flush_max: 50 * MILLI,
            report_max: 100,
            slow_max: SECOND,
        }
    }
}

impl Faults {
    fn draw(rng: &mut fastrand::Rng, voters: u64) -> Faults {
        let weather = Weather::draw(rng);
        let mut rate = |often| weather.rate(rng, often);
        Faults {
            partition: rate(1_500 * MILLI).filter(|_| voters > 1),
            crash: rate(600 * MILLI),
            pause: rate(2 * SECOND),
            slow_disk: rate(4 * SECOND),
            full_disk: rate(6 * SECOND),
            failing_sync: rate(6 * SECOND),
            full_store: rate(6 * SECOND),
            lost_disk: rate(6 * SECOND).filter(|_| voters > 2),
            membership: rate(2 * SECOND),
            leader_transfer: rate(3 * SECOND).filter(|_| voters > 1),
            brownout: rate(8 * SECOND).filter(|_| voters > 2),
            reset: rate(SECOND).filter(|_| voters > 1),
            retime: rate(5 * SECOND),
        }
    }
}

impl Clients {
    fn draw(rng: &mut fastrand::Rng) -> Clients {
        Clients {
            count: rng.u64(2..7),
            think_max: [20 * MILLI, 100 * MILLI, 400 * MILLI][rng.usize(..3)],
            patience: [300 * MILLI, 2 * SECOND][rng.usize(..2)],
            keys: rng.u64(1..7),
            value_bytes: [0, 0, 2_000, 9_000][rng.usize(..4)],
            watchers: rng.u64(1..4),
            compactions: [2, 20, 60][rng.usize(..3)],
        }
    }
}

impl Bounds {
    fn draw(rng: &mut fastrand::Rng) -> Bounds {
        Bounds {
            append_bytes: [1, 300, 2_000, 64_000][rng.usize(..4)],
            window_bytes: [1, 1_000, 8_000, 256_000][rng.usize(..4)],
            uncommitted_bytes: [2_000, 64_000][rng.usize(..2)],
            tail_bytes: [500, 3_000, 50_000][rng.usize(..3)],
            unapplied_bytes: [2_000, 64_000][rng.usize(..2)],
            piece_bytes: [200, 1_000, 16_000][rng.usize(..3)],
            pending_bytes: [4_000, 64_000][rng.usize(..2)],
            segment_bytes: [64 << 10, 128 << 10][rng.usize(..2)],
        }
    }

    fn roomy() -> Bounds {
        Bounds {
            append_bytes: 64_000,
            window_bytes: 256_000,
            uncommitted_bytes: 1 << 20,
            tail_bytes: 256_000,
            unapplied_bytes: 1 << 20,
            piece_bytes: 64_000,
            pending_bytes: 1 << 20,
            segment_bytes: 256 << 10,
        }
    }
}
