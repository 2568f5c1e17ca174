//! The area that is searched, and the cells that have it in them.
//!
//! The cell around the middle and its eight neighbors cover the area, at the finest step that does
//! so. Redis' estimate of that step decides what is found first, and near the poles what is found
//! at all: so this is its estimate.

use super::cell::{Cell, DEGREE, EARTH_RADIUS, Edges, Point, STEP_MAX};

/// Half the length of the equator in meters, as the Mercator projection has it.
const MERCATOR_MAX: f64 = 20_037_726.37;
/// From these latitudes on meridians are so close that a step less is needed, and another.
const NEAR_POLE: f64 = 66.0;
const NEARER_POLE: f64 = 80.0;

/// What lies around a point. Lengths are in units of so many meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) center: Point,
    pub(super) shape: Shape,
    pub(super) unit: f64,
}

/// The shape of an area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Area {
    /// Returns how far a point is from the middle, in meters, if it is within.
    pub(super) fn distance(&self, point: Point) -> Option<f64> {
        let center = self.center;
        match self.shape {
            Shape::Circle { radius } => {
                let distance = center.distance(point);
                (distance <= radius * self.unit).then_some(distance)
            }
            Shape::Box { width, height } => {
                if point.distance_along(center) > height * self.unit / 2.0 {
                    return None;
                }
                let middle = Point { latitude: point.latitude, ..center };
                let is_within = point.distance(middle) <= width * self.unit / 2.0;
                is_within.then(|| center.distance(point))
            }
        }
    }

    /// Returns the cells in which to search, in order.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let edges = self.edges();
        let mut step = self.step();
        let mut cell = Cell::at(self.center, step);
        if step > 1 && !has_around(cell, edges) {
            step -= 1;
            cell = Cell::at(self.center, step);
        }
        let own = cell.edges();
        // Where the middle cell alone goes far enough there is nothing to be found beyond it. At
        // the first step there is hardly a beyond.
        let is_needed = |(east, north): &(i32, i32)| match (east, north) {
            _ if step < 2 => true,
            (_, -1) if own.south < edges.south => false,
            (_, 1) if own.north > edges.north => false,
            (-1, _) if own.west < edges.west => false,
            (1, _) if own.east > edges.east => false,
            _ => true,
        };
        const AROUND: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let needed = AROUND.iter().filter(|place| is_needed(place));
        let mut cells: Vec<_> = needed.map(|(east, north)| cell.neighbor(*east, *north)).collect();
        // With two columns and rows there are four cells in all.
        cells.dedup();
        cells
    }

    /// Returns the edges of a box around the area.
    fn edges(&self) -> Edges {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Point { longitude, latitude } = self.center;
        let along = height * self.unit / EARTH_RADIUS / DEGREE;
        // Widest where it is nearest to the pole of its half of the earth, to Redis.
        let widest = if latitude < 0.0 { latitude - along } else { latitude + along };
        let across = width * self.unit / EARTH_RADIUS / libm::cos(widest * DEGREE) / DEGREE;
        Edges {
            west: longitude - across,
            south: latitude - along,
            east: longitude + across,
            north: latitude + along,
        }
    }

    /// Returns the step at which a cell is about as large as the area.
    fn step(&self) -> u32 {
        let radius = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                let (half_width, half_height) = (width / 2.0, height / 2.0);
                (half_width * half_width + half_height * half_height).sqrt()
            }
        };
        let mut length = radius * self.unit;
        if length == 0.0 {
            return STEP_MAX;
        }
        let mut doublings = 0;
        while length < MERCATOR_MAX {
            length *= 2.0;
            doublings += 1;
        }
        let latitude = self.center.latitude.abs();
        let polar = i32::from(latitude > NEAR_POLE) + i32::from(latitude > NEARER_POLE);
        (doublings - 1 - polar).clamp(1, STEP_MAX as i32) as u32
    }
}

/// Returns whether the neighbors of a cell reach to the edges of an area.
fn has_around(cell: Cell, edges: Edges) -> bool {
    let reaches_out = cell.neighbor(0, 1).edges().north < edges.north
        || cell.neighbor(0, -1).edges().south > edges.south
        || cell.neighbor(1, 0).edges().east < edges.east
        || cell.neighbor(-1, 0).edges().west > edges.west;
    !reaches_out
}
