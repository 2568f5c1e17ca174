//! What goes wrong, and when: drawn from the seed, before anything happens.
//!
//! Who is hit is drawn too, but where the leader is meant, that is whoever leads at the time. So a
//! seed gives the same schedule each time, and not the same run.

use std::time::Duration;

use crate::random::Random;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// One node hears none of the others, and they do not hear it. Clients reach it.
    IsolateNode,
    IsolateLeader,
    /// Nobody reaches the leader, clients neither.
    IsolateLeaderFromAll,
    /// Nodes fall into two halves, which do not hear of each other.
    Split,
    /// The leader is heard, and hears nothing.
    DeafLeader,
    /// The leader hears, and is not heard.
    MuteLeader,
    /// One node does not hear another.
    OneWay,
    /// Two nodes do not hear each other.
    PairCut,
    /// Each node hears those next to it alone.
    Chain,
    /// Clients do not reach the leader.
    ClientsCutOff,
    /// A third of what nodes send each other is lost.
    Loss,
    /// A third of what clients send and are sent is lost.
    ClientLoss,
    /// Everything between nodes takes long.
    SlowNetwork,
    /// What one node sends takes long.
    SlowNode,
    /// Connections between nodes are reset.
    Reset,
    /// Connections of clients are reset.
    ClientReset,
    /// A node goes and comes, some times in a second.
    Flapping,
    KillLeader,
    KillNode,
    KillMajority,
    KillAll,
    /// SIGTERM: a clean stop.
    StopLeader,
    /// A node is killed as soon as it runs again.
    RestartLoop,
    /// For less than an election takes.
    PauseShort,
    /// For longer than an election takes.
    PauseLeader,
    PauseNode,
    PauseMajority,
    ClockAhead,
    ClockBehind,
    /// Every clock shows another time.
    ClocksApart,
    SlowDiskOfLeader,
    SlowDisk,
    SlowDisks,
    /// No sync returns.
    HungDiskOfLeader,
}

/// What is troubled: two at a time are never of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Network,
    Process,
    Shim,
}

impl Fault {
    pub(crate) const ALL: [Self; 34] = [
        Self::IsolateNode,
        Self::IsolateLeader,
        Self::IsolateLeaderFromAll,
        Self::Split,
        Self::DeafLeader,
        Self::MuteLeader,
        Self::OneWay,
        Self::PairCut,
        Self::Chain,
        Self::ClientsCutOff,
        Self::Loss,
        Self::ClientLoss,
        Self::SlowNetwork,
        Self::SlowNode,
        Self::Reset,
        Self::ClientReset,
        Self::Flapping,
        Self::KillLeader,
        Self::KillNode,
        Self::KillMajority,
        Self::KillAll,
        Self::StopLeader,
        Self::RestartLoop,
        Self::PauseShort,
        Self::PauseLeader,
        Self::PauseNode,
        Self::PauseMajority,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::ClocksApart,
        Self::SlowDiskOfLeader,
        Self::SlowDisk,
        Self::SlowDisks,
        Self::HungDiskOfLeader,
    ];

    /// Returns its name, as the command line has it.
    pub(crate) fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    pub(crate) fn family(self) -> Family {
        match self {
            fault if fault < Self::KillLeader => Family::Network,
            fault if fault < Self::ClockAhead => Family::Process,
            _ => Family::Shim,
        }
    }

    /// Returns whether it takes the leader from the others, or the others from the leader.
    fn is_of_leader(self) -> bool {
        matches!(
            self,
            Self::IsolateLeader
                | Self::IsolateLeaderFromAll
                | Self::DeafLeader
                | Self::MuteLeader
                | Self::KillLeader
                | Self::PauseLeader
                | Self::HungDiskOfLeader
        )
    }

    /// Returns how long it lasts, in milliseconds, from and to.
    fn lasts(self) -> std::ops::Range<u64> {
        match self {
            Self::PauseShort => 50..300,
            Self::Reset | Self::ClientReset => 50..600,
            Self::KillAll | Self::RestartLoop | Self::Flapping => 100..500,
            Self::PauseLeader => 1200..3000,
            Self::HungDiskOfLeader => 3500..4500,
            _ => 600..2600,
        }
    }
}

/// One step: something goes wrong, and is put right again.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// One fault, or two at once.
    pub(crate) faults: Vec<Fault>,
    /// Chance for each fault, such as whom it hits.
    pub(crate) draws: Vec<u64>,
    pub(crate) lasts: Duration,
    /// How long all is well afterwards.
    pub(crate) calm: Duration,
}

/// Draws the steps of one round, of about this length.
pub(crate) fn draw(seed: u64, round: u64, length: Duration, of: &[Fault]) -> Vec<Step> {
    let mut random = Random::for_part(seed, &format!("round {round}"));
    let mut steps = Vec::new();
    let mut total = Duration::ZERO;
    while total < length {
        // Half of all that happens happens to the leader: that is where it is most dangerous.
        let targeted: Vec<Fault> =
            of.iter().copied().filter(|fault| fault.is_of_leader()).collect();
        let of = if targeted.is_empty() || random.one_in(2) { of } else { &targeted };
        let first = random.pick(of);
        let mut faults = vec![first];
        let second = random.pick(of);
        if random.one_in(3) && first.family() != second.family() {
            faults.push(second);
        }
        let lasts = faults.iter().map(|fault| random.within(&fault.lasts())).max().unwrap_or(0);
        let step = Step {
            draws: faults.iter().map(|_| random.next()).collect(),
            faults,
            lasts: Duration::from_millis(lasts),
            calm: Duration::from_millis(random.within(&(100..1500))),
        };
        total += step.lasts + step.calm;
        steps.push(step);
    }
    steps
}
