//! GEOSEARCH, GEORADIUS and their kin: places in an area, shown or kept.

use bytes::Bytes;

use super::super::collection::Content;
use super::super::command::{Args, at, from, upper};
use super::super::float::double;
use super::super::number::integer;
use super::super::reply::{Reply, SYNTAX};
use super::super::sequence::Sharer;
use super::super::zsets::{Zset, in_order, store};
use super::super::{Reader, Writer};
use super::area::{Area, Shape};
use super::cell::Point;
use super::{coordinates, distance_text, point, unit};

/// What the name of a command says of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A key, a point, a radius; the result may be kept if an option says so.
    Radius { may_store: bool },
    /// A key, a member, a radius.
    ByMember { may_store: bool },
    /// A key, all else as options.
    Search,
    /// A destination, a key, all else as options.
    SearchStore,
}

/// What is to be searched for, and what is to be told of it.
#[derive(Debug)]
struct Request<'a> {
    zset: Option<&'a Zset>,
    center: Option<Point>,
    shape: Option<(Shape, f64)>,
    /// Whether a member is the center, though there may be no key that has it.
    is_from_member: bool,
    order: Option<Order>,
    /// The most places to be found; zero is no limit.
    count: usize,
    /// Any will do, not only the nearest.
    is_any: bool,
    with_distance: bool,
    with_hash: bool,
    with_coordinates: bool,
    /// Keeps distances, not places.
    stores_distance: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    NearestFirst,
    FarthestFirst,
}

/// A place that was found.
#[derive(Debug)]
struct Found {
    name: Bytes,
    score: f64,
    point: Point,
    /// In meters.
    distance: f64,
}

/// A request, with the key that its result is to be kept under if it is.
type Parsed<'a, 'k> = (Request<'a>, Option<&'k [u8]>);

impl<'a> Request<'a> {
    /// Reads all arguments. What is wrong with them Redis finds after it has looked at the key.
    fn parse<'k>(
        reader: &Reader<'a>,
        args: &[&'k [u8]],
        form: Form,
    ) -> Result<Parsed<'a, 'k>, Reply> {
        let (mut destination, args) = match form {
            Form::SearchStore => (Some(at(args, 0)), from(args, 1)),
            _ => (None, args),
        };
        let mut request = Self::new(reader.kind(at(args, 0))?);
        let mut options = match form {
            Form::Radius { .. } => {
                request.center = Some(point(at(args, 1), at(args, 2))?);
                request.set_radius(at(args, 3), at(args, 4))?;
                from(args, 5)
            }
            Form::ByMember { .. } => {
                request.set_center_to(at(args, 1))?;
                if request.zset.is_some() {
                    request.set_radius(at(args, 2), at(args, 3))?;
                }
                from(args, 4)
            }
            Form::Search | Form::SearchStore => from(args, 1),
        };
        while let Some((name, rest)) = options.split_first() {
            let taken = match request.option(name, rest)? {
                Some(taken) => taken,
                None => request.option_of(form, name, rest, &mut destination)?,
            };
            options = &rest[taken..];
        }
        request.check(form, destination.is_some())?;
        Ok((request, destination))
    }

    fn new(zset: Option<&'a Zset>) -> Self {
        Self {
            zset,
            center: None,
            shape: None,
            is_from_member: false,
            order: None,
            count: 0,
            is_any: false,
            with_distance: false,
            with_hash: false,
            with_coordinates: false,
            stores_distance: false,
        }
    }

    /// Reads an option that all forms have, and returns how many arguments more it took.
    fn option(&mut self, name: &[u8], rest: &[&[u8]]) -> Result<Option<usize>, Reply> {
        match upper(name, &mut [0; 16]) {
            b"WITHDIST" => self.with_distance = true,
            b"WITHHASH" => self.with_hash = true,
            b"WITHCOORD" => self.with_coordinates = true,
            b"ANY" => self.is_any = true,
            b"ASC" => self.order = Some(Order::NearestFirst),
            b"DESC" => self.order = Some(Order::FarthestFirst),
            b"COUNT" if !rest.is_empty() => {
                let count = integer(rest[0])?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                self.count = count.ok_or(Reply::error("ERR COUNT must be > 0"))?;
                return Ok(Some(1));
            }
            _ => return Ok(None),
        }
        Ok(Some(0))
    }

    /// Reads an option that some forms have.
    fn option_of<'k>(
        &mut self,
        form: Form,
        name: &[u8],
        rest: &[&'k [u8]],
        destination: &mut Option<&'k [u8]>,
    ) -> Result<usize, Reply> {
        let mut buffer = [0; 16];
        let name = upper(name, &mut buffer);
        match form {
            Form::Radius { may_store: true } | Form::ByMember { may_store: true } => {
                let (b"STORE" | b"STOREDIST", [key, ..]) = (name, rest) else { return Err(SYNTAX) };
                *destination = Some(key);
                self.stores_distance = name == b"STOREDIST";
                Ok(1)
            }
            Form::Radius { .. } | Form::ByMember { .. } => Err(SYNTAX),
            Form::SearchStore if name == b"STOREDIST" => {
                self.stores_distance = true;
                Ok(0)
            }
            Form::Search | Form::SearchStore => self.option_of_search(name, rest),
        }
    }

    /// Reads where GEOSEARCH searches: from one thing and by one shape, though each may be told
    /// again.
    fn option_of_search(&mut self, name: &[u8], rest: &[&[u8]]) -> Result<usize, Reply> {
        let is_from_point = self.center.is_some() && !self.is_from_member;
        match (name, rest) {
            (b"FROMMEMBER", [member, ..]) if !is_from_point => {
                self.set_center_to(member)?;
                Ok(1)
            }
            (b"FROMLONLAT", [longitude, latitude, ..]) if !self.is_from_member => {
                self.center = Some(point(longitude, latitude)?);
                Ok(2)
            }
            (b"BYRADIUS", [radius, unit, ..])
                if !matches!(self.shape, Some((Shape::Box { .. }, _))) =>
            {
                self.set_radius(radius, unit)?;
                Ok(2)
            }
            (b"BYBOX", [width, height, unit, ..])
                if !matches!(self.shape, Some((Shape::Circle { .. }, _))) =>
            {
                self.set_box(width, height, unit)?;
                Ok(3)
            }
            _ => Err(SYNTAX),
        }
    }

    /// Searches around a member, which has to be there if the key is.
    fn set_center_to(&mut self, member: &[u8]) -> Result<(), Reply> {
        self.is_from_member = true;
        if let Some(zset) = self.zset {
            let error = Reply::error("ERR could not decode requested zset member");
            self.center = Some(Point::of_score(zset.score(member).ok_or(error)?));
        }
        Ok(())
    }

    fn set_radius(&mut self, radius: &[u8], unit_name: &[u8]) -> Result<(), Reply> {
        let radius = length(radius, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(Reply::error("ERR radius cannot be negative"));
        }
        self.shape = Some((Shape::Circle { radius }, unit(unit_name)?));
        Ok(())
    }

    fn set_box(&mut self, width: &[u8], height: &[u8], unit_name: &[u8]) -> Result<(), Reply> {
        let width = length(width, "ERR need numeric width")?;
        let height = length(height, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(Reply::error("ERR height or width cannot be negative"));
        }
        self.shape = Some((Shape::Box { width, height }, unit(unit_name)?));
        Ok(())
    }

    /// Refuses options that do not go together.
    fn check(&self, form: Form, is_kept: bool) -> Result<(), Reply> {
        let is_search = matches!(form, Form::Search | Form::SearchStore);
        let is_search_store = form == Form::SearchStore;
        if is_kept && (self.with_distance || self.with_hash || self.with_coordinates) {
            let what = if is_search_store { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(Reply::error(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let name = if is_search_store { "geosearchstore" } else { "geosearch" };
        if is_search && !self.is_from_member && self.center.is_none() {
            return Err(Reply::error(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if is_search && self.shape.is_none() {
            return Err(Reply::error(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.is_any && self.count == 0 {
            return Err(Reply::error("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Searches, and returns what is to be told, distances in the unit that was asked for.
    fn found(&self) -> Vec<Found> {
        let (Some(zset), Some(center), Some((shape, unit))) = (self.zset, self.center, self.shape)
        else {
            return Vec::new();
        };
        let area = Area { center, shape, unit };
        let enough = if self.is_any { self.count } else { usize::MAX };
        let mut found = search(zset, &area, enough);
        let nearest = (self.count > 0 && !self.is_any).then_some(Order::NearestFirst);
        match self.order.or(nearest) {
            Some(Order::NearestFirst) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(Order::FarthestFirst) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found.iter_mut().for_each(|found| found.distance /= unit);
        found
    }

    fn show(&self, found: Found) -> Reply {
        let name = Reply::Bulk(found.name);
        if !(self.with_distance || self.with_hash || self.with_coordinates) {
            return name;
        }
        let distance = self.with_distance.then(|| Reply::bulk(distance_text(found.distance)));
        let hash = self.with_hash.then_some(Reply::Integer(found.score as i64));
        let coordinates = self.with_coordinates.then(|| coordinates(found.point));
        let parts = [distance, hash, coordinates].into_iter().flatten();
        Reply::Array(std::iter::once(name).chain(parts).collect())
    }
}

fn length(text: &[u8], error: &'static str) -> Result<f64, Reply> {
    double::parse(text).ok_or(Reply::error(error))
}

/// Returns the places in an area, in the order of the cells and of the scores in them.
fn search(zset: &Zset, area: &Area, enough: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut sharer = Sharer::default();
    for cell in area.cells() {
        let scores = cell.scores();
        let start = zset.partition_point(|score, _| score < scores.start);
        let end = zset.partition_point(|score, _| score < scores.end);
        for member in zset.iter(start..end.max(start).min(zset.len())) {
            if found.len() >= enough {
                return found;
            }
            let score = member.score();
            let point = Point::of_score(score);
            if let Some(distance) = area.distance(point) {
                let name = member.share_name(&mut sharer);
                found.push(Found { name, score, point, distance });
            }
        }
    }
    found
}

fn show(reader: &Reader<'_>, args: &Args<'_>, form: Form) -> Result<Reply, Reply> {
    let (request, _) = Request::parse(reader, args.from(0), form)?;
    let found = request.found().into_iter();
    Ok(Reply::Array(found.map(|found| request.show(found)).collect()))
}

/// Shows places, or keeps them: each with its score, or with its distance for a score.
fn show_or_keep(writer: &mut Writer<'_>, args: &Args<'_>, form: Form) -> Result<Reply, Reply> {
    let reader = writer.reader();
    let (request, destination) = Request::parse(&reader, args.from(0), form)?;
    let found = request.found().into_iter();
    let Some(destination) = destination else {
        return Ok(Reply::Array(found.map(|found| request.show(found)).collect()));
    };
    let by_distance = request.stores_distance;
    let scored =
        |found: Found| (if by_distance { found.distance } else { found.score }, found.name);
    let zset = Zset::from_ordered(in_order(found.map(scored).collect()));
    Ok(store(writer, destination, zset))
}

pub(super) fn georadius(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show_or_keep(writer, args, Form::Radius { may_store: true })
}

pub(super) fn georadius_ro(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::Radius { may_store: false })
}

pub(super) fn georadiusbymember(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show_or_keep(writer, args, Form::ByMember { may_store: true })
}

pub(super) fn georadiusbymember_ro(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::ByMember { may_store: false })
}

pub(super) fn geosearch(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show(reader, args, Form::Search)
}

pub(super) fn geosearchstore(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    show_or_keep(writer, args, Form::SearchStore)
}
