//! A sorted set: members in the order of their scores, and in a large one by name too.
//!
//! ```text
//! by score:  score f64 big-endian | member              in the order of score, then member
//! by member: hash of the member u32 big-endian | member | score f64 big-endian
//! ```
//!
//! The place of a member by score is its rank. As in Redis a sorted set begins small, and members
//! are found by a walk over all; when it has grown beyond [`SMALL_MAX`] members, or one of more
//! than [`SMALL_BYTES_MAX`] bytes, they are also kept in the order of `members`, and stay so. A
//! snapshot has those by score alone, behind a byte that tells whether there are others.
//!
//! No score is NaN. In a large set minus zero is a score of its own that a client can see, though
//! it is equal to zero; in a small one it becomes zero, again as in Redis.

use std::cmp::Ordering;
use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;

use super::super::collection::{Collection, Content, Kind};
use super::super::members::{self, HEAD_BYTES};
use super::super::sequence::{Piece, Sequence, Sharer};
use super::super::snapshot::{invalid, read_array};

/// The most members of a small one, and bytes of a member in it: Redis' zset-max-listpack-entries
/// and -value.
const SMALL_MAX: usize = 128;
const SMALL_BYTES_MAX: usize = 64;
/// The bytes of a score.
const SCORE_BYTES: usize = 8;

/// Members with their scores.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Zset {
    by_score: Sequence,
    /// The same members, once it is large.
    by_member: Option<Sequence>,
}

/// A member and its score, where they lie.
#[derive(Debug)]
pub(in super::super) struct Member<'a> {
    piece: Piece<'a>,
    name: Range<usize>,
    score: f64,
}

impl<'a> Member<'a> {
    fn by_score(piece: Piece<'a>) -> Self {
        let entry = piece.as_bytes();
        Self { name: SCORE_BYTES..entry.len(), score: split(entry).0, piece }
    }

    pub(super) fn by_member(piece: Piece<'a>) -> Self {
        let entry = piece.as_bytes();
        let name = HEAD_BYTES..entry.len() - SCORE_BYTES;
        Self { score: score_in(&entry[name.end..]), name, piece }
    }

    pub(in super::super) fn name(&self) -> &'a [u8] {
        &self.piece.as_bytes()[self.name.clone()]
    }

    pub(in super::super) fn score(&self) -> f64 {
        self.score
    }

    /// Returns the name, to be kept.
    pub(in super::super) fn share_name(&self, sharer: &mut Sharer) -> Bytes {
        sharer.share(&self.piece, self.name.clone())
    }
}

impl Zset {
    /// Returns members in the order in which they are given, which must be that of their scores.
    pub(in super::super) fn from_ordered<N: AsRef<[u8]>>(
        members: impl IntoIterator<Item = (f64, N)>,
    ) -> Self {
        let mut zset = Self::default();
        let mut is_large = false;
        for (score, name) in members {
            is_large |= name.as_ref().len() > SMALL_BYTES_MAX;
            zset.by_score.push(&entry(score, name.as_ref()));
        }
        if is_large || zset.len() > SMALL_MAX {
            zset.put_in_order();
        } else {
            zset.forget_minus_zero();
        }
        zset
    }

    /// Makes zeros of minus zeros, whose places are the same.
    fn forget_minus_zero(&mut self) {
        let start = self.partition_point(|score, _| score < 0.0);
        for place in start..self.partition_point(|score, _| score <= 0.0) {
            let zero = self.at(place).filter(|member| is_minus_zero(member.score));
            if let Some(new) = zero.map(|member| entry(0.0, member.name())) {
                self.by_score.replace(place, &new);
            }
        }
    }

    /// Returns the members in the order that cursors point into, once it is large.
    pub(super) fn ordered(&self) -> Option<&Sequence> {
        self.by_member.as_ref()
    }

    /// Returns the score of a member.
    pub(in super::super) fn score(&self, name: &[u8]) -> Option<f64> {
        match &self.by_member {
            Some(by_member) => {
                let place = find(by_member, name).ok()?;
                by_member.get(place).map(|piece| Member::by_member(piece).score)
            }
            None => self.walk_to(name).map(|(_, score)| score),
        }
    }

    /// Returns how many members are before one.
    pub(super) fn rank(&self, name: &[u8]) -> Option<usize> {
        match &self.by_member {
            Some(_) => self.find(self.score(name)?, name).ok(),
            None => self.walk_to(name).map(|(place, _)| place),
        }
    }

    /// Returns the member at a place.
    pub(super) fn at(&self, place: usize) -> Option<Member<'_>> {
        self.by_score.get(place).map(Member::by_score)
    }

    /// Returns the members in a range of places, in order.
    pub(in super::super) fn iter(&self, places: Range<usize>) -> impl Iterator<Item = Member<'_>> {
        self.by_score.iter_from(places.start).take(places.len()).map(Member::by_score)
    }

    /// Returns the members in a range of places, the last one first.
    pub(in super::super) fn iter_back(
        &self,
        places: Range<usize>,
    ) -> impl Iterator<Item = Member<'_>> {
        self.by_score.iter_back_from(places.end).take(places.len()).map(Member::by_score)
    }

    /// Returns how many members at the beginning are before what is sought.
    pub(in super::super) fn partition_point(
        &self,
        mut is_before: impl FnMut(f64, &[u8]) -> bool,
    ) -> usize {
        self.by_score.partition_point(|entry| {
            let (score, name) = split(entry);
            is_before(score, name)
        })
    }

    /// Gives a member a score.
    pub(super) fn set(&mut self, name: &[u8], mut score: f64) {
        if let Some((place, _)) = self.locate(name) {
            self.by_score.remove(place);
        } else if name.len() > SMALL_BYTES_MAX || self.len() >= SMALL_MAX {
            self.put_in_order();
        }
        if let Some(by_member) = &mut self.by_member {
            match find(by_member, name) {
                Ok(place) => by_member.replace(place, &member_entry(name, score)),
                Err(place) => by_member.insert(place, &member_entry(name, score)),
            }
        }
        if self.by_member.is_none() && is_minus_zero(score) {
            score = 0.0;
        }
        let place = self.find(score, name).unwrap_or_else(|place| place);
        self.by_score.insert(place, &entry(score, name));
    }

    /// Removes a member, and returns whether it was there.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let place = self.locate(name).map(|(place, _)| place);
        if let Some(place) = place {
            self.remove_range(place..place + 1);
        }
        place.is_some()
    }

    /// Removes the members in a range of places.
    pub(super) fn remove_range(&mut self, places: Range<usize>) {
        if places.len() == self.len() {
            *self = Self::default();
            return;
        }
        if let Some(by_member) = &mut self.by_member {
            for piece in self.by_score.iter_from(places.start).take(places.len()) {
                let place = find(by_member, split(piece.as_bytes()).1);
                by_member.remove(place.expect("each member is in both orders"));
            }
        }
        self.by_score.remove_range(places);
    }

    /// Returns the place and the score of a member.
    fn locate(&self, name: &[u8]) -> Option<(usize, f64)> {
        if self.by_member.is_none() {
            return self.walk_to(name);
        }
        let score = self.score(name)?;
        let place = self.find(score, name).expect("each member is in both orders");
        Some((place, score))
    }

    /// Looks for a member from end to end.
    fn walk_to(&self, name: &[u8]) -> Option<(usize, f64)> {
        let mut members = self.by_score.iter().map(Member::by_score).enumerate();
        let found = members.find(|(_, member)| member.name() == name);
        found.map(|(place, member)| (place, member.score))
    }

    /// Returns the place of a member by its score, or where it is to be put.
    fn find(&self, score: f64, name: &[u8]) -> Result<usize, usize> {
        self.by_score.search(|entry| compare(split(entry), (score, name)))
    }

    /// Keeps the members by name too.
    fn put_in_order(&mut self) {
        if self.by_member.is_some() {
            return;
        }
        let mut by_member = Sequence::default();
        for member in self.by_score.iter().map(Member::by_score) {
            let place = find(&by_member, member.name()).unwrap_or_else(|place| place);
            by_member.insert(place, &member_entry(member.name(), member.score));
        }
        self.by_member = Some(by_member);
    }
}

/// Returns the order of two members, each with its score.
pub(in super::super) fn compare(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    // Not by their bits: minus zero is equal to zero.
    let by_score = a.0.partial_cmp(&b.0).expect("no score is NaN");
    by_score.then_with(|| a.1.cmp(b.1))
}

fn is_minus_zero(score: f64) -> bool {
    score == 0.0 && score.is_sign_negative()
}

fn entry(score: f64, name: &[u8]) -> Vec<u8> {
    [&score.to_bits().to_be_bytes(), name].concat()
}

fn member_entry(name: &[u8], score: f64) -> Vec<u8> {
    [&members::head(name)[..], name, &score.to_bits().to_be_bytes()].concat()
}

/// Returns score and member of an entry by score.
fn split(entry: &[u8]) -> (f64, &[u8]) {
    let (score, name) = entry.split_at(SCORE_BYTES);
    (score_in(score), name)
}

fn score_in(bytes: &[u8]) -> f64 {
    f64::from_be_bytes(bytes.try_into().expect("a score has eight bytes"))
}

/// Returns the place of a member by name, or where it is to be put.
fn find(by_member: &Sequence, name: &[u8]) -> Result<usize, usize> {
    let head = members::head(name);
    let name_of = |entry: &[u8]| -> Range<usize> { HEAD_BYTES..entry.len() - SCORE_BYTES };
    by_member.search(|entry| members::compare(entry, |entry| &entry[name_of(entry)], head, name))
}

impl Content for Zset {
    fn type_name(&self) -> &'static str {
        "zset"
    }

    fn type_tag(&self) -> u8 {
        Self::TAG
    }

    fn encoding(&self) -> &'static str {
        if self.by_member.is_some() { "skiplist" } else { "listpack" }
    }

    fn len(&self) -> usize {
        self.by_score.len()
    }

    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&[u8::from(self.by_member.is_some())])?;
        self.by_score.write_to(output)
    }
}

impl Kind for Zset {
    const TAG: u8 = 5;

    fn of(collection: &Collection) -> Option<&Self> {
        match collection {
            Collection::Zset(zset) => Some(zset),
            _ => None,
        }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        match collection {
            Collection::Zset(zset) => Some(zset),
            _ => None,
        }
    }

    fn into_collection(self) -> Collection {
        Collection::Zset(self)
    }

    fn read_from(input: &mut dyn Read) -> io::Result<Self> {
        let mut zset = match read_array(input)? {
            [0] => Self::default(),
            [1] => Self { by_member: Some(Sequence::default()), ..Self::default() },
            [other] => return Err(invalid(format!("{other} where a sorted set says its size"))),
        };
        let mut last = None;
        Sequence::read_from(input, |entry| {
            if entry.len() < SCORE_BYTES {
                return Err(invalid("a sorted set with a member that has no score"));
            }
            let (score, name) = split(entry);
            if score.is_nan() {
                return Err(invalid("a sorted set with a score that is no number"));
            }
            let is_behind = |last: &Vec<u8>| compare(split(last), (score, name)).is_lt();
            if !last.as_ref().is_none_or(is_behind) {
                return Err(invalid("a sorted set with members out of order"));
            }
            zset.take(score, name)?;
            last = Some(entry.to_vec());
            Ok(())
        })?;
        if zset.by_score.is_empty() {
            return Err(invalid("a sorted set without members"));
        }
        Ok(zset)
    }
}

impl Zset {
    /// Adds a member of a snapshot, which comes behind all others.
    fn take(&mut self, score: f64, name: &[u8]) -> io::Result<()> {
        let is_small = self.by_member.is_none();
        if is_small && (self.len() >= SMALL_MAX || name.len() > SMALL_BYTES_MAX) {
            return Err(invalid("a sorted set that is too large to be small"));
        }
        if is_small && is_minus_zero(score) {
            return Err(invalid("a small sorted set with a minus zero"));
        }
        if self.score(name).is_some() {
            return Err(invalid("a sorted set with a member twice"));
        }
        if let Some(by_member) = &mut self.by_member {
            let place = find(by_member, name).unwrap_or_else(|place| place);
            by_member.insert(place, &member_entry(name, score));
        }
        self.by_score.push(&entry(score, name));
        Ok(())
    }
}
