//! Places on the earth as cells of a grid: how a score tells a place, and how far two are apart.
//!
//! ```text
//! score = column 25 | row 25 | column 24 | … | column 0 | row 0      a bit each, the low one last
//! ```
//!
//! At step `n` the map, as far as the Mercator projection shows it, has 2ⁿ columns and 2ⁿ rows; a
//! place has the step 26. Cells of a step less are four of these each, and the places in a cell are
//! a range of scores. The numbers are those of Redis, to the last bit of a score.
//!
//! Sines are not computed by the C library: what they decide is kept by GEORADIUS STORE, and must
//! be the same wherever the log is applied. Sums, products and square roots are exact by IEEE 754;
//! replicas of a cluster run one program, so that `libm` is of one version.

use std::ops::Range;

/// The step of a place.
pub(super) const STEP_MAX: u32 = 26;
const LONGITUDE_MAX: f64 = 180.0;
const LATITUDE_MAX: f64 = 85.051_128_78;
/// The poles, which geohashes reach.
const POLE: f64 = 90.0;
/// The mean radius of the earth in meters.
pub(super) const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// A degree.
pub(super) const DEGREE: f64 = std::f64::consts::PI / 180.0;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A point, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    column: u32,
    row: u32,
    step: u32,
}

/// The edges of a cell, in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) west: f64,
    pub(super) south: f64,
    pub(super) east: f64,
    pub(super) north: f64,
}

impl Point {
    /// Returns the place that a score tells: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Self {
        let bits = bits_of(score);
        let cell = Cell { column: every_other(bits >> 1), row: every_other(bits), step: STEP_MAX };
        let Edges { west, south, east, north } = cell.edges();
        Self {
            longitude: f64::midpoint(west, east).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: f64::midpoint(south, north).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// Returns whether there is such a place on the map.
    pub(super) fn is_valid(self) -> bool {
        let is_within = |degrees: f64, max: f64| (-max..=max).contains(&degrees);
        is_within(self.longitude, LONGITUDE_MAX) && is_within(self.latitude, LATITUDE_MAX)
    }

    /// Returns the score that tells the place.
    pub(super) fn score(self) -> f64 {
        Cell::at(self, STEP_MAX).bits() as f64
    }

    /// Returns the distance in meters by the haversine formula.
    pub(super) fn distance(self, other: Self) -> f64 {
        let half = |from: f64, to: f64| libm::sin((to * DEGREE - from * DEGREE) / 2.0);
        let across = half(self.longitude, other.longitude);
        if across == 0.0 {
            return self.distance_along(other);
        }
        let along = half(self.latitude, other.latitude);
        let cosines = libm::cos(self.latitude * DEGREE) * libm::cos(other.latitude * DEGREE);
        // On the other side of the earth rounding might lead beyond it.
        let square = (along * along + cosines * across * across).min(1.0);
        2.0 * EARTH_RADIUS * libm::asin(square.sqrt())
    }

    /// Returns the distance of the parallels that the points lie on.
    pub(super) fn distance_along(self, other: Self) -> f64 {
        EARTH_RADIUS * (other.latitude * DEGREE - self.latitude * DEGREE).abs()
    }

    /// Returns the geohash that other programs know: five bits a letter, between the poles. Of the
    /// last letter there are only two of five bits, and Redis shows none.
    pub(super) fn geohash(self) -> Vec<u8> {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let column = index(self.longitude, LONGITUDE_MAX, STEP_MAX);
        let bits =
            Cell { column, row: index(self.latitude, POLE, STEP_MAX), step: STEP_MAX }.bits();
        let letter = |place: u32| LETTERS[(bits >> (52 - 5 * place)) as usize % LETTERS.len()];
        (1..=10).map(letter).chain([LETTERS[0]]).collect()
    }
}

impl Cell {
    /// Returns the cell around a point.
    pub(super) fn at(point: Point, step: u32) -> Self {
        let column = index(point.longitude, LONGITUDE_MAX, step);
        Self { column, row: index(point.latitude, LATITUDE_MAX, step), step }
    }

    /// Returns the cell so many to the east and north, around the earth.
    pub(super) fn neighbor(self, east: i32, north: i32) -> Self {
        let mask = (1 << self.step) - 1;
        let moved = |place: u32, by: i32| match by {
            0 => place,
            by => place.wrapping_add_signed(by) & mask,
        };
        Self { column: moved(self.column, east), row: moved(self.row, north), ..self }
    }

    /// Returns the edges.
    pub(super) fn edges(self) -> Edges {
        let edge = |place: u32, max: f64| {
            let part = f64::from(place) / (1u64 << self.step) as f64;
            -max + part * (max + max)
        };
        // The score of a stranger may tell any column, even the last that there are numbers for.
        Edges {
            west: edge(self.column, LONGITUDE_MAX),
            south: edge(self.row, LATITUDE_MAX),
            east: edge(self.column.wrapping_add(1), LONGITUDE_MAX),
            north: edge(self.row.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// Returns the scores of the places in it.
    pub(super) fn scores(self) -> Range<f64> {
        let below = 2 * (STEP_MAX - self.step);
        let score = |bits: u64| (bits << below) as f64;
        score(self.bits())..score(self.bits() + 1)
    }

    /// Returns the bits of column and row in turn.
    fn bits(self) -> u64 {
        spread(self.column) << 1 | spread(self.row)
    }
}

/// Returns the column or row of a place. One on the last edge is in a cell beyond all others.
fn index(degrees: f64, max: f64, step: u32) -> u32 {
    let part = (degrees - -max) / (max - -max);
    (part * (1u64 << step) as f64) as u32
}

/// Returns bits with a gap in front of each.
fn spread(bits: u32) -> u64 {
    SPREADS.iter().fold(u64::from(bits), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Returns every other bit, beginning with the lowest.
fn every_other(bits: u64) -> u32 {
    let close = |bits: u64, (shift, mask): &(u32, u64)| {
        // Each group was as far from its place as the step before has put it.
        (bits & mask) | (bits & mask) >> shift
    };
    let bits = SPREADS.iter().rev().fold(bits, close);
    bits as u32
}

/// By how much the upper half of each group of bits moves, and which bits are then in use.
const SPREADS: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

/// Returns a score as a number of 64 bits. One that is none, as no place has it, becomes what a
/// processor of Redis' makes of it.
fn bits_of(score: f64) -> u64 {
    let signed = |score: f64| {
        let is_signed = (-TWO_TO_63..TWO_TO_63).contains(&score);
        if is_signed { score as i64 } else { i64::MIN }
    };
    if score < TWO_TO_63 {
        signed(score) as u64
    } else {
        signed(score - TWO_TO_63) as u64 ^ 1 << 63
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_tells_the_place() {
        let palermo = Point { longitude: 13.361_389, latitude: 38.115_556 };
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        let found = Point::of_score(palermo.score());
        assert!(found.distance(palermo) < 1.0, "{found:?}");
        assert_eq!(found.geohash(), b"sqc8b49rny0");
        assert_eq!(every_other(spread(0x1234_abcd)), 0x1234_abcd);
        assert_eq!(every_other(spread(u32::MAX)), u32::MAX);
        assert_eq!(spread(u32::MAX), 0x5555_5555_5555_5555);
    }

    #[test]
    fn cells_go_around_the_earth() {
        let cell = Cell::at(Point { longitude: 179.0, latitude: 85.0 }, 3);
        assert_eq!((cell.column, cell.row), (7, 7));
        let moved = cell.neighbor(1, 1);
        assert_eq!((moved.column, moved.row), (0, 0));
        assert_eq!(moved.neighbor(-1, -1), cell);
    }
}
