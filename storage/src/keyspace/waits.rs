//! Commands that wait for something to come: for what, for how long, and how one is tried again.
//!
//! The handler of such a command is one attempt. Who waits, and when an attempt is worth another
//! one, is decided by the replica that leads; here is what it has to know of the command.

use super::command::Spec;
use super::reply::Reply;
use super::streams;
use super::timeout::timeout_ms;
use super::varint;

/// What a command waits on, and where it says for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// `key [key …] timeout`: on any of the keys.
    Keys,
    /// `source destination … timeout`: on the source.
    Source,
    /// `timeout count key [key …] …`: on any of the keys.
    Counted,
    /// `… BLOCK milliseconds … STREAMS key [key …] id [id …]`: on any of the streams.
    Streams,
}

/// A call with its arguments, the name not among them.
#[derive(Clone, Debug)]
pub struct Call {
    /// The row of the command.
    pub spec: &'static Spec,
    /// The arguments.
    pub args: Vec<Vec<u8>>,
}

impl Call {
    /// Copies a call.
    #[must_use]
    pub fn new(spec: &'static Spec, args: &[&[u8]]) -> Self {
        Self { spec, args: args.iter().map(|arg| arg.to_vec()).collect() }
    }

    /// Returns the arguments.
    #[must_use]
    pub fn args(&self) -> Vec<&[u8]> {
        self.args.iter().map(Vec::as_slice).collect()
    }

    /// Returns how many bytes it takes in an entry, at most.
    #[must_use]
    pub fn size(&self) -> usize {
        let arg = |arg: &Vec<u8>| varint::len(arg.len()) + arg.len();
        size_of_val(&self.spec.id)
            + varint::len(self.args.len())
            + self.args.iter().map(arg).sum::<usize>()
    }

    /// Returns the keys on which it waits.
    #[must_use]
    pub fn waited_keys(&self) -> Vec<&[u8]> {
        let args = self.args();
        let keys = self.spec.keys(&args).filter_map(|place| args.get(place).copied());
        match self.spec.waits {
            None => Vec::new(),
            Some(Waits::Source) => keys.take(1).collect(),
            Some(_) => keys.collect(),
        }
    }

    /// Returns what tells apart those who wait on one key and do not take from each other: the
    /// group of XREADGROUP.
    #[must_use]
    pub fn lane(&self) -> Vec<u8> {
        match self.spec.waits {
            Some(Waits::Streams) => streams::group_of(&self.args()).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Returns the attempt that is made when one of the keys has changed: on that key alone, so
    /// that another, which may be of a wrong type, is no hindrance.
    #[must_use]
    pub fn on(&self, key: &[u8]) -> Self {
        let args = match self.spec.waits {
            Some(Waits::Keys) => {
                let timeout = self.args.last().cloned().unwrap_or_default();
                vec![key.to_vec(), timeout]
            }
            Some(Waits::Counted) => {
                let keys = self.waited_keys().len();
                let head = [self.args[0].clone(), b"1".to_vec(), key.to_vec()];
                head.into_iter().chain(self.args.iter().skip(2 + keys).cloned()).collect()
            }
            _ => self.args.clone(),
        };
        Self { spec: self.spec, args }
    }

    /// Returns the error with which a wait ends because of what its key is by now: whoever reads
    /// for a group needs the stream with the group.
    #[must_use]
    pub fn ended_by(&self, type_of_key: Option<&str>) -> Option<Reply> {
        let needs_stream = self.spec.waits == Some(Waits::Streams) && self.spec.is_write();
        let is_gone = needs_stream && type_of_key != Some("stream");
        is_gone.then(|| Reply::error("UNBLOCKED the stream key no longer exists"))
    }

    /// Returns with what an error of a later attempt ends the waiting, if it does. That a key is of
    /// another type by now does not, except where something was there to be taken: then it is the
    /// destination. Who waits for a group hears what has become of it, as in Redis.
    #[must_use]
    pub fn late_error(&self, error: &Reply, type_of_key: Option<&str>) -> Option<Reply> {
        match self.spec.waits {
            Some(Waits::Source) => (type_of_key == Some("list")).then(|| error.clone()),
            Some(Waits::Streams) if self.spec.is_write() => {
                let no_group =
                    "NOGROUP the consumer group this client was blocked on no longer exists";
                Some(self.ended_by(type_of_key).unwrap_or(Reply::error(no_group)))
            }
            _ => None,
        }
    }
}

impl Spec {
    /// Returns for how many milliseconds a call waits when there is nothing, zero for ever; `None`
    /// if it does not. The arguments have been checked.
    #[must_use]
    pub fn patience_ms(&self, args: &[&[u8]]) -> Option<u64> {
        match self.waits? {
            Waits::Keys | Waits::Source => timeout_ms(args.last()?).ok(),
            Waits::Counted => timeout_ms(args.first()?).ok(),
            Waits::Streams => streams::block_ms(args),
        }
    }
}

/// Returns whether an attempt has found nothing, so that there is something to wait for.
#[must_use]
pub fn is_nothing(reply: &Reply) -> bool {
    matches!(reply, Reply::Null | Reply::NullArray)
}
