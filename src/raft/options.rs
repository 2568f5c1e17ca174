//! Timeouts in ticks, and the limits of every queue of the core.

/// How a [`Raft`](super::Raft) behaves. The same on every server of a cluster, by convention rather
/// than by need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The length of a tick, in microseconds. Only promises are told in anything but ticks.
    pub tick_us: u64,
    /// Whether this server reads on a lease while it leads, and promises one to whom it follows
    /// (`lease.rs`). Otherwise each read takes a round (`read.rs`).
    pub lease_reads: bool,
    /// Ticks without a leader until a follower campaigns: the least and, exclusive, the most.
    /// Drawn anew each time (§5.2).
    pub election_ticks: std::ops::Range<u32>,
    /// Ticks between two heartbeats. Well below the least election timeout.
    pub heartbeat_ticks: u32,
    /// The most bytes of entries in one AppendEntries. One entry always fits, however large.
    pub append_bytes_max: usize,
    /// The most AppendEntries on the way to one follower before the leader waits for an answer.
    pub inflight_messages_max: usize,
    /// The most bytes of entries on the way to one follower.
    pub inflight_bytes_max: usize,
    /// The bytes of entries below a snapshot that stay in memory, so that a follower a little
    /// behind needs no snapshot.
    pub trailing_bytes: usize,
    /// The most bytes of entries below a snapshot that stay in memory for a follower that is
    /// catching up, so that the next snapshot does not overtake it again and again.
    pub catch_up_bytes: usize,
}

impl Default for Options {
    /// Ticks of 10 ms: an election after 400 to 800 ms without a leader, a heartbeat
    /// every 50 ms.
    fn default() -> Self {
        Self {
            tick_us: 10_000,
            lease_reads: false,
            election_ticks: 40..80,
            heartbeat_ticks: 5,
            append_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            inflight_bytes_max: 8 << 20,
            trailing_bytes: 1 << 20,
            catch_up_bytes: 640 << 20,
        }
    }
}
