//! Where ZUNION, ZINTER and ZDIFF take members from.

use bytes::Bytes;

use super::super::Reader;
use super::super::collection::Content;
use super::super::reply::Reply;
use super::super::sequence::Sharer;
use super::super::sets::Set;
use super::Zset;

/// The members of a key, each with a score.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// There is no such key.
    Missing,
    /// A sorted set.
    Zset(&'a Zset),
    /// A set, each of whose members counts as one.
    Set(&'a Set),
}

/// Returns the members of a key that may be a source.
pub(super) fn source_members<'a>(reader: &Reader<'a>, key: &[u8]) -> Result<Source<'a>, Reply> {
    match reader.kind::<Zset>(key) {
        Ok(zset) => Ok(zset.map_or(Source::Missing, Source::Zset)),
        Err(_) => Ok(reader.kind::<Set>(key)?.map_or(Source::Missing, Source::Set)),
    }
}

impl<'a> Source<'a> {
    /// Returns how many members there are.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Zset(zset) => zset.len(),
            Self::Set(set) => set.len(),
        }
    }

    /// Returns the score of a member.
    pub(super) fn score(self, name: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Zset(zset) => zset.score(name),
            Self::Set(set) => set.contains(name).then_some(1.0),
        }
    }

    /// Returns all members, to be kept, with their scores.
    pub(super) fn members(self) -> Box<dyn Iterator<Item = (f64, Bytes)> + 'a> {
        match self {
            Self::Missing => Box::new(std::iter::empty()),
            Self::Set(set) => {
                let mut sharer = Sharer::default();
                Box::new(set.iter_from(0).map(move |member| (1.0, member.share(&mut sharer))))
            }
            Self::Zset(zset) => {
                let mut sharer = Sharer::default();
                let members = zset.iter(0..zset.len());
                Box::new(
                    members.map(move |member| (member.score(), member.share_name(&mut sharer))),
                )
            }
        }
    }
}
