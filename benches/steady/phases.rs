//! When something went on, and what the answers of that time were like.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::group::is_written_to;
use crate::load::{Answer, histogram};
use crate::pacer::as_nanos;

/// How often it is looked whether a snapshot is being written.
const SAMPLE: Duration = Duration::from_millis(5);

/// From when until when something went on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Span {
    /// Returns whether a request was under way in it.
    pub(crate) fn meets(&self, answer: &Answer) -> bool {
        answer.done >= self.from && answer.due <= self.until
    }
}

/// Notes in the background when snapshots are written.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<Span>>>,
}

impl Watch {
    /// Begins to look at these directories.
    pub(crate) fn start(dirs: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&dirs, &stopped));
        Self { stop, thread }
    }

    /// Returns when a snapshot was written to each of them; one that is not complete does not
    /// count.
    pub(crate) fn stop(self) -> Vec<Vec<Span>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn watch(dirs: &[PathBuf], stop: &AtomicBool) -> Vec<Vec<Span>> {
    let mut spans = vec![Vec::new(); dirs.len()];
    let mut since = vec![None; dirs.len()];
    let mut last_look = Instant::now();
    while !stop.load(Ordering::Acquire) {
        for (at, dir) in dirs.iter().enumerate() {
            match (is_written_to(dir), since[at]) {
                // It began after the last look.
                (true, None) => since[at] = Some(last_look),
                (false, Some(from)) => {
                    spans[at].push(Span { from, until: Instant::now() });
                    since[at] = None;
                }
                _ => {}
            }
        }
        last_look = Instant::now();
        std::thread::sleep(SAMPLE);
    }
    spans
}

/// What the answers of some time were like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) answers: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
    /// The longest time without an answer.
    pub(crate) gap_ms: f64,
}

/// Returns answers, which are in the order in which they came, each with the time that had passed
/// since the one before.
pub(crate) fn with_gaps(answers: &[Answer]) -> impl Iterator<Item = (&Answer, Duration)> {
    let before = answers.iter().take(1).chain(answers);
    answers.iter().zip(before).map(|(answer, before)| (answer, answer.done - before.done))
}

impl Phase {
    /// Looks at answers and what passed before each.
    pub(crate) fn of<'a>(answers: impl Iterator<Item = (&'a Answer, Duration)>) -> Fallible<Self> {
        let mut latencies = histogram()?;
        let (mut count, mut longest) = (0, Duration::ZERO);
        for (answer, gap) in answers {
            latencies.saturating_record(as_nanos(answer.done - answer.due));
            longest = longest.max(gap);
            count += 1;
        }
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e6;
        Ok(Self {
            answers: count,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
            gap_ms: longest.as_secs_f64() * 1e3,
        })
    }

    /// The heads of what [`Phase::cells`] returns.
    pub(crate) const HEAD: &'static str =
        "| answers | p50 ms | p99 ms | p99.9 ms | max ms | longest pause ms |";

    pub(crate) fn cells(&self) -> String {
        let Self { answers, p50_ms, p99_ms, p999_ms, max_ms, gap_ms } = self;
        format!(
            "| {answers:>7} | {p50_ms:>6.2} | {p99_ms:>6.2} | {p999_ms:>8.2} | {max_ms:>6.1} \
             | {gap_ms:>16.1} |"
        )
    }
}
