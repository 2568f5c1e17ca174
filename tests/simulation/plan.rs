//! What a seed stands for: how large the cluster is, what it is asked, and what goes wrong.
//!
//! Swarm testing: each run has only some kinds of trouble, drawn anew. Runs in which everything
//! goes wrong at once hide the bugs that need one thing to go wrong for long.

use std::ops::Range;

use raftkv::raft::Options;

use crate::leases::Leases;
use crate::random::Random;

/// Times are in microseconds.
pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// The kinds of trouble.
macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

faults! {
    // The network.
    /// Some of all messages are lost.
    Drop,
    /// All messages take long.
    Delay,
    /// Messages overtake each other.
    Reorder,
    /// Messages arrive twice.
    Duplicate,
    /// Messages from long ago arrive again.
    ReplayOld,
    /// Two halves do not hear each other.
    Partition,
    /// One half does not hear the other, which hears it.
    OneWayPartition,
    /// Each node hears only its neighbours.
    ChainPartition,
    /// Nobody hears the leader, and it hears nobody.
    IsolateLeader,
    /// The leader hears nobody, and is heard.
    DeafLeader,
    /// The leader hears everybody, and is not heard.
    MuteLeader,
    /// What the leader hears comes later and later, until it is not heard any more: it hears from
    /// followers that follow another.
    LaggingLeader,
    /// One node is alone.
    IsolateNode,
    /// One link holds back what it is given, and lets it all out later.
    Clog,
    /// The streams between two nodes break: what was on them is lost, and their ends told.
    BreakStream,
    /// One link loses most messages.
    FlakyLink,
    /// One link is slow.
    SlowLink,
    /// Snapshots break off on their way.
    LoseSnapshots,
    /// Snapshots take long on their way.
    SlowSnapshots,
    /// Clients do not reach one node.
    CutClients,
    /// Requests take so long that clients give up.
    DelayClients,
    // Processes.
    /// A process is killed; what it wrote is still there.
    Kill,
    /// The power fails: what was not synced is lost.
    PowerLoss,
    /// The power fails, and of what was not synced some sectors are there and some are not.
    TornPowerLoss,
    /// The leader's power fails.
    LeaderPowerLoss,
    /// The power of all fails at once.
    PowerLossOfAll,
    /// All processes are killed.
    KillAll,
    /// The power fails in the middle of a write of the log.
    PowerLossInWrite,
    /// The power fails while a snapshot is written.
    PowerLossInSnapshot,
    /// The power fails while the node recovers.
    PowerLossInRecovery,
    /// A node starts and dies, again and again.
    RestartLoop,
    /// The leader hands over.
    HandOver,
    /// A process stands still for a moment.
    ShortPause,
    /// A process stands still for longer than an election takes.
    LongPause,
    /// The leader stands still for longer than an election takes.
    PauseLeader,
    /// A process is slow: every event takes it long.
    SlowNode,
    // Clocks.
    /// A clock is wrong from the start.
    ClockSkew,
    /// A clock is set forward.
    ClockForward,
    /// A clock is set back.
    ClockBack,
    /// A clock runs fast.
    FastClock,
    /// A clock runs slow.
    SlowClock,
    /// The leader's clock almost stands still.
    LeaderClockStops,
    // Disks.
    /// Syncs take long.
    SlowSyncs,
    /// A sync does not return for long.
    HungSync,
    /// A sync fails.
    SyncError,
    /// A write fails.
    WriteError,
    /// A disk is full.
    FullDisk,
    /// There are no file descriptors left.
    NoDescriptors,
    /// A bit of a file at rest flips.
    FlipBit,
    /// A sector of a file at rest reads as zeros.
    ZeroSector,
    /// A sector of a file at rest holds something else.
    GarbageSector,
    /// A disk is lost for good, with its node.
    LoseDisk,
    /// Snapshots are taken again and again.
    ManySnapshots,
}

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Writes and reads of few keys.
    Registers,
    /// Mostly increments.
    Counters,
    /// Mostly reads.
    Reads,
    /// Conditional writes.
    CompareAndSet,
    /// Keys that expire.
    Expiry,
    /// Everything, in batches.
    Mixed,
}

/// All that a seed decides before the run begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// The time between two ticks of a server.
    pub(crate) tick: u64,
    pub(crate) options: Options,
    /// Which servers read on leases.
    pub(crate) leases: Leases,
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    pub(crate) workload: Workload,
    /// The time between a client's requests.
    pub(crate) think: Range<u64>,
    /// How long a client waits for an answer.
    pub(crate) patience: u64,
    /// How long trouble lasts before everything is mended.
    pub(crate) chaos: u64,
    pub(crate) faults: Vec<Fault>,
    /// The time between two faults.
    pub(crate) fault_gap: Range<u64>,
    /// How long one lasts, where it lasts.
    pub(crate) fault_length: Range<u64>,
    pub(crate) latency: Range<u64>,
    pub(crate) sync: Range<u64>,
    pub(crate) segment_bytes: usize,
    /// The bytes of log after which a snapshot is due.
    pub(crate) snapshot_bytes: usize,
    /// The most bytes of a value.
    pub(crate) value_bytes: u64,
    /// How long a server gathers events before it takes a turn.
    pub(crate) gather: u64,
    /// The log's end is marked when nothing came for so long. A mark takes a page or two, of which
    /// the segments here have only a few.
    pub(crate) quiet: u64,
}

impl Plan {
    /// Returns the longest time without a leader after which a server stands for election.
    pub(crate) fn election(&self) -> u64 {
        u64::from(self.options.election_ticks.end) * self.tick
    }

    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::for_part(seed, "plan");
        let nodes = random.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
        // The store's own timeouts, shorter ones, and longer ones.
        let (tick, least) =
            random.pick(&[(10, 10), (10, 20), (10, 40), (40, 10), (40, 10), (100, 10)]);
        let options = Options {
            tick_us: tick * MS,
            lease_reads: false,
            election_ticks: least..least * 2,
            heartbeat_ticks: (least / 8).max(1),
            append_bytes_max: random.pick(&[64, 500, 1 << 20]),
            inflight_messages_max: random.pick(&[1, 3, 256]),
            inflight_bytes_max: random.pick(&[200, 4_000, 8 << 20]),
            trailing_bytes: random.pick(&[0, 300, 3_000, 1 << 20]),
            catch_up_bytes: Random::for_part(seed, "catch up").pick(&[0, 3_000, 1 << 20]),
        };
        // Few kinds, many, or none at all.
        let share = random.pick(&[0, 60, 120, 120, 250, 500]);
        let faults = Fault::ALL.iter().copied().filter(|_| random.per_mille(share)).collect();
        let gap = random.pick(&[100 * MS, 500 * MS, 2 * SECOND]);
        let length = random.pick(&[200 * MS, SECOND, 4 * SECOND]);
        let latency = random.pick(&[100, 500, 5 * MS, 30 * MS]);
        let sync = random.pick(&[50, 500, 5 * MS, 20 * MS]);
        // Some thousand requests: in a burst of seconds, or over minutes full of trouble.
        let (think, chaos) = random.pick(&[
            (4 * MS, 5),
            (40 * MS, 20),
            (400 * MS, 60),
            (400 * MS, 120),
            (2 * SECOND, 240),
        ]);
        Self {
            seed,
            nodes,
            tick: tick * MS,
            options,
            leases: Leases::draw(seed),
            clients: random.pick(&[1, 2, 4, 6]),
            keys: random.pick(&[1, 3, 8]),
            workload: random.pick(&[
                Workload::Registers,
                Workload::Counters,
                Workload::Reads,
                Workload::CompareAndSet,
                Workload::Expiry,
                Workload::Mixed,
            ]),
            think: 100..think,
            chaos: chaos * SECOND,
            faults,
            fault_gap: gap / 2..gap * 2,
            fault_length: length / 4..length * 2,
            latency: latency / 2..latency * 2,
            sync: sync / 2..sync * 2,
            segment_bytes: random.pick(&[16, 16, 32, 64]) << 10,
            snapshot_bytes: random.pick(&[500, 3_000, 20_000, 1 << 20]),
            value_bytes: random.pick(&[8, 8, 100, 1_000]),
            gather: random.pick(&[0, 0, 100, 2 * MS]),
            patience: random.pick(&[300 * MS, SECOND, 8 * SECOND]),
            quiet: random.pick(&[20 * MS, 200 * MS, 2 * SECOND]),
        }
    }
}
