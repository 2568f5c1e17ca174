//! The search for an order (Wing and Gong 1993; Lowe 2017), for one key.
//!
//! Depth first: of the operations that may come next, which are those called before any other
//! returned, take one, carry it out on the state, go on; at a dead end go back. Three things keep
//! that short:
//!
//! - A set of operations that is done, with the state it left, is searched once.
//! - A read that fits, and tells nothing new, is taken at once: it changes nothing, so no order
//!   needs it later. (That it also tells the time does no harm: what it read has not ended by its
//!   call, nor has what is written by operations that had not returned by then.)
//! - An operation of unknown outcome is tried last, and only where it matters: what follows it must
//!   not also follow without it, and not also before it. Every order can be brought into that form
//!   by leaving out or moving back such operations, so none is missed, and a hundred writes that
//!   timed out do not mean all the ways to order a hundred writes.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::demand::{Chain, Demands, Help};
use super::model::{Clock, Model, Moment, State};
use super::{Condition, Op, OpId, Reply};

/// When something happened: by the clock, and among equals in the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) time: u64,
    pub(crate) order: u64,
}

impl Event {
    const NEVER: Self = Self { time: u64::MAX, order: u64::MAX };
}

/// An operation to be ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) id: OpId,
    pub(crate) op: &'a Op,
    pub(crate) call: Event,
    /// Its return and reply; `None` if its outcome is unknown.
    pub(crate) done: Option<(Event, &'a Reply)>,
}

impl<'a> Item<'a> {
    pub(super) fn reply(&self) -> Option<&'a Reply> {
        self.done.map(|(_, reply)| reply)
    }
}

/// What the search found.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none. The order that came furthest, as places in the items, and what it left.
    Violation { longest: Vec<usize>, left: Option<Vec<u8>> },
    /// More steps would have been needed than allowed.
    Undecided,
}

/// Where nothing is: the end of the list, and the operation before the first.
const NONE: usize = usize::MAX;

/// Calls and returns in the order in which they happened, without those of operations that have
/// been taken.
struct Timeline {
    /// The place of the operation, whether it is its return, and when.
    events: Vec<(usize, bool, Event)>,
    /// Neighbours of each event; the last place stands for both ends.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The two events of each operation.
    ends: Vec<(usize, usize)>,
}

impl Timeline {
    fn new(items: &[Item<'_>]) -> Self {
        let mut events = Vec::with_capacity(items.len() * 2);
        for (place, item) in items.iter().enumerate() {
            if let Some((done, _)) = item.done {
                events.push((place, false, item.call));
                events.push((place, true, done));
            }
        }
        events.sort_unstable_by_key(|(_, _, event)| *event);
        let mut ends = vec![(NONE, NONE); items.len()];
        for (at, (place, is_return, _)) in events.iter().enumerate() {
            if *is_return { ends[*place].1 = at } else { ends[*place].0 = at }
        }
        let len = events.len();
        let next = (1..=len).chain([0]).collect();
        let previous = [len].into_iter().chain(0..len).collect();
        Self { events, next, previous, ends }
    }

    fn is_empty(&self) -> bool {
        self.next[self.events.len()] == self.events.len()
    }

    /// Returns the first return to come, and adds the operations that were called before it.
    fn candidates(&self, places: &mut Vec<usize>) -> Event {
        places.clear();
        let mut at = self.next[self.events.len()];
        while let Some((place, is_return, event)) = self.events.get(at) {
            if *is_return {
                return *event;
            }
            places.push(*place);
            at = self.next[at];
        }
        Event::NEVER
    }

    fn take(&mut self, place: usize) {
        let (call, done) = self.ends[place];
        for at in [call, done] {
            if at != NONE {
                self.next[self.previous[at]] = self.next[at];
                self.previous[self.next[at]] = self.previous[at];
            }
        }
    }

    /// Puts back what was taken last.
    fn put_back(&mut self, place: usize) {
        let (call, done) = self.ends[place];
        for at in [done, call] {
            if at != NONE {
                self.next[self.previous[at]] = at;
                self.previous[self.next[at]] = at;
            }
        }
    }
}

/// An operation of unknown outcome that was taken last: what it must matter for comes next.
#[derive(Clone, Copy)]
struct Guess {
    place: usize,
    /// What was there before it.
    state: State,
    moment: Moment,
}

/// A point of the search: some operations taken, and what they left.
struct Node {
    /// The operation that led here; `NONE` for the first.
    place: usize,
    state: State,
    moment: Moment,
    guess: Option<Guess>,
    /// Where its moves begin on the stack of moves.
    moves: usize,
    /// Whether those of unknown outcome are among its moves.
    has_guesses: bool,
}

/// The search for one key.
pub(crate) struct Search<'a> {
    items: &'a [Item<'a>],
    model: Model,
    timeline: Timeline,
    /// The operations of unknown outcome, in the order of their calls, and for each the one before
    /// it that is just the same: which is then to be taken first.
    unknown: Vec<(usize, Option<usize>)>,
    taken: Vec<bool>,
    /// Whether there is ever a deadline.
    is_timed: bool,
    demands: Demands<'a>,
    /// The operations that are taken, as a fingerprint.
    set: u128,
    nodes: Vec<Node>,
    moves: Vec<(usize, State)>,
    seen: HashSet<u128, BuildHasherDefault<Fingerprint>>,
    longest: Vec<usize>,
    left: State,
    steps: u64,
    /// Buffers, kept for their room.
    candidates: Vec<usize>,
    next: Vec<State>,
    without: Vec<State>,
    before: Vec<State>,
}

impl<'a> Search<'a> {
    /// Searches, and returns what was found and how many steps that took. The items are in the
    /// order of their calls; at the start the key has this value, for as long as need be.
    pub(crate) fn run(
        items: &'a [Item<'a>],
        start: Option<&[u8]>,
        clock: Clock,
        steps_max: u64,
    ) -> (Verdict, u64) {
        let is_timed = items.iter().any(is_timed);
        let mut search = Self {
            items,
            model: Model::new(clock),
            timeline: Timeline::new(items),
            unknown: unknown(items),
            taken: vec![false; items.len()],
            is_timed,
            demands: Demands::new(items, is_timed),
            set: 0,
            nodes: Vec::new(),
            moves: Vec::new(),
            seen: HashSet::default(),
            longest: Vec::new(),
            left: None,
            steps: 0,
            candidates: Vec::new(),
            next: Vec::new(),
            without: Vec::new(),
            before: Vec::new(),
        };
        let start = search.model.start(start);
        (search.search(start, steps_max), search.steps)
    }

    fn search(&mut self, start: State, steps_max: u64) -> Verdict {
        self.enter(NONE, start, Moment { now: 0, until: 0, version: 0 }, None);
        while let Some(node) = self.nodes.last_mut() {
            if self.timeline.is_empty() {
                return Verdict::Linearizable;
            }
            if self.steps > steps_max {
                return Verdict::Undecided;
            }
            if self.moves.len() > node.moves {
                let (place, state) = self.moves.pop().expect("there are more than before");
                self.take(place, state);
            } else if !node.has_guesses {
                node.has_guesses = true;
                self.add_guesses();
            } else {
                self.leave();
            }
        }
        let left = self.left.map(|life| self.model.value(life).to_vec());
        Verdict::Violation { longest: std::mem::take(&mut self.longest), left }
    }

    /// Takes an operation, unless what it leads to was searched before.
    fn take(&mut self, place: usize, state: State) {
        let item = &self.items[place];
        let node = self.nodes.last().expect("a move belongs to a node");
        let moment = node.moment.at(item, 0).after(item);
        let guess =
            item.done.is_none().then_some(Guess { place, state: node.state, moment: node.moment });
        let set = self.set ^ of_place(place);
        let free = mix_state(set, state);
        let bound = match guess {
            None => free,
            Some(guess) => mix_state(mix(free, guess.place as u64 + 1), guess.state),
        };
        // A node whose next move is free covers one whose next move is bound.
        if self.seen.contains(&free) || !self.seen.insert(bound) {
            return;
        }
        self.set = set;
        self.taken[place] = true;
        self.timeline.take(place);
        self.enter(place, state, moment, guess);
    }

    fn enter(&mut self, place: usize, state: State, moment: Moment, guess: Option<Guess>) {
        let moves = self.moves.len();
        self.nodes.push(Node { place, state, moment, guess, moves, has_guesses: false });
        let mut candidates = std::mem::take(&mut self.candidates);
        let until = self.timeline.candidates(&mut candidates);
        // The one called first is tried first, so it goes onto the stack last.
        for place in candidates.iter().rev() {
            if self.add_moves(*place, until) {
                break;
            }
        }
        self.candidates = candidates;
    }

    /// Goes back to before the operation that was taken last.
    fn leave(&mut self) {
        if self.nodes.len() > self.longest.len() + 1 {
            self.longest = self.nodes[1..].iter().map(|node| node.place).collect();
            self.left = self.nodes.last().expect("there is one").state;
        }
        let node = self.nodes.pop().expect("there is one");
        if node.place != NONE {
            self.timeline.put_back(node.place);
            self.taken[node.place] = false;
            self.set ^= of_place(node.place);
        }
    }

    /// Adds the operations of unknown outcome that may come next.
    fn add_guesses(&mut self) {
        let mut candidates = std::mem::take(&mut self.candidates);
        let until = self.timeline.candidates(&mut candidates);
        let first = self.moves.len();
        for at in 0..self.unknown.len() {
            let (place, same) = self.unknown[at];
            if self.items[place].call > until {
                break;
            }
            if !self.taken[place] && same.is_none_or(|same| self.taken[same]) {
                self.add_moves(place, until);
            }
        }
        let mut kept = first;
        for at in first..self.moves.len() {
            let (place, left) = self.moves[at];
            if !self.is_back(left) && self.may_help(place, left, &candidates, until) {
                self.moves[kept] = self.moves[at];
                kept += 1;
            }
        }
        self.moves.truncate(kept);
        self.candidates = candidates;
    }

    /// Returns whether a guess leads back to where a chain of guesses has been: then those between
    /// are better left out.
    fn is_back(&self, left: State) -> bool {
        let chain = self.nodes.iter().rev().map_while(|node| node.guess);
        chain.into_iter().any(|guess| guess.state == left)
    }

    /// Returns whether a guess may help one of the operations that could come next to fit.
    fn may_help(&mut self, place: usize, left: State, next: &[usize], until: Event) -> bool {
        let node = self.nodes.last().expect("there is one");
        let (state, moment) = (node.state, node.moment);
        let guessed = moment.at(&self.items[place], until.time).after(&self.items[place]);
        let guess = Guess { place, state, moment };
        let guesses = self.nodes.iter().rev().map_while(|node| node.guess);
        let chain = Chain::new(guesses.map(|guess| guess.state).chain([state]));
        let mut fitting = Vec::new();
        next.iter().any(|next| {
            self.steps += 1;
            let value = left.map(|life| self.model.value(life));
            match self.demands.help(value, chain, *next) {
                Help::Possible => true,
                Help::Impossible => false,
                Help::Ask => {
                    let item = &self.items[*next];
                    self.model.step(left, item, guessed.at(item, until.time), &mut fitting);
                    match &fitting[..] {
                        // Without a deadline, a value of any other kind fits no better.
                        [] => left.is_none() || self.is_timed || !is_about_version(item),
                        fitting => {
                            fitting.iter().any(|left| !self.is_idle(guess, *next, *left, until))
                        }
                    }
                }
            }
        })
    }

    /// Adds what an operation may lead to from the last node. Returns whether that is the only move
    /// that is needed.
    fn add_moves(&mut self, place: usize, until: Event) -> bool {
        let item = &self.items[place];
        let node = self.nodes.last().expect("there is one");
        let (state, guess, first) = (node.state, node.guess, node.moves);
        let moment = node.moment.at(item, until.time);
        self.steps += 1;
        let mut next = std::mem::take(&mut self.next);
        self.model.step(state, item, moment, &mut next);
        let mut is_enough = false;
        for left in &next {
            if guess.is_some_and(|guess| self.is_idle(guess, place, *left, until)) {
                continue;
            }
            if *left == state && is_read(item) {
                self.moves.truncate(first);
                is_enough = true;
            }
            self.moves.push((place, *left));
            if is_enough {
                break;
            }
        }
        if is_enough {
            self.nodes.last_mut().expect("there is one").has_guesses = true;
        }
        self.next = next;
        is_enough
    }

    /// Returns whether the guess does not matter for what follows it: the operation also leads
    /// there without it, or before it.
    fn is_idle(&mut self, guess: Guess, place: usize, left: State, until: Event) -> bool {
        let item = &self.items[place];
        let moment = guess.moment.at(item, until.time);
        self.steps += 1;
        let mut without = std::mem::take(&mut self.without);
        let mut before = std::mem::take(&mut self.before);
        self.model.step(guess.state, item, moment, &mut without);
        let mut is_idle = without.contains(&left);
        // Of two guesses one must be allowed to come first.
        if !is_idle && (item.done.is_some() || place < guess.place) {
            let guessed = &self.items[guess.place];
            let moment = moment.after(item).at(guessed, until.time);
            for state in &without {
                self.steps += 1;
                self.model.step(*state, guessed, moment, &mut before);
                is_idle |= before.contains(&left);
            }
        }
        self.without = without;
        self.before = before;
        is_idle
    }
}

/// Returns whether only its version can be what is wrong with a value that an operation does not
/// fit.
fn is_about_version(item: &Item<'_>) -> bool {
    !matches!(item.op.condition(), Condition::Value(_) | Condition::Absent)
}

/// Returns whether the operation left everything as it was, wherever it took effect.
fn is_read(item: &Item<'_>) -> bool {
    match item.reply() {
        Some(Reply::Found { .. }) => *item.op == Op::Get,
        Some(Reply::Refused(_) | Reply::Deleted(false) | Reply::NotANumber) => true,
        _ => false,
    }
}

/// Returns whether the operation sets a deadline.
fn is_timed(item: &Item<'_>) -> bool {
    matches!(item.op, Op::Set { ttl: Some(_), .. })
}

/// Returns the operations of unknown outcome, each with the last one before it that is the same.
fn unknown(items: &[Item<'_>]) -> Vec<(usize, Option<usize>)> {
    let mut unknown: Vec<(usize, Option<usize>)> = Vec::new();
    let mut last = std::collections::HashMap::new();
    for (place, item) in items.iter().enumerate() {
        if item.done.is_some() {
            continue;
        }
        // With a deadline the call matters too, so no two are the same.
        let same = if is_timed(item) { None } else { last.insert(item.op, place) };
        unknown.push((place, same));
    }
    unknown
}

/// Returns a word that has nothing to do with its neighbours' (splitmix64).
fn scatter(word: u64) -> u64 {
    let mut word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Returns the part of an operation in the fingerprint of a set. At 128 bits, two sets of the
/// billion that a search could ever see are mistaken for each other once in 10^20 searches.
fn of_place(place: usize) -> u128 {
    let place = place as u64;
    u128::from(scatter(place)) << 64 | u128::from(scatter(!place))
}

fn mix(fingerprint: u128, word: u64) -> u128 {
    let (high, low) = ((fingerprint >> 64) as u64, fingerprint as u64);
    let low = scatter(low ^ scatter(word));
    u128::from(scatter(high.wrapping_add(low) ^ word.rotate_left(32))) << 64 | u128::from(low)
}

fn mix_state(fingerprint: u128, state: State) -> u128 {
    let Some(life) = state else { return mix(fingerprint, 0) };
    let words = [
        u64::from(life.value) + 1,
        life.version.map_or(0, |version| version.wrapping_add(1)),
        life.gone_from,
        life.gone_by,
    ];
    words.into_iter().fold(fingerprint, mix)
}

/// Passes a fingerprint on as the hash that it is.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
