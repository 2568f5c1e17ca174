//! A run: rounds of trouble, each followed by peace, in which everything must be found in order.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::arguments::{self, Arguments};
use crate::clients::{Clients, Places, Round, read_all};
use crate::links;
use crate::plan::{self, Family, Fault};
use crate::process::{Cluster, End, Port, command_line};
use crate::record::{Figures, Shared};
use crate::shim::Shim;
use crate::trouble::Nemesis;

/// How long the trouble of one round lasts, about.
const ROUND: Duration = Duration::from_secs(12);
/// How soon writes must work once everything is well again.
const RECOVERY: Duration = Duration::from_secs(10);
/// How long reading everything may take.
const READING: Duration = Duration::from_secs(30);
const PROGRESS: Duration = Duration::from_secs(10);
/// Small, so that there are many snapshots.
const FLAGS: [&str; 3] = ["--stop-on-stdin-end", "--snapshot-log-bytes", "262144"];

/// What has happened so far.
struct Run {
    arguments: Arguments,
    start: Instant,
    record: Shared,
    round: Round,
    faults: BTreeMap<Fault, u64>,
    term: u64,
    progress: Instant,
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    command_line::run(arguments::parse(), |mut arguments| match run(&mut arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("FAILED seed={}: {message}", arguments.seed);
            println!("the same schedule again: {}", arguments.command());
            ExitCode::FAILURE
        }
    })
}

fn run(arguments: &mut Arguments) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let shim = Shim::new(dir.path(), arguments.nodes)
        .inspect_err(|reason| println!("no jumping clocks and no slow disks: {reason}"))
        .ok();
    if shim.is_none() {
        arguments.faults.retain(|fault| fault.family() != Family::Shim);
    }
    let none = vec![Vec::new(); arguments.nodes];
    let variables = shim.as_ref().map_or(none, Shim::variables);
    let (mut cluster, links) = links::build(arguments.network, variables)?;
    cluster.connect(&FLAGS, |from, to, port| links.route(from, to, port));
    println!(
        "nemesis: seed {}, {} nodes, {} s, {}, {} kinds of faults",
        arguments.seed,
        arguments.nodes,
        arguments.time.as_secs(),
        links.describe(),
        arguments.faults.len()
    );
    let all = || 0..arguments.nodes;
    let places = Places {
        resp: all().map(|to| links.route(End::Clients, to, Port::Resp)).collect(),
        http: all().map(|to| links.route(End::Clients, to, Port::Http)).collect(),
    };
    cluster.nodes.iter_mut().for_each(crate::process::Node::start);
    // Dropped before the network is, whatever happens.
    let mut nemesis = Nemesis::new(cluster, links, shim);
    let start = Instant::now();
    let mut run = Run {
        arguments: arguments.clone(),
        start,
        record: Shared::new(start),
        round: Round::first(),
        faults: BTreeMap::new(),
        term: 0,
        progress: start,
    };
    let result = run.rounds(&mut nemesis, &places);
    result.map_err(|message| {
        let logs = nemesis.cluster.keep().display();
        format!("{message}\nlogs and data of all nodes: {logs}")
    })
}

impl Run {
    fn rounds(&mut self, nemesis: &mut Nemesis, places: &Places) -> Result<(), String> {
        let term_before = self.wait_for_leader(nemesis)?;
        loop {
            self.play_round(nemesis, places)?;
            if self.start.elapsed() >= self.arguments.time {
                break;
            }
            self.round = self.round.next();
        }
        let figures = self.record.lock().figures();
        self.report(&figures, nemesis.leader().0 - term_before);
        if figures.undecided * 10 > self.round.number {
            return Err("too many searches gave up to say that all is well".into());
        }
        if figures.ok < self.arguments.operations {
            return Err(format!(
                "{} operations were done, not {}: a slower machine needs more time",
                figures.ok, self.arguments.operations
            ));
        }
        Ok(())
    }

    fn wait_for_leader(&mut self, nemesis: &mut Nemesis) -> Result<u64, String> {
        let deadline = Instant::now() + RECOVERY;
        while Instant::now() < deadline {
            let term = nemesis.leader().0;
            if term > 0 {
                return Ok(term);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("no leader in {} s after the start", RECOVERY.as_secs()))
    }

    fn play_round(&mut self, nemesis: &mut Nemesis, places: &Places) -> Result<(), String> {
        let left = self.arguments.time.saturating_sub(self.start.elapsed());
        let seed = self.arguments.seed;
        let length = ROUND.min(left);
        let steps = plan::draw(seed, self.round.number, length, &self.arguments.faults);
        self.record.lock().begin_round();
        let clients = Clients::start(seed, self.round, places, &self.record);
        let mut wrong = None;
        for step in &steps {
            for fault in &step.faults {
                *self.faults.entry(*fault).or_default() += 1;
            }
            if self.arguments.is_verbose {
                let at = self.start.elapsed();
                println!("[{at:>6.1?}] {:?} for {:?}", step.faults, step.lasts);
            }
            nemesis.suffer(step, |nemesis| {
                self.look(nemesis, &mut wrong);
                wrong.is_none()
            });
            if wrong.is_some() {
                break;
            }
        }
        let works = if wrong.is_none() { self.wait_for_writes(nemesis) } else { Ok(()) };
        clients.stop();
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        works?;
        let read = read_all(places, &self.record, Instant::now() + READING)?;
        self.record.lock().check(&read)?;
        assert_converged(&nemesis.cluster)
    }

    /// Looks whether anything is wrong already, and says now and then how it goes.
    fn look(&mut self, nemesis: &mut Nemesis, wrong: &mut Option<String>) {
        let ended = nemesis.ended();
        *wrong = wrong.take().or(ended.into_iter().next()).or(self.record.lock().wrong());
        if self.progress.elapsed() < PROGRESS {
            return;
        }
        self.progress = Instant::now();
        self.term = nemesis.leader().0;
        let figures = self.record.lock().figures();
        println!(
            "[{:>4} s] round {}: {} done, {} not done, {} unknown; {} faults, term {}",
            self.start.elapsed().as_secs(),
            self.round.number,
            figures.ok,
            figures.failed,
            figures.unknown,
            self.faults.values().sum::<u64>(),
            self.term
        );
    }

    /// Everything is well now: before long, writes must be done in both protocols.
    fn wait_for_writes(&self, nemesis: &mut Nemesis) -> Result<(), String> {
        let since = Instant::now();
        while !self.record.lock().works_since(since) {
            if since.elapsed() > RECOVERY {
                return Err(format!(
                    "no writes by RESP and HTTP for {} s after all faults had ended",
                    RECOVERY.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.record.lock().recovered(since.elapsed());
        nemesis.ended().into_iter().next().map_or(Ok(()), Err)
    }

    fn report(&self, figures: &Figures, terms: u64) {
        let count = self.faults.values().sum::<u64>();
        let kinds: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("{} {count}", fault.name())).collect();
        println!("faults: {}", kinds.join(", "));
        println!(
            "ok: {} nodes, {} s, {} rounds: {} operations done ({} by HTTP), {} not done, {} \
             unknown; {count} faults of {} kinds, {terms} elections; the longest time without \
             success {:.1} s, the longest recovery {:.1} s; {} keys linearizable, {} rounds undecided",
            self.arguments.nodes,
            self.start.elapsed().as_secs(),
            self.round.number,
            figures.ok,
            figures.by_http,
            figures.failed,
            figures.unknown,
            self.faults.len(),
            figures.gap.as_secs_f64(),
            figures.recovery.as_secs_f64(),
            figures.keys,
            figures.undecided
        );
    }
}

/// All nodes have the same state at the same index, before long.
fn assert_converged(cluster: &Cluster) -> Result<(), String> {
    let compared = std::panic::AssertUnwindSafe(|| cluster.assert_converged());
    std::panic::catch_unwind(compared).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| "the nodes do not agree".into())
    })
}
