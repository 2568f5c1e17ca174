//! Places on the earth: sorted sets whose scores tell where each member is.
//!
//! Here are the rows and what asks for single places; [`cell`] has what a score tells, [`area`] and
//! [`search`] find what is near.

mod area;
mod cell;
mod search;

use super::command::{Args, Flags as F, KeySpec, Spec, at, from, upper};
use super::float::double;
use super::keys::{Begin, Find};
use super::reply::{NOT_A_FLOAT, SYNTAX};
use super::zsets::{Addition, Conditions, Zset};
use super::{Reader, Reply, Writer};
use cell::Point;
use search::{
    georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore,
};

/// The commands of places.
pub(super) const ROWS: &[Spec] = &[
    Spec::write(376, "geoadd", -5, geoadd)
        .with(&[F::DENYOOM, F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "3.2.0")
        .validated_by(|args| places(args).map(drop)),
    Spec::read(377, "geodist", -4, geodist)
        .with(&[F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "3.2.0"),
    Spec::read(378, "geohash", -2, geohash)
        .with(&[F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "3.2.0"),
    Spec::read(379, "geopos", -2, geopos).with(&[F::CAT_GEO]).keys_at(1, 1, 1).doc("geo", "3.2.0"),
    Spec::write(380, "georadius", -6, georadius)
        .with(&[F::DENYOOM, F::MOVABLEKEYS, F::CAT_GEO])
        .keys_at(1, 1, 1)
        .key_flags(&["RO access"])
        .more_keys(&[kept_at("STORE", 6), kept_at("STOREDIST", 6)])
        .doc("geo", "3.2.0"),
    Spec::read(381, "georadius_ro", -6, georadius_ro)
        .with(&[F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "3.2.10"),
    Spec::write(382, "georadiusbymember", -5, georadiusbymember)
        .with(&[F::DENYOOM, F::MOVABLEKEYS, F::CAT_GEO])
        .keys_at(1, 1, 1)
        .key_flags(&["RO access"])
        .more_keys(&[kept_at("STORE", 5), kept_at("STOREDIST", 5)])
        .doc("geo", "3.2.0"),
    Spec::read(383, "georadiusbymember_ro", -5, georadiusbymember_ro)
        .with(&[F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "3.2.10"),
    Spec::read(384, "geosearch", -7, geosearch)
        .with(&[F::CAT_GEO])
        .keys_at(1, 1, 1)
        .doc("geo", "6.2.0"),
    Spec::write(385, "geosearchstore", -8, geosearchstore)
        .with(&[F::DENYOOM, F::CAT_GEO])
        .keys_at(1, 2, 1)
        .key_flags(&["OW update", "RO access"])
        .doc("geo", "6.2.0"),
];

/// The key behind a word, which is written over.
const fn kept_at(word: &'static str, from: i16) -> KeySpec {
    let find = Find::Range { last: 0, limit: 0 };
    KeySpec { begin: Begin::Keyword(word, from), find, flags: "OW update", notes: "" }
}

/// Reads the arguments of GEOADD: those of ZADD, with two coordinates for a score.
fn places<'a>(args: &[&'a [u8]]) -> Result<Addition<'a>, Reply> {
    let mut conditions = Conditions::default();
    let mut counts_changed = false;
    let mut place = 1;
    loop {
        match upper(at(args, place), &mut [0; 16]) {
            b"NX" => conditions.is_new = true,
            b"XX" => conditions.is_old = true,
            b"CH" => counts_changed = true,
            _ => break,
        }
        place += 1;
    }
    let (places, []) = from(args, place).as_chunks::<3>() else { return Err(SYNTAX) };
    if places.is_empty() || conditions.is_new && conditions.is_old {
        return Err(SYNTAX);
    }
    let member = |[longitude, latitude, name]: &[&'a [u8]; 3]| {
        point(longitude, latitude).map(|point| (point.score(), *name))
    };
    let members = places.iter().map(member).collect::<Result<_, _>>()?;
    Ok(Addition { conditions, counts_changed, members, ..Addition::default() })
}

fn geoadd(writer: &mut Writer<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    places(args.from(0))?.apply(writer, args.at(0))
}

/// Reads coordinates.
fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, Reply> {
    let degrees = |text| double::parse(text).ok_or(NOT_A_FLOAT);
    let point = Point { longitude: degrees(longitude)?, latitude: degrees(latitude)? };
    if !point.is_valid() {
        let Point { longitude, latitude } = point;
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        return Err(Reply::error(text));
    }
    Ok(point)
}

/// Returns how many meters a unit has.
fn unit(name: &[u8]) -> Result<f64, Reply> {
    match upper(name, &mut [0; 16]) {
        b"M" => Ok(1.0),
        b"KM" => Ok(1000.0),
        b"FT" => Ok(0.3048),
        b"MI" => Ok(1609.34),
        _ => Err(Reply::error("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// Returns a distance as Redis shows it, to a tenth of a thousandth.
fn distance_text(distance: f64) -> String {
    format!("{distance:.4}")
}

/// Returns a place as Redis shows it.
fn coordinates(point: Point) -> Reply {
    Reply::Array(vec![Reply::Decimal(point.longitude), Reply::Decimal(point.latitude)])
}

fn geodist(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    let unit = match args.from(3) {
        [] => 1.0,
        [name] => unit(name)?,
        _ => return Err(SYNTAX),
    };
    let zset = reader.kind::<Zset>(args.at(0))?;
    let place = |name| zset.and_then(|zset| zset.score(name)).map(Point::of_score);
    Ok(match place(args.at(1)).zip(place(args.at(2))) {
        Some((one, other)) => Reply::bulk(distance_text(one.distance(other) / unit)),
        None => Reply::Null,
    })
}

fn geohash(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    each_place(reader, args, Reply::Null, |point| Reply::bulk(point.geohash()))
}

fn geopos(reader: &Reader<'_>, args: &Args<'_>) -> Result<Reply, Reply> {
    each_place(reader, args, Reply::NullArray, coordinates)
}

/// Shows some members each in a way, and those that are not there in another.
fn each_place(
    reader: &Reader<'_>,
    args: &Args<'_>,
    missing: Reply,
    show: fn(Point) -> Reply,
) -> Result<Reply, Reply> {
    let zset = reader.kind::<Zset>(args.at(0))?;
    let shown = |name: &&[u8]| match zset.and_then(|zset| zset.score(name)) {
        Some(score) => show(Point::of_score(score)),
        None => missing.clone(),
    };
    Ok(Reply::Array(args.from(1).iter().map(shown).collect()))
}
