//! One client: read much, run what is complete as few batches, answer with one write.
//!
//! Nothing is read while a batch is under way: that is the backpressure. Something is read while
//! replies wait for a client that does not take them, up to the size of one request: a client that
//! first sends a long pipeline and then reads would otherwise wait for us while we wait for it.

mod blocking;
mod delivery;
mod exec;

pub(super) use delivery::Lingering;

use std::io;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::command::{self, Spec};
use raftkv_storage::keyspace::waits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;

use super::encode::Encoder;
use super::registry::{Client, Share};
use super::scanner::{ProtocolError, Request, Scanner};
use super::session::{self, Outcome, Session};
use super::turn::{Key, Turn};
use super::{Server, encode, errors, inline};
use crate::{Cluster, Kv};

/// What is read at once to begin with; doubled while it is not enough.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// After so much work it is the turn of others, in bytes that are read or understood. Else a client
/// that sends faster than it is served would have the loop to itself, also for what costs nothing.
const TURN_BYTES: usize = 16 * 1024;
/// What a request costs beside its bytes, in bytes.
const REQUEST_BYTES: usize = 256;
/// Commands with fewer arguments than this need no allocation to be looked at.
const FEW: usize = 12;

/// A client and what is between it and the store.
pub(super) struct Connection<'a, K, R, W> {
    server: &'a Server<K>,
    client: &'a Client,
    reader: R,
    writer: W,
    session: Session,
    scanner: Scanner,
    /// What has been read and not been run.
    input: Vec<u8>,
    share: Share<'a>,
    read_bytes: usize,
    /// The work since it was last the turn of others.
    worked_bytes: usize,
    is_at_end: bool,
    encoder: Encoder,
    output: BytesMut,
    watch: watch::Receiver<Arc<Cluster>>,
    /// The cluster as it was when the last requests were read.
    cluster: Arc<Cluster>,
}

/// Whether the conversation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    More,
    /// Answer what was asked, then close.
    Close,
    /// As `Close`, but the client may still be sending: let it read the error first.
    Reject,
}

/// How a command for the keyspace is carried out.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// Whether its reply is not sent.
    is_silent: bool,
    /// Whether the client is told when its keys change.
    is_tracked: bool,
}

/// A request that is complete: its arguments, and where they are in the input.
struct Call<'a> {
    args: &'a [&'a [u8]],
    /// Of an array, how to find the range of an argument in the input.
    ranges: Option<(usize, &'a [std::ops::Range<u32>])>,
}

impl<'a, K: Kv, R, W> Connection<'a, K, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    pub(super) fn new(server: &'a Server<K>, client: &'a Client, reader: R, writer: W) -> Self {
        let watch = server.kv.cluster();
        let cluster = Arc::clone(&watch.borrow());
        Self {
            server,
            client,
            reader,
            writer,
            session: Session::default(),
            scanner: Scanner::new(server.options.limits()),
            input: Vec::new(),
            share: Share::of(&server.held),
            read_bytes: READ_BYTES_MIN,
            worked_bytes: 0,
            is_at_end: false,
            encoder: Encoder::default(),
            output: BytesMut::new(),
            watch,
            cluster,
        }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        while self.fill().await? {
            if self.is_too_much() {
                encode::error(b"ERR too much input is held by all clients", &mut self.output);
                self.flush().await?;
                return self.close(Flow::Reject).await;
            }
            let flow = self.drain().await?;
            if flow != Flow::More {
                return self.close(flow).await;
            }
            self.shrink();
        }
        self.close(Flow::Close).await
    }

    /// Reads what there is; false if there will be no more.
    async fn fill(&mut self) -> io::Result<bool> {
        let read = loop {
            if self.is_at_end || self.client.is_stopping() {
                return Ok(false);
            }
            if self.take_pushes() {
                let before = self.input.len();
                self.flush().await?;
                // A request that came meanwhile may be all that comes.
                if self.input.len() > before {
                    return Ok(true);
                }
            }
            self.input.reserve(self.read_bytes);
            // The space may be more: it is doubled for a large request.
            let mut space = (&mut self.input).limit(self.read_bytes);
            tokio::select! {
                biased;
                read = self.reader.read_buf(&mut space) => break read?,
                () = self.client.nudged() => {}
            }
        };
        // What happened before the requests came is told before they are answered.
        self.take_pushes();
        self.server.stats.input_bytes.add(read as u64);
        // As much as is asked for comes: ask for more next time. Little comes: do not hold memory
        // for more.
        if read >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if read < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        self.give_way(read).await;
        Ok(read > 0)
    }

    /// Takes note of work that was done, and lets others do theirs when it is their turn.
    async fn give_way(&mut self, worked_bytes: usize) {
        self.worked_bytes += worked_bytes;
        if self.worked_bytes >= TURN_BYTES {
            self.worked_bytes = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Returns whether this request has grown when all together are too large already.
    fn is_too_much(&mut self) -> bool {
        let held = self.input.capacity() + self.session.transaction.bytes();
        let beyond = held.saturating_sub(READ_BYTES_MAX * 2);
        self.share.set(beyond) && self.server.held.bytes() > self.server.options.max_held_bytes
    }

    /// Runs every request that has arrived completely, and sends the replies.
    async fn drain(&mut self) -> io::Result<Flow> {
        loop {
            let mut input = std::mem::take(&mut self.input);
            let mut turn = Turn::default();
            let mut start = 0;
            let flow = self.run_requests(&input, &mut start, &mut turn).await?;
            self.execute(&mut turn, &input).await?;
            self.flush().await?;
            input.drain(..start);
            // What was read while replies were being sent comes behind what was not yet run.
            let has_more = !self.input.is_empty();
            if has_more {
                input.append(&mut self.input);
            }
            self.input = input;
            if flow != Flow::More || !has_more {
                return Ok(flow);
            }
        }
    }

    async fn run_requests(
        &mut self,
        input: &[u8],
        start: &mut usize,
        turn: &mut Turn,
    ) -> io::Result<Flow> {
        let mut count = 0;
        self.look_at_cluster();
        let flow = loop {
            let frame = &input[*start..];
            let (flow, length) = match self.scanner.scan(frame) {
                Ok(None) => break Flow::More,
                Ok(Some(Request::Array(length))) => {
                    (self.array(frame, *start, turn, input).await?, length)
                }
                Ok(Some(Request::Inline(length))) => {
                    (self.line(&frame[..length], turn, input).await?, length)
                }
                Err(error) => break self.reject(error, turn),
            };
            *start += length;
            count += 1;
            if flow != Flow::More {
                break flow;
            }
            // Small requests may have large answers: an ECHO of 8 MiB is not to be held a thousand
            // times, nor an error for each byte.
            if turn.local.len() >= self.server.options.max_output_bytes {
                self.execute(turn, input).await?;
            }
            self.give_way(length + REQUEST_BYTES).await;
        };
        self.server.stats.commands_processed.add(count);
        if count > 0 {
            self.session.note(self.client);
        }
        Ok(flow)
    }

    fn look_at_cluster(&mut self) {
        // An error says that nobody will change it any more: the node is stopping.
        if self.watch.has_changed().unwrap_or(false) {
            self.cluster = Arc::clone(&self.watch.borrow_and_update());
        }
    }

    async fn array(
        &mut self,
        frame: &[u8],
        start: usize,
        turn: &mut Turn,
        input: &[u8],
    ) -> io::Result<Flow> {
        let at = |range: &std::ops::Range<u32>| &frame[range.start as usize..range.end as usize];
        // The scanner is not needed until this request is done; its list comes back then.
        let ranges = self.scanner.take_arguments();
        let mut few: [&[u8]; FEW] = [&[]; FEW];
        let many: Vec<&[u8]>;
        let args = if ranges.len() <= FEW {
            for (arg, range) in few.iter_mut().zip(&ranges) {
                *arg = at(range);
            }
            &few[..ranges.len()]
        } else {
            many = ranges.iter().map(at).collect();
            &many
        };
        let call = Call { args, ranges: Some((start, &ranges)) };
        let flow = self.call(&call, turn, input).await;
        self.scanner.put_arguments(ranges);
        flow
    }

    async fn line(&mut self, line: &[u8], turn: &mut Turn, input: &[u8]) -> io::Result<Flow> {
        let words = match inline::split(line) {
            Ok(words) => words,
            Err(error) => return Ok(self.reject(error, turn)),
        };
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if is_http(&args) {
            tracing::warn!(client = %self.client.peer, "closing a client that speaks HTTP to RESP");
            return Ok(Flow::Close);
        }
        self.call(&Call { args: &args, ranges: None }, turn, input).await
    }

    /// After this nobody knows where the next request would begin.
    fn reject(&mut self, error: ProtocolError, turn: &mut Turn) -> Flow {
        let is_silent = self.session.is_silent_next();
        self.answer(turn, error.reply(), is_silent);
        Flow::Reject
    }

    /// Answers a request, or adds it to the batch.
    async fn call(&mut self, call: &Call<'_>, turn: &mut Turn, input: &[u8]) -> io::Result<Flow> {
        let Some((name, args)) = call.args.split_first() else { return Ok(Flow::More) };
        let is_silent = self.session.is_silent_next();
        let spec = command::lookup(name);
        let is_tracked = self.session.caching.next(spec, &self.session.transaction);
        let Some(spec) = spec else {
            if is_cross_protocol(name) {
                return Ok(Flow::Close);
            }
            self.session.transaction.fail();
            self.answer(turn, errors::unknown_command(name, args), is_silent);
            return Ok(Flow::More);
        };
        self.session.last_command = spec;
        let checked = session::check(spec, args).and_then(|()| self.check_keys(spec, args));
        if let Err(error) = checked {
            self.session.transaction.fail();
            self.answer(turn, error, is_silent);
            return Ok(Flow::More);
        }
        if self.session.transaction.queues(spec) {
            let max_bytes = self.server.options.max_request_bytes;
            let reply = self.session.transaction.queue(spec, args, is_tracked, max_bytes);
            self.answer(turn, reply, is_silent);
            return Ok(Flow::More);
        }
        if matches!(spec.name, "watch" | "exec") {
            self.execute(turn, input).await?;
            if spec.name == "exec" {
                return self.exec(is_silent).await;
            }
            let reply = self.watch(args).await;
            self.answer(turn, reply, is_silent);
            return Ok(Flow::More);
        }
        if session::answers(spec, args) {
            return self.session_command(spec, args, is_silent, turn, input).await;
        }
        self.keyspace_command(spec, call, Manner { is_silent, is_tracked }, turn, input).await
    }

    /// Refuses keys that are too long.
    fn check_keys(&self, spec: &Spec, args: &[&[u8]]) -> Result<(), Reply> {
        let max_bytes = self.server.options.max_key_bytes;
        let is_long = |arg: &&[u8]| arg.len() > max_bytes;
        // Most commands have no argument that is as long.
        if args.iter().any(is_long) && spec.keys(args).any(|key| args.get(key).is_some_and(is_long))
        {
            return Err(Reply::error(format!("ERR key is longer than {max_bytes} bytes")));
        }
        Ok(())
    }

    fn answer(&mut self, turn: &mut Turn, reply: Reply, is_silent: bool) {
        if matches!(reply, Reply::Error(_)) {
            self.server.stats.error_replies.add(1);
        }
        if !is_silent {
            turn.answer(reply, self.session.protocol);
        }
    }

    async fn session_command(
        &mut self,
        spec: &'static Spec,
        args: &[&[u8]],
        is_silent: bool,
        turn: &mut Turn,
        input: &[u8],
    ) -> io::Result<Flow> {
        // What came before is answered first: it may be what the command asks about, and the
        // command may change how replies look.
        if !session::is_independent(spec) {
            self.execute(turn, input).await?;
        }
        let outcome = self.session.run(self.server, self.client, spec, args).await;
        let (reply, flow) = match outcome {
            Outcome::Reply(reply) => (Some(reply).filter(|_| !is_silent), Flow::More),
            Outcome::Always(reply) => (Some(reply), Flow::More),
            Outcome::Silence => (None, Flow::More),
            Outcome::Close(reply) => (Some(reply).filter(|_| !is_silent), Flow::Close),
        };
        if let Some(reply) = reply {
            self.answer(turn, reply, false);
        }
        Ok(flow)
    }

    async fn keyspace_command(
        &mut self,
        spec: &'static Spec,
        call: &Call<'_>,
        Manner { is_silent, is_tracked }: Manner,
        turn: &mut Turn,
        input: &[u8],
    ) -> io::Result<Flow> {
        let args = &call.args[1..];
        let options = &self.server.options;
        let key = call.first_key(spec);
        if let Some(error) = errors::refusal(&self.cluster) {
            let refusal = errors::reply(&error, &self.cluster, key.slot(input));
            self.answer(turn, refusal, is_silent);
            return Ok(Flow::More);
        }
        // Wrong options cost no entry of the log, and are told also when nothing can be committed.
        if let Err(error) = spec.validate(args) {
            self.answer(turn, error, is_silent);
            return Ok(Flow::More);
        }
        if let Some(patience_ms) = spec.patience_ms(args) {
            self.execute(turn, input).await?;
            let (waiting, slot) = (waits::Call::new(spec, args), key.slot(input));
            return self.wait(waiting, patience_ms, slot, is_silent).await;
        }
        let spec = spec.in_effect(args);
        let size: usize = args.iter().map(|arg| arg.len()).sum();
        let is_full = turn.batch.len() >= options.max_batch_commands
            || turn.batch.size() + size > options.max_batch_bytes;
        let is_alone = spec.is_heavy() || grows_values(spec);
        // What may walk over much is kept apart from writes, and can leave the loop then.
        let is_apart =
            spec.may_walk() && turn.batch.has_writes() || spec.is_write() && turn.batch.may_walk();
        if (is_full || is_alone || is_apart) && !turn.batch.is_empty() {
            self.execute(turn, input).await?;
        }
        // Not sooner: what was asked for before is answered, and its pushes have gone.
        if is_tracked {
            let keys = spec.keys(args).filter_map(|key| args.get(key).copied());
            self.server.tracking.remember(self.client.id, keys);
        }
        turn.ask(spec, args, key, is_silent);
        if is_alone {
            self.execute(turn, input).await?;
        }
        Ok(Flow::More)
    }
}

/// Returns whether a command of a few bytes can make, or copy, a value of megabytes. In a batch of
/// their own such commands hold up nobody for long, and replies that still refer to the value as it
/// was are gone before the next one.
fn grows_values(spec: &Spec) -> bool {
    matches!(spec.name, "setrange" | "append")
}

impl Call<'_> {
    /// Returns where the first key is, without looking at it.
    fn first_key(&self, spec: &Spec) -> Key {
        let Some(first) = spec.keys(&self.args[1..]).next() else {
            return Key::Slot(errors::NO_KEY_SLOT);
        };
        match self.ranges {
            Some((start, ranges)) => match ranges.get(first + 1) {
                Some(range) => Key::At(start + range.start as usize..start + range.end as usize),
                None => Key::Slot(errors::NO_KEY_SLOT),
            },
            None => Key::Slot(
                self.args.get(first + 1).map_or(errors::NO_KEY_SLOT, |key| errors::slot(key)),
            ),
        }
    }
}

/// A browser can be made to send its user's requests here; what it sends must not be taken for
/// commands.
fn is_http(words: &[&[u8]]) -> bool {
    let is_get_path = words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"GET"))
        && words.get(1).is_some_and(|word| word.starts_with(b"/"));
    is_get_path || words.last().is_some_and(|word| word.starts_with(b"HTTP/")) && words.len() == 3
}

/// As Redis does, in whatever form they come.
fn is_cross_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}
