//! What was measured: figures of single runs, their medians and ratios, as a table and as JSON.
//!
//! The peers of a row were measured right after one another, round by round. A ratio is the median
//! of the ratios of the rounds, not the ratio of the medians: a machine that slows down between two
//! rounds then changes no ratio.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::peers::System;

/// The figures of one run. Those of redis-benchmark are not all there.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: Option<f64>,
    /// CPU time of the system's processes, in microseconds for each operation.
    pub(crate) cpu_us: f64,
    /// Answers that were errors; they are not counted as operations.
    pub(crate) refused: u64,
    /// What the load generator has used of one core, from 0 to 1.
    pub(crate) generator_share: Option<f64>,
    /// How late the generator itself was with the requests of an open loop.
    pub(crate) late_p99_us: Option<f64>,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ratio {
    /// Our rate, as a multiple of the other's.
    RateAtLeast(f64),
    /// Our median latency, as a multiple of the other's.
    MedianAtMost(f64),
}

/// One load, on every peer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) load: String,
    /// Where it stands on the axis of a sweep.
    pub(crate) x: Option<f64>,
    /// The peer that the target and what was recorded are about.
    pub(crate) base: Option<&'static str>,
    pub(crate) target: Option<Ratio>,
    /// The ratio of rates that was recorded.
    pub(crate) recorded: Option<f64>,
    /// How many entries the log had had.
    pub(crate) log_length: Option<u64>,
    /// The figures of each round, by peer.
    runs: Vec<(&'static str, Vec<Figures>)>,
}

/// What a sweep varies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) is_logarithmic: bool,
}

/// Rows that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) axis: Option<Axis>,
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(load: impl Into<String>) -> Self {
        Self {
            load: load.into(),
            x: None,
            base: None,
            target: None,
            recorded: None,
            log_length: None,
            runs: Vec::new(),
        }
    }

    /// Adds the figures of one round.
    pub(crate) fn add(&mut self, peer: &'static str, figures: Figures) {
        match self.runs.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, runs)) => runs.push(figures),
            None => self.runs.push((peer, vec![figures])),
        }
    }

    /// Returns the peers that were measured.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &'static str> {
        self.runs.iter().map(|(peer, _)| *peer)
    }

    /// Returns the medians of a peer's figures, each for itself.
    pub(crate) fn figures(&self, peer: &str) -> Option<Figures> {
        let runs = self.runs_of(peer)?;
        let middle = |value: &dyn Fn(&Figures) -> f64| median(runs.iter().map(value).collect());
        let known = |value: fn(&Figures) -> Option<f64>| {
            runs.iter()
                .all(|run| value(run).is_some())
                .then(|| middle(&|figures| value(figures).unwrap_or_default()))
        };
        Some(Figures {
            per_second: middle(&|figures| figures.per_second),
            p50_us: middle(&|figures| figures.p50_us),
            p99_us: middle(&|figures| figures.p99_us),
            p999_us: known(|figures| figures.p999_us),
            cpu_us: middle(&|figures| figures.cpu_us),
            refused: runs.iter().map(|figures| figures.refused).sum(),
            generator_share: known(|figures| figures.generator_share),
            late_p99_us: known(|figures| figures.late_p99_us),
        })
    }

    fn runs_of(&self, peer: &str) -> Option<&[Figures]> {
        self.runs.iter().find(|(known, _)| *known == peer).map(|(_, runs)| runs.as_slice())
    }

    /// Returns our figure as a multiple of the peer's, from runs that followed each other.
    pub(crate) fn ratio(&self, peer: &str, value: fn(&Figures) -> f64) -> Option<f64> {
        let ours = self.runs_of(System::Raftkv.name())?;
        let pairs = ours.iter().zip(self.runs_of(peer)?);
        let ratios = pairs.map(|(ours, theirs)| value(ours) / value(theirs));
        Some(median(ratios.collect()))
    }

    /// Says what has become less than half of what was recorded.
    pub(crate) fn collapsed(&self) -> Option<String> {
        let recorded = self.recorded?;
        let ratio = self.ratio(self.base?, |figures| figures.per_second)?;
        (ratio < recorded / 2.0)
            .then(|| format!("{}: {ratio:.2}, and it was {recorded:.2}", self.load))
    }

    fn cells(&self, axis: Option<Axis>, peer: &'static str, figures: Figures) -> Vec<String> {
        let ms = |us: f64| format!("{:.3}", us / 1e3);
        let ratio = |value: fn(&Figures) -> f64| match self.ratio(peer, value) {
            Some(ratio) if peer != System::Raftkv.name() && ratio.is_finite() => {
                format!("{ratio:.2}")
            }
            _ => String::new(),
        };
        let target = match self.target.filter(|_| self.base == Some(peer)) {
            Some(Ratio::RateAtLeast(least)) => format!("rate ≥ {least:.2}"),
            Some(Ratio::MedianAtMost(most)) => format!("p50 ≤ {most:.2}"),
            None => String::new(),
        };
        let recorded = self.recorded.filter(|_| self.base == Some(peer));
        let recorded = recorded.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let refused = match figures.refused {
            0 => String::new(),
            refused => format!(" ({refused} refused)"),
        };
        vec![
            match self.x.zip(axis) {
                Some((x, axis)) => format!("{}, {} {x}", self.load, axis.label),
                None => self.load.clone(),
            },
            format!("{peer}{refused}"),
            format!("{:.0}", figures.per_second),
            ms(figures.p50_us),
            ms(figures.p99_us),
            figures.p999_us.map(ms).unwrap_or_default(),
            figures.late_p99_us.map(ms).unwrap_or_default(),
            format!("{:.1}", figures.cpu_us),
            ratio(|figures| figures.per_second),
            ratio(|figures| figures.p50_us),
            ratio(|figures| figures.p99_us),
            ratio(|figures| figures.cpu_us),
            target,
            recorded,
        ]
    }

    fn json(&self) -> Json {
        let peers = self.peers().map(|peer| {
            let runs = self.runs_of(peer);
            let figures = json!({
                "median": self.figures(peer),
                "rounds": runs,
                "raftkv_rate_ratio": self.ratio(peer, |figures| figures.per_second),
                "raftkv_p50_ratio": self.ratio(peer, |figures| figures.p50_us),
                "raftkv_p99_ratio": self.ratio(peer, |figures| figures.p99_us),
                "raftkv_cpu_ratio": self.ratio(peer, |figures| figures.cpu_us),
            });
            (peer.to_owned(), figures)
        });
        let target = self.target.map(|target| match target {
            Ratio::RateAtLeast(least) => json!({ "rate_at_least": least }),
            Ratio::MedianAtMost(most) => json!({ "p50_at_most": most }),
        });
        json!({
            "load": self.load,
            "x": self.x,
            "target": target,
            "target_against": self.base,
            "recorded_rate_ratio": self.recorded,
            "raftkv_log_length": self.log_length,
            "peers": peers.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Table {
    const HEAD: [&str; 14] = [
        "load",
        "system",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "late ms",
        "CPU µs/op",
        "rate ×",
        "p50 ×",
        "p99 ×",
        "CPU ×",
        "target",
        "rate × before",
    ];

    /// Returns the table as Markdown that can be read as it stands.
    pub(crate) fn markdown(&self) -> String {
        let head: Vec<String> = Self::HEAD.iter().map(ToString::to_string).collect();
        let mut lines = vec![head];
        for row in &self.rows {
            let of = |peer| row.figures(peer).map(|figures| row.cells(self.axis, peer, figures));
            lines.extend(row.peers().filter_map(of));
        }
        // A column in which nothing stands says nothing.
        let is_empty = |at: usize| lines[1..].iter().all(|line: &Vec<String>| line[at].is_empty());
        let empty: Vec<usize> = (0..Self::HEAD.len()).filter(|at| is_empty(*at)).collect();
        for line in &mut lines {
            for at in empty.iter().rev() {
                line.remove(*at);
            }
        }
        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
        let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
        let mut text = format!("### {}\n\n", self.title);
        for (at, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Words to the left, numbers to the right.
                match column {
                    0 | 1 => text.push_str(&format!("| {cell:<width$} ")),
                    _ => text.push_str(&format!("| {cell:>width$} ")),
                }
            }
            text.push_str("|\n");
            if at == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let line = "-".repeat(width + 1);
                    text.push_str(&format!("|{line}{}", if column < 2 { "-" } else { ":" }));
                }
                text.push_str("|\n");
            }
        }
        if let Some(axis) = self.axis {
            text.push_str(&format!(
                "\nCPU for each operation at the highest {}, as a multiple of that at the lowest: ",
                axis.label
            ));
            let growth = self.growth().into_iter();
            let growth = growth.map(|(load, peer, factor)| format!("{load} {peer} {factor:.2}"));
            text.push_str(&growth.collect::<Vec<_>>().join("; "));
            text.push_str(".\n");
        }
        text
    }

    /// Returns, for each system and kind of load, what an operation costs at the end of the axis,
    /// as a multiple of what it costs at its beginning.
    fn growth(&self) -> Vec<(&str, &'static str, f64)> {
        let mut kinds: Vec<(&str, &'static str)> = Vec::new();
        for row in &self.rows {
            let new = row.peers().map(|peer| (row.load.as_str(), peer));
            kinds.extend(new.filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
        }
        let of = |(load, peer): (&str, &'static str)| {
            let rows = self.rows.iter().filter(|row| row.load == load);
            let costs: Vec<f64> = rows.filter_map(|row| Some(row.figures(peer)?.cpu_us)).collect();
            // Of many points, not the first and the last alone: those are noise.
            let some = costs.len().div_ceil(4);
            let mean = |costs: &[f64]| costs.iter().sum::<f64>() / costs.len() as f64;
            mean(&costs[costs.len() - some..]) / mean(&costs[..some])
        };
        kinds.into_iter().map(|(load, peer)| (load, peer, of((load, peer)))).collect()
    }

    pub(crate) fn json(&self) -> Json {
        let growth = self.growth().into_iter();
        let growth = growth.map(|(load, peer, factor)| {
            json!({ "load": load, "system": peer, "cpu_last_over_first": factor })
        });
        let table = json!({
            "growth": self.axis.is_some().then(|| growth.collect::<Vec<_>>()),
            "name": self.name,
            "title": self.title,
            "axis": self.axis.map(|axis| axis.label),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        rounded(table)
    }
}

/// Returns the same with four digits of each number, which is more than can be measured.
fn rounded(value: Json) -> Json {
    match value {
        Json::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            let text = format!("{number:.3e}");
            json!(text.parse::<f64>().unwrap_or(number))
        }
        Json::Array(items) => Json::Array(items.into_iter().map(rounded).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Json::Object(fields.map(|(name, value)| (name, rounded(value))).collect())
        }
        other => other,
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
