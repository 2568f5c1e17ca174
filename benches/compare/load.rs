//! The load generator: many connections on one thread, in a closed loop or in an open one.
//!
//! Its limits: one thread, so at most one core, which the servers lack on a small machine, as they
//! do under any generator. What it has used stands beside each result (`generator_share`); near 1
//! the rate is the generator's and not the server's. HTTP and RESP cost it about the same, gRPC
//! several times as much.
//!
//! In an open loop it says how late it was itself (`late_p99_us`, `late ms` in the tables): where
//! all cores are busy it waits for one like everybody else, and a latency that is not much above
//! says little of the server. Requests that come one by one, not many at a wake-up, also cost it
//! about twice as much as in a closed loop, and so a share of the rate of a closed loop is a larger
//! share of what the machine has left.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::Fallible;
use crate::clients::grpc::EtcdGrpc;
use crate::clients::http::Http;
use crate::clients::resp::Resp;
use crate::clients::{ANSWER_DEADLINE, Client, Request, Target, value_of};
use crate::pacer::{Due, as_nanos, pace};
use crate::peers::{Peer, Protocol, cpu_of};
use crate::random::Random;
use crate::report::Figures;

/// What precedes every measurement: connections, caches and batches find their sizes.
const WARM_UP: Duration = Duration::from_millis(300);

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    /// How many requests a connection sends together.
    pub(crate) pipeline: usize,
    pub(crate) reads_percent: u64,
    pub(crate) value_bytes: usize,
    /// Keys are taken at random from so many.
    pub(crate) keys: u64,
    pub(crate) pace: Pace,
    pub(crate) time: Duration,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// When the last one has been answered.
    Closed,
    /// When it is due, at so many a second.
    Open(f64),
}

/// What the connections of one run share.
struct Run {
    load: Load,
    due: Due,
    /// Requests that begin within these count.
    from: Cell<Option<Instant>>,
    is_over: Cell<bool>,
    done: Cell<u64>,
    refused: Cell<u64>,
    latencies: RefCell<Histogram<u64>>,
    /// Every answer for itself, if that is asked for.
    answers: Answers,
}

type Answers = Option<RefCell<Vec<Answer>>>;

/// When a request was due, or sent in a closed loop, and when it had been answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) due: Instant,
    pub(crate) done: Instant,
}

/// Puts the load on the peer and returns what came of it.
pub(crate) fn measure(peer: &Peer, load: &Load) -> Fallible<Figures> {
    Ok(measure_with(peer, load, None)?.0)
}

/// Does the same, and returns all good answers too, in the order in which they came.
pub(crate) fn measure_each(peer: &Peer, load: &Load) -> Fallible<(Figures, Vec<Answer>)> {
    measure_with(peer, load, Some(RefCell::default()))
}

fn measure_with(peer: &Peer, load: &Load, answers: Answers) -> Fallible<(Figures, Vec<Answer>)> {
    match load.protocol {
        Protocol::Resp => with_client::<Resp>(peer, load, answers),
        Protocol::Http | Protocol::EtcdJson => with_client::<Http>(peer, load, answers),
        Protocol::EtcdGrpc => with_client::<EtcdGrpc>(peer, load, answers),
    }
}

/// Writes each key from `from` up to `until` once.
pub(crate) fn fill(peer: &Peer, value_bytes: usize, from: u64, until: u64) -> Fallible<()> {
    let protocol = peer.own_protocol();
    let target =
        Target { address: peer.address(protocol)?, protocol, value: value_of(value_bytes) };
    match protocol {
        Protocol::Resp => block_on(fill_with::<Resp>(&target, from, until)),
        Protocol::Http | Protocol::EtcdJson => block_on(fill_with::<Http>(&target, from, until)),
        Protocol::EtcdGrpc => block_on(fill_with::<EtcdGrpc>(&target, from, until)),
    }
}

/// Returns a histogram of nanoseconds, exact to a thousandth.
pub(crate) fn histogram() -> Fallible<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, as_nanos(Duration::from_secs(100)), 3)?)
}

fn with_client<C: Client>(
    peer: &Peer,
    load: &Load,
    answers: Answers,
) -> Fallible<(Figures, Vec<Answer>)> {
    let address = peer.address(load.protocol)?;
    let value = value_of(load.value_bytes);
    let target = Target { address, protocol: load.protocol, value };
    let ended = block_on(run::<C>(peer, load.clone(), &target, answers));
    ended.map_err(|error| format!("{} under {load:?}: {error}", peer.system.name()).into())
}

fn block_on<T>(work: impl Future<Output = Fallible<T>>) -> Fallible<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(work))
}

async fn run<C: Client>(
    peer: &Peer,
    load: Load,
    target: &Target,
    answers: Answers,
) -> Fallible<(Figures, Vec<Answer>)> {
    let run = Rc::new(Run {
        due: Due::new(),
        from: Cell::new(None),
        is_over: Cell::new(false),
        done: Cell::new(0),
        refused: Cell::new(0),
        latencies: RefCell::new(histogram()?),
        answers,
        load,
    });
    // All are connected before the first asks.
    let mut clients = Vec::new();
    for _ in 0..run.load.connections {
        clients.push(C::connect(target).await?);
    }
    let mut work: JoinSet<Result<(), String>> = JoinSet::new();
    for (at, client) in clients.into_iter().enumerate() {
        let run = Rc::clone(&run);
        work.spawn_local(async move {
            run.work(client, at as u64).await.map_err(|error| error.to_string())
        });
    }
    let end = Instant::now() + WARM_UP + run.load.time;
    let pacer = match run.load.pace {
        Pace::Closed => None,
        Pace::Open(per_second) => {
            let (due, connections) = (Rc::clone(&run), run.load.connections);
            Some(tokio::task::spawn_local(async move {
                let late = pace(&due.due, per_second, end, connections).await;
                late.map_err(|error| error.to_string())
            }))
        }
    };
    sleep(WARM_UP).await;
    let (from, cpu, own_cpu) = (Instant::now(), peer.cpu()?, cpu_of(std::process::id())?);
    run.from.set(Some(from));
    // A connection that fails ends the run at once.
    let ended = timeout(end - from, work.join_next()).await;
    if let Ok(Some(result)) = ended {
        result??;
    }
    let (elapsed, cpu) = (from.elapsed(), peer.cpu()? - cpu);
    let own_cpu = cpu_of(std::process::id())? - own_cpu;
    run.is_over.set(true);
    let rest = async {
        while let Some(result) = work.join_next().await {
            result??;
        }
        Fallible::Ok(())
    };
    // What was due is waited for: it is the latency of those that come late that is asked for.
    timeout(ANSWER_DEADLINE, rest).await.map_err(|_| "answers do not come")??;
    let late = match pacer {
        None => None,
        Some(pacer) => Some(pacer.await??.value_at_quantile(0.99) as f64 / 1e3),
    };
    let answers = run.answers.as_ref().map(RefCell::take).unwrap_or_default();
    Ok((run.figures(elapsed, cpu, own_cpu, late), answers))
}

impl Run {
    /// Returns what came of it, given how long it took and the CPU time of both sides.
    fn figures(
        &self,
        elapsed: Duration,
        cpu: Duration,
        own_cpu: Duration,
        late_p99_us: Option<f64>,
    ) -> Figures {
        let latencies = self.latencies.borrow();
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        let done = self.done.get() as f64;
        Figures {
            per_second: done / elapsed.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: Some(at(0.999)),
            cpu_us: cpu.as_secs_f64() * 1e6 / done,
            refused: self.refused.get(),
            generator_share: Some(own_cpu.as_secs_f64() / elapsed.as_secs_f64()),
            late_p99_us,
        }
    }

    /// What one connection does.
    async fn work<C: Client>(&self, mut client: C, seed: u64) -> Fallible<()> {
        let Load { pipeline, reads_percent, keys, pace, .. } = self.load;
        let mut random = Random::for_part(seed, "connection");
        let mut requests = Vec::with_capacity(pipeline);
        while !(self.is_over.get() && pace == Pace::Closed) {
            requests.clear();
            requests.extend((0..pipeline).map(|_| Request {
                is_write: random.below(100) >= reads_percent,
                key: random.below(keys),
            }));
            let begun = match pace {
                Pace::Closed => Instant::now(),
                Pace::Open(_) => match self.due.next().await {
                    Some(due) => due,
                    None => return Ok(()),
                },
            };
            let refused = client.call(&requests).await?;
            self.record(begun, requests.len() - refused, refused);
        }
        Ok(())
    }

    fn record(&self, begun: Instant, done: usize, refused: usize) {
        let Some(from) = self.from.get() else { return };
        let is_over = self.is_over.get();
        // The rate is of what is done in the time; the latency, of what is begun in it.
        if !is_over {
            self.done.set(self.done.get() + done as u64);
            self.refused.set(self.refused.get() + refused as u64);
        }
        if begun >= from {
            let now = Instant::now();
            let latency = as_nanos(now - begun);
            self.latencies.borrow_mut().saturating_record_n(latency, done as u64);
            if let Some(answers) = &self.answers {
                let answer = Answer { due: begun, done: now };
                answers.borrow_mut().extend(std::iter::repeat_n(answer, done));
            }
        }
    }
}

async fn fill_with<C: Client>(target: &Target, from: u64, until: u64) -> Fallible<()> {
    const CONNECTIONS: usize = 50;
    /// Together about as much as a server takes at once.
    const BATCH_BYTES: usize = 16 << 10;
    let batch = (BATCH_BYTES / target.value.len().max(1)).clamp(1, 64) as u64;
    let next = Rc::new(Cell::new(from));
    let mut work: JoinSet<Result<(), String>> = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, target) = (Rc::clone(&next), target.clone());
        work.spawn_local(async move {
            let mut client = C::connect(&target).await.map_err(|error| error.to_string())?;
            while next.get() < until {
                let first = next.get();
                next.set((first + batch).min(until));
                let keys = first..next.get();
                let requests: Vec<Request> =
                    keys.map(|key| Request { is_write: true, key }).collect();
                let refused = client.call(&requests).await.map_err(|error| error.to_string())?;
                if refused > 0 {
                    return Err(format!("{refused} of {batch} writes were refused"));
                }
            }
            Ok(())
        });
    }
    while let Some(result) = work.join_next().await {
        result??;
    }
    Ok(())
}
