//! Sweeps: one thing is varied, all else stays the same, and every system takes its turn at every
//! point.
//!
//! They answer what a single figure cannot: whether the cost of an operation grows with the number
//! of keys, the length of the log or the time a server runs (it must not), and how it grows with
//! nodes and the size of values (it must).

use crate::Fallible;
use crate::load::{Load, fill};
use crate::machine::memory_mib;
use crate::options::{Options, SweepName};
use crate::peers::{Peer, Protocol, System};
use crate::report::{Axis, Row, Table};
use crate::tables::{KEYS, KINDS, VALUE_BYTES, in_turns, plain};

/// What all nodes of all systems need for a key of a few bytes, about.
const MEMORY_OF_A_KEY: u64 = 1_200;
/// More keys than these are not made in etcd: it would take minutes.
const ETCD_KEYS_MAX: u64 = 100_000;
/// How much there is of values at each size.
const VALUES_BYTES: usize = 64 << 20;
/// How often the load is repeated for `uptime`.
const SLICES: u32 = 20;

/// Measures one sweep.
pub(crate) fn table(name: SweepName, options: &Options) -> Fallible<Table> {
    let sweep = Sweep { rounds: options.rounds(), seconds: options.seconds };
    match name {
        SweepName::Connections => sweep.connections(),
        SweepName::Pipeline => sweep.pipeline(),
        SweepName::ValueSize => sweep.value_size(),
        SweepName::Keys => sweep.keys(options.keys_max),
        SweepName::Nodes => sweep.nodes(),
        SweepName::Mix => sweep.mix(),
        SweepName::Uptime => sweep.uptime(),
        SweepName::All => Err("`all` is no sweep of its own".into()),
    }
}

/// How thoroughly it is measured.
struct Sweep {
    rounds: usize,
    seconds: f64,
}

const fn logarithmic(label: &'static str) -> Option<Axis> {
    Some(Axis { label, is_logarithmic: true })
}

const fn linear(label: &'static str) -> Option<Axis> {
    Some(Axis { label, is_logarithmic: false })
}

impl Sweep {
    fn connections(&self) -> Fallible<Table> {
        let peers = started()?;
        fill_all(&peers, VALUE_BYTES, 0, KEYS)?;
        let mut rows = Vec::new();
        for connections in [1, 3, 10, 50, 200, 1_000] {
            let load = Load { connections, ..plain(self.seconds) };
            self.add_point(&peers, &load, connections as f64, &mut rows)?;
        }
        let title = format!("Connections: no pipeline, values of {VALUE_BYTES} B");
        Ok(Table { name: "connections", title, axis: logarithmic("connections"), rows })
    }

    fn pipeline(&self) -> Fallible<Table> {
        let peers = started()?;
        fill_all(&peers, VALUE_BYTES, 0, KEYS)?;
        let mut rows = Vec::new();
        for pipeline in [1, 2, 4, 8, 16, 32, 64] {
            let load = Load { pipeline, ..plain(self.seconds) };
            self.add_point(&peers, &load, pipeline as f64, &mut rows)?;
        }
        let title = format!(
            "Pipeline: 50 connections, values of {VALUE_BYTES} B; for etcd, streams of a connection"
        );
        Ok(Table { name: "pipeline", title, axis: logarithmic("pipeline"), rows })
    }

    fn value_size(&self) -> Fallible<Table> {
        let peers = started()?;
        let mut rows = Vec::new();
        for value_bytes in [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] {
            let keys = (KEYS / 10).min((VALUES_BYTES / value_bytes) as u64);
            fill_all(&peers, value_bytes, 0, keys)?;
            let connections = 10;
            let load = Load { value_bytes, keys, connections, ..plain(self.seconds) };
            self.add_point(&peers, &load, value_bytes as f64, &mut rows)?;
        }
        let title = "Value size: 10 connections, no pipeline".to_owned();
        Ok(Table { name: "value-size", title, axis: logarithmic("value bytes"), rows })
    }

    fn keys(&self, keys_max: u64) -> Fallible<Table> {
        let mut peers = started()?;
        let mut rows = Vec::new();
        let mut before = 0;
        for keys in [10_000, 100_000, 1_000_000, 10_000_000] {
            let need = ((keys - before) * MEMORY_OF_A_KEY) >> 20;
            let available = memory_mib("MemAvailable")?;
            if keys > keys_max {
                break;
            }
            if need > available {
                eprintln!("{keys} keys: left out, they need {need} MiB, and {available} are free");
                break;
            }
            if keys > ETCD_KEYS_MAX {
                eprintln!("{keys} keys: etcd is left out, which would take too long to fill");
                peers.retain(|peer| peer.system != System::Etcd);
            }
            fill_all(&peers, VALUE_BYTES, before, keys)?;
            before = keys;
            let load = Load { keys, pipeline: 16, ..plain(self.seconds) };
            self.add_point(&peers, &load, keys as f64, &mut rows)?;
        }
        let title = format!("Keys: 50 connections, pipeline of 16, values of {VALUE_BYTES} B");
        Ok(Table { name: "keys", title, axis: logarithmic("keys"), rows })
    }

    fn nodes(&self) -> Fallible<Table> {
        let mut rows = Vec::new();
        for nodes in [1, 3, 5] {
            // One Redis stays one Redis: it shows what the machine did meanwhile.
            let systems = [System::Raftkv, System::Etcd, System::RedisAlways];
            let started = systems.iter().map(|system| Peer::start(*system, nodes));
            let peers: Vec<Peer> =
                started.filter_map(Result::transpose).collect::<Fallible<_>>()?;
            fill_all(&peers, VALUE_BYTES, 0, KEYS)?;
            self.add_point(&peers, &plain(self.seconds), nodes as f64, &mut rows)?;
        }
        let title = format!(
            "Nodes: 50 connections, no pipeline, values of {VALUE_BYTES} B; Redis is always one"
        );
        Ok(Table { name: "nodes", title, axis: linear("nodes"), rows })
    }

    fn mix(&self) -> Fallible<Table> {
        let peers = started()?;
        fill_all(&peers, VALUE_BYTES, 0, KEYS)?;
        let mut rows = Vec::new();
        for reads_percent in [0, 25, 50, 75, 90, 100] {
            let load = Load { reads_percent, ..plain(self.seconds) };
            let mut row = Row::new("GET and SET");
            row.x = Some(reads_percent as f64);
            self.measure(&peers, &load, self.rounds, &mut row)?;
            rows.push(row);
        }
        let title = format!(
            "Mix: 50 connections, no pipeline, values of {VALUE_BYTES} B, reads among them"
        );
        Ok(Table { name: "mix", title, axis: linear("% reads"), rows })
    }

    fn uptime(&self) -> Fallible<Table> {
        let peers = started()?;
        fill_all(&peers, VALUE_BYTES, 0, KEYS)?;
        let mut rows = Vec::new();
        for slice in 1..=SLICES {
            let load = Load { pipeline: 16, ..plain(self.seconds) };
            let mut row = Row::new("SET");
            row.x = Some(f64::from(slice));
            // A slice comes once. Its neighbours say how much of it is noise.
            self.measure(&peers, &load, 1, &mut row)?;
            let ours = peers.iter().find(|peer| peer.system == System::Raftkv);
            row.log_length = ours.and_then(Peer::log_length);
            rows.push(row);
        }
        let title = format!(
            "Uptime: the same writes in slices of {} s; 50 connections, pipeline of 16, values of \
             {VALUE_BYTES} B",
            self.seconds,
        );
        Ok(Table { name: "uptime", title, axis: linear("slice"), rows })
    }

    /// Measures writes and reads at a point.
    fn add_point(&self, peers: &[Peer], load: &Load, x: f64, rows: &mut Vec<Row>) -> Fallible<()> {
        for (kind, reads_percent) in KINDS {
            let mut row = Row::new(kind);
            row.x = Some(x);
            let load = Load { reads_percent, ..load.clone() };
            self.measure(peers, &load, self.rounds, &mut row)?;
            rows.push(row);
        }
        Ok(())
    }

    fn measure(&self, peers: &[Peer], load: &Load, rounds: usize, row: &mut Row) -> Fallible<()> {
        eprintln!("{}, at {}", row.load, row.x.unwrap_or_default());
        let entrants: Vec<(&Peer, Protocol)> =
            peers.iter().map(|peer| (peer, peer.own_protocol())).collect();
        in_turns(peers, &entrants, load, rounds, row)
    }
}

fn started() -> Fallible<Vec<Peer>> {
    Peer::start_all(&System::ALL)
}

/// Makes the keys from `from` up to `until` in each of the peers.
fn fill_all(peers: &[Peer], value_bytes: usize, from: u64, until: u64) -> Fallible<()> {
    for peer in peers {
        eprintln!("{}: keys up to {until}, of {value_bytes} B", peer.system.name());
        fill(peer, value_bytes, from, until)?;
    }
    Ok(())
}
