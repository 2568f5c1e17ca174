//! What some sets have in common, have together, or one has and no other.
//!
//! Nothing is done for each member of a large set that can be done for each of a small one: a large
//! result begins as a clone of a set, which shares all its members.

use std::collections::BTreeSet;

use super::super::collection::Content;
use super::super::{Reader, Reply};
use super::value::{Member, Set};

/// Returns the sets at keys. Where there is nothing, there is no set.
pub(super) fn sets<'a>(reader: &Reader<'a>, keys: &[&[u8]]) -> Result<Vec<Option<&'a Set>>, Reply> {
    keys.iter().map(|key| reader.kind::<Set>(key)).collect()
}

/// Returns each set once: to name one a thousand times costs a client little.
fn distinct<'a>(sets: impl IntoIterator<Item = &'a Set>) -> Vec<&'a Set> {
    let mut seen = BTreeSet::new();
    sets.into_iter().filter(|set| seen.insert(std::ptr::from_ref(*set))).collect()
}

/// Returns the members that all sets have, in the order of the smallest.
pub(super) fn intersection<'a>(sets: Vec<Option<&'a Set>>) -> impl Iterator<Item = Member<'a>> {
    // If there is one that is not there, they have nothing in common.
    let sets: Option<Vec<_>> = sets.into_iter().collect();
    let mut sets = distinct(sets.unwrap_or_default());
    sets.sort_by_key(|set| set.len());
    let mut sets = sets.into_iter();
    let smallest = sets.next();
    smallest.into_iter().flat_map(|set| set.iter_from(0)).filter(move |member| {
        let name = member.name();
        sets.as_slice().iter().all(|set| set.contains(&name))
    })
}

/// Returns the members that at least one set has.
pub(super) fn union(sets: Vec<Option<&Set>>) -> Set {
    let mut sets = distinct(sets.into_iter().flatten());
    sets.sort_by_key(|set| set.len());
    let mut all = sets.pop().map(Set::anew).unwrap_or_default();
    for set in sets {
        all.extend(set.iter_from(0));
    }
    all
}

/// Returns the members that the first set has and no other.
///
/// Redis has two ways to come to them, by the sizes of the sets, and they can be told apart: it
/// either puts into an empty set what is left, or puts everything there and takes away. The second
/// leaves a table if there was any member that a set of integers cannot have.
pub(super) fn difference(sets: &[Option<&Set>]) -> Set {
    let Some((Some(first), others)) = sets.split_first() else { return Set::default() };
    let others: Vec<_> = others.iter().flatten().copied().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return Set::default();
    }
    let looking_up = first.len() * (others.len() + 1) / 2;
    let taking_away = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    let takes_away = looking_up > taking_away;
    let mut left = if takes_away { first.anew() } else { (*first).clone() };
    for other in distinct(others) {
        subtract(&mut left, other);
    }
    if takes_away { left } else { left.anew() }
}

fn subtract(left: &mut Set, other: &Set) {
    if other.len() <= left.len() {
        for member in other.iter_from(0) {
            left.remove(&member.name());
        }
        return;
    }
    for member in left.clone().iter_from(0) {
        let name = member.name();
        if other.contains(&name) {
            left.remove(&name);
        }
    }
}
