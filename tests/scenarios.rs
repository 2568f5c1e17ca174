//! Plays the scripts of `tests/scenarios`, each a conversation between servers, and compares every
//! word.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test scenarios` writes down what is said now; read the
//! difference before you keep it.

mod harness;

use std::error::Error;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use goldenscript::{Context, Runner};
use harness::{Cluster, id, notation};
use raftkv::raft::{Envelope, Message, Options, Raft, ReadId, Recovered};
use raftkv_storage::types::{
    Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, SnapshotMeta, Term,
};

/// What a script can say.
#[derive(goldenscript::Command)]
enum Command {
    /// A new cluster of these voters; nothing is said yet.
    Cluster {
        voters: Vec<String>,
        #[arg(key, optional)]
        outgoing: String,
        #[arg(key, optional)]
        learners: String,
        /// `manual`: a write is durable only after `sync`.
        #[arg(key, optional)]
        sync: String,
        /// The options of the same names.
        #[arg(key)]
        append_bytes: Option<usize>,
        #[arg(key)]
        inflight: Option<usize>,
        #[arg(key)]
        trailing: Option<usize>,
        #[arg(key)]
        catch_up: Option<usize>,
        /// `yes`: reads are on leases.
        #[arg(key, optional)]
        lease: String,
    },
    /// A server starts from this disk. The log is given as the terms of its entries.
    Recover {
        node: String,
        #[arg(key, optional)]
        log: String,
        #[arg(key)]
        term: Option<Term>,
        #[arg(key)]
        vote: Option<String>,
        #[arg(key)]
        snapshot: Option<String>,
        /// `yes`: it had acknowledged more.
        #[arg(key, optional)]
        recovering: String,
    },
    /// A server waits until its election timeout. With `elect`, all have forgotten their leader,
    /// and nothing is lost.
    Campaign(String),
    Elect(String),
    /// All followers lose patience with their leader, but none campaigns.
    ForgetLeader,
    /// One server, or `all` in turn with everything delivered.
    Tick(String, #[arg(optional)] u32),
    /// A server's clock goes on by so many milliseconds, and it does nothing.
    Wait(String, u64),
    /// Commands of one turn.
    Propose {
        node: String,
        commands: Vec<String>,
    },
    /// Reads of one turn.
    Read {
        node: String,
        reads: Vec<u64>,
    },
    /// Whatever is on the way now and fits; then the same again until all is quiet.
    Deliver {
        #[arg(key, optional)]
        from: String,
        #[arg(key, optional)]
        to: String,
        #[arg(key, optional)]
        only: String,
    },
    Drop {
        #[arg(key, optional)]
        from: String,
        #[arg(key, optional)]
        to: String,
        #[arg(key, optional)]
        only: String,
    },
    Stabilize,
    /// Everything on the way is there twice; in the opposite order.
    Duplicate,
    Reverse,
    /// Cuts a server off, or a link in one direction.
    Isolate(String),
    Cut(String, String),
    Heal,
    Sync(String),
    Crash(String),
    Restart(String),
    Snapshot(String),
    Unreachable(String, String),
    StepDown(String),
    /// A leader hands over.
    Transfer(String),
    /// A follower notices that the stream from a leader has ended.
    StreamEnded(String, String),
    /// Hands a server a message that nobody sent.
    Forge {
        from: String,
        to: String,
        term: Term,
        kind: String,
        #[arg(key, optional)]
        prev: String,
        #[arg(key, optional)]
        log: String,
        #[arg(key, optional)]
        index: Index,
        #[arg(key, optional)]
        round: u64,
        #[arg(key, optional)]
        commit: Index,
        /// In milliseconds.
        #[arg(key, optional)]
        promise: u64,
    },
    Persisted(String, String),
    Status(#[arg(optional)] String),
    Log(#[arg(optional)] String),
    Network,
}

struct Script {
    cluster: Cluster,
}

fn entry_id(text: &str) -> Result<EntryId, Box<dyn Error>> {
    if text.is_empty() {
        return Ok(EntryId::default());
    }
    let (index, term) = text.split_once('@').ok_or("an entry is index@term")?;
    Ok(EntryId { index: index.parse()?, term: term.parse()? })
}

/// Returns entries of these terms, from an index on. The command of 5@2 is "5@2".
fn entries(first: Index, terms: &str) -> Result<Vec<Entry>, Box<dyn Error>> {
    let terms = terms.split(' ').filter(|term| !term.is_empty()).map(str::parse);
    let terms: Vec<Term> = terms.collect::<Result<_, _>>()?;
    let entry = |(index, term)| {
        let id = EntryId { term, index };
        Entry { id, payload: Payload::Command(Bytes::from(id.to_string())) }
    };
    Ok((first..).zip(terms).map(entry).collect())
}

impl Script {
    fn nodes(&self, name: &str) -> Vec<NodeId> {
        if name.is_empty() || name == "all" {
            self.cluster.nodes.keys().copied().collect()
        } else {
            vec![id(name)]
        }
    }

    /// Takes the messages out of the network that fit.
    fn matching(&self, from: &str, to: &str, only: &str) -> impl Fn(&Envelope) -> bool + use<> {
        let (from, to, only) = (from.to_owned(), to.to_owned(), only.to_owned());
        move |envelope| {
            (from.is_empty() || envelope.from == id(&from))
                && (to.is_empty() || envelope.to == id(&to))
                && (only.is_empty()
                    || notation::envelope(envelope).split(' ').nth(3) == Some(only.as_str()))
        }
    }

    /// Handles what exists now, not what comes of it.
    fn each(&mut self, fits: impl Fn(&Envelope) -> bool, act: impl Fn(&mut Cluster, usize)) {
        let mut chosen: Vec<Envelope> =
            self.cluster.network.iter().filter(|envelope| fits(envelope)).cloned().collect();
        while !chosen.is_empty() {
            let next = chosen.remove(0);
            let at = self.cluster.network.iter().position(|envelope| *envelope == next);
            act(&mut self.cluster, at.expect("it is still on the way"));
        }
    }

    fn recover(
        &mut self,
        node: &str,
        log: &str,
        hard_state: HardState,
        snapshot: &Option<String>,
        is_recovering: bool,
    ) -> Result<(), Box<dyn Error>> {
        let configuration = self.cluster.configuration.clone();
        let last = snapshot.as_deref().map(entry_id).transpose()?;
        let snapshot = last.map(|last| SnapshotMeta { last, configuration });
        let (base, entries) = match last {
            Some(last) if log.is_empty() => (last, Vec::new()),
            _ => (EntryId::default(), entries(1, log)?),
        };
        let recovered =
            Recovered { hard_state, snapshot, base, entries, is_recovering, promised_us: 0 };
        self.cluster.recover(id(node), recovered);
        Ok(())
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        self.cluster.trace.clear();
        let looked = self.look(command);
        if looked.is_empty() && !self.start(command)? && !self.tamper(command)? {
            self.play(command);
        }
        Ok(if looked.is_empty() { self.cluster.trace.join("\n") } else { looked })
    }
}

impl Script {
    /// Commands that only show something.
    fn look(&self, command: &Command) -> String {
        let show = |name: &str, how: fn(&Cluster, NodeId) -> String| {
            let lines = self.nodes(name).into_iter().map(|id| how(&self.cluster, id));
            lines.collect::<Vec<_>>().join("\n")
        };
        match command {
            Command::Status(node) => show(node, notation::status),
            Command::Log(node) => show(node, notation::log),
            Command::Network if self.cluster.network.is_empty() => "nothing on the way".to_owned(),
            Command::Network => {
                let lines = self.cluster.network.iter().map(notation::envelope);
                lines.collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        }
    }

    /// Commands that start clusters and servers. Returns whether it was one.
    fn start(&mut self, command: &Command) -> Result<bool, Box<dyn Error>> {
        match command {
            Command::Cluster {
                voters,
                outgoing,
                learners,
                sync,
                append_bytes,
                inflight,
                trailing,
                catch_up,
                lease,
            } => {
                let set = |names: &str| {
                    names.split(' ').filter(|name| !name.is_empty()).map(id).collect()
                };
                let mut configuration = Configuration::bootstrap(voters.iter().map(|n| id(n)));
                configuration.outgoing = set(outgoing);
                configuration.learners = set(learners);
                let mut options = Options {
                    trailing_bytes: trailing.unwrap_or(0),
                    catch_up_bytes: catch_up.unwrap_or(0),
                    ..Default::default()
                };
                options.append_bytes_max = append_bytes.unwrap_or(options.append_bytes_max);
                options.inflight_messages_max = inflight.unwrap_or(options.inflight_messages_max);
                options.lease_reads = lease == "yes";
                self.cluster = Cluster::new(configuration, options, 1);
                self.cluster.sync_at_once = sync != "manual";
            }
            Command::Recover { node, log, term, vote, snapshot, recovering } => {
                let vote = vote.as_deref().map(id);
                let hard_state = HardState { term: term.unwrap_or(0), vote };
                self.recover(node, log, hard_state, snapshot, recovering == "yes")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Commands that do what no server does. Returns whether it was one.
    fn tamper(&mut self, command: &Command) -> Result<bool, Box<dyn Error>> {
        match command {
            Command::Forge { from, to, term, kind, prev, log, index, round, commit, promise } => {
                let prev = entry_id(prev)?;
                let message = match kind.as_str() {
                    "AppendEntries" => {
                        let entries = entries(prev.index.wrapping_add(1), log)?;
                        Message::AppendEntries { prev, entries, commit: *commit }
                    }
                    "Gap" => {
                        let entries = entries(prev.index.wrapping_add(2), log)?;
                        Message::AppendEntries { prev, entries, commit: *commit }
                    }
                    "AppendEntriesResponse" => Message::AppendEntriesResponse { matched: *index },
                    "AppendEntriesRejected" => {
                        Message::AppendEntriesRejected { rejected: *index, hint: prev }
                    }
                    "Heartbeat" => Message::Heartbeat { commit: *commit, round: *round },
                    "HeartbeatResponse" => {
                        let promise_us = promise * 1_000;
                        Message::HeartbeatResponse { round: *round, last: *index, promise_us }
                    }
                    "RequestRecoveryResponse" => {
                        Message::RequestRecoveryResponse { nonce: *round, last: *index }
                    }
                    "PreVote" => Message::RequestVote { pre: true, last: prev, transfer: false },
                    "RequestVote" => {
                        Message::RequestVote { pre: false, last: prev, transfer: false }
                    }
                    "TimeoutNow" => Message::TimeoutNow,
                    "PreVoteResponse" => Message::RequestVoteResponse { pre: true, granted: true },
                    "RequestVoteResponse" => {
                        Message::RequestVoteResponse { pre: false, granted: true }
                    }
                    "InstallSnapshot" => {
                        let configuration = self.cluster.configuration.clone();
                        let meta = SnapshotMeta { last: prev, configuration };
                        Message::InstallSnapshot { meta }
                    }
                    other => return Err(format!("there is no message {other}").into()),
                };
                let (from, to, term) = (id(from), id(to), *term);
                self.cluster.event(to, |raft| raft.step(Envelope { from, to, term, message }));
            }
            Command::Persisted(node, last) => {
                let last = entry_id(last)?;
                self.cluster.event(id(node), |raft| raft.persisted(last));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Everything that servers, clients, disks and networks do.
    fn play(&mut self, command: &Command) {
        let cluster = &mut self.cluster;
        match command {
            Command::Campaign(node) => cluster.campaign(id(node)),
            Command::Elect(node) => cluster.elect(id(node)),
            Command::ForgetLeader => cluster.forget_leader(),
            Command::Tick(node, count) if node == "all" => cluster.run((*count).max(1)),
            Command::Tick(node, count) => {
                (0..(*count).max(1)).for_each(|_| cluster.tick(id(node)));
            }
            Command::Wait(node, ms) => cluster.wait(id(node), ms * 1_000),
            Command::Propose { node, commands } => {
                for command in commands {
                    let command = Bytes::from(command.clone());
                    let result = self.cluster.with(id(node), |raft| raft.propose(command));
                    self.answer(node, result.map(|result| result.map(|_| ())));
                }
                self.cluster.turn(id(node));
            }
            Command::Read { node, reads } => {
                for read in reads {
                    cluster.safety.asked(ReadId(*read));
                }
                for read in reads {
                    let result = self.cluster.with(id(node), |raft| raft.read(ReadId(*read)));
                    self.answer(node, result);
                }
                self.cluster.turn(id(node));
            }
            Command::Deliver { from, to, only } => {
                let fits = self.matching(from, to, only);
                self.each(fits, Cluster::deliver);
            }
            Command::Drop { from, to, only } => {
                let fits = self.matching(from, to, only);
                self.each(fits, Cluster::drop_at);
            }
            other => self.disturb(other),
        }
    }

    fn answer(&mut self, node: &str, result: Option<Result<(), raftkv::raft::NotLeader>>) {
        if let Some(Err(refused)) = result {
            let leader = refused.leader.map_or("unknown".to_owned(), |leader| leader.to_string());
            self.cluster.trace.push(format!("{node} refuses: the leader is {leader}"));
        }
    }

    fn disturb(&mut self, command: &Command) {
        let cluster = &mut self.cluster;
        match command {
            Command::Stabilize => cluster.stabilize(),
            Command::Duplicate => {
                cluster.network =
                    cluster.network.iter().flat_map(|e| [e.clone(), e.clone()]).collect();
            }
            Command::Reverse => cluster.network.reverse(),
            Command::Isolate(node) => cluster.isolate(id(node)),
            Command::Cut(from, to) => {
                cluster.cut.insert((id(from), id(to)));
            }
            Command::Heal => cluster.cut.clear(),
            Command::Sync(node) => cluster.sync(id(node)),
            Command::Crash(node) => cluster.crash(id(node)),
            Command::Restart(node) => cluster.restart(id(node)),
            Command::Snapshot(node) => cluster.snapshot(id(node)),
            Command::StepDown(node) => drop(cluster.event(id(node), Raft::step_down)),
            Command::Transfer(node) => {
                let _ = cluster.event(id(node), Raft::transfer_leadership);
            }
            Command::StreamEnded(node, leader) => {
                let leader = id(leader);
                cluster.event(id(node), |raft: &mut Raft| raft.report_stream_ended(leader));
            }
            Command::Unreachable(node, peer) => {
                let peer = id(peer);
                cluster.event(id(node), |raft: &mut Raft| raft.report_unreachable(peer));
            }
            _ => {}
        }
    }
}

fn play(path: &Path) -> std::io::Result<()> {
    goldenscript::run(&mut Script { cluster: Cluster::voters(3) }, path)
}

#[test]
fn scenarios() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scripts: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|script| script.unwrap().path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 30, "the scenarios are where they should be");
    // All are played, so that one failure does not hide the next.
    let fails = |script: &PathBuf| {
        println!("{}", script.display());
        let played = catch_unwind(|| play(script));
        let failed = !matches!(played, Ok(Ok(())));
        if let Ok(Err(error)) = played {
            println!("{error}");
        }
        failed
    };
    scripts.retain(fails);
    assert!(scripts.is_empty(), "not as written: {scripts:#?}");
}
