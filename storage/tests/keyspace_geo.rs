//! Places on the earth: what the rows promise, line by line, and the same commands to a real
//! redis-server.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Db, Random, seed, split};
use raftkv_storage::keyspace::Reply;
use raftkv_storage::keyspace::reply::decimal_text;
use std::collections::BTreeMap;

#[test]
fn places_are_members_with_scores() {
    Db::new().script(
        r#"
        GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania -> 2
        GEOADD g NX 0 0 Palermo 0 0 null -> 1
        GEOADD g XX CH 0.1 0 null 0 0 nosuch -> 1
        ZSCORE g Palermo -> 3479099956230698
        ZREM g null -> 1
        GEODIST g Palermo Catania -> "166274.1516"
        GEODIST g Palermo Catania km -> "166.2742"
        GEODIST g Palermo Catania MI -> "103.3182"
        GEODIST g Palermo nosuch -> null
        GEODIST g Palermo Catania x -> ERR unsupported unit provided. please use M, KM, FT, MI
        GEOHASH g Palermo nosuch Catania -> ["sqc8b49rny0" null "sqdtr74hyu0"]
        GEOPOS nosuch Palermo -> [null array]
        SET s v -> OK
        GEOPOS s a -> WRONGTYPE Operation against a key holding the wrong kind of value
        GEOADD s 1 1 -> ERR wrong number of arguments for 'geoadd' command
        GEOADD s 181 1 a -> ERR invalid longitude,latitude pair 181.000000,1.000000
        "#,
    );
}

#[test]
fn coordinates_are_shown_to_the_seventeenth_digit() {
    let mut db = Db::new();
    db.run("GEOADD g 13.361389 38.115556 Palermo");
    let Reply::Array(places) = db.call(&[b"GEOPOS", b"g", b"Palermo"]) else { panic!("an array") };
    let [Reply::Array(place)] = &places[..] else { panic!("one place") };
    let [Reply::Decimal(longitude), Reply::Decimal(latitude)] = place[..] else { panic!("two") };
    assert_eq!(decimal_text(longitude), "13.36138933897018433");
    assert_eq!(decimal_text(latitude), "38.11555639549629859");
    assert_eq!(decimal_text(-0.0), "0");
    assert_eq!(decimal_text(-1.5), "-1.5");
}

#[test]
fn what_is_near_is_found() {
    Db::new().script(
        r#"
        GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania -> 2
        GEOADD g 12.758489 38.788135 edge1 17.241510 38.788135 edge2 -> 2
        GEORADIUS g 15 37 200 km WITHDIST -> [["Palermo" "190.4424"] ["Catania" "56.4413"]]
        GEORADIUS_RO g 15 37 200 km COUNT 1 -> ["Catania"]
        GEORADIUS_RO g 15 37 200 km STORE x -> ERR syntax error
        GEORADIUSBYMEMBER g Catania 200 km ASC -> ["Catania" "Palermo"]
        GEORADIUSBYMEMBER g nosuch 200 km -> ERR could not decode requested zset member
        GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC -> ["Catania" "Palermo" "edge2" "edge1"]
        GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m WITHHASH -> [["Palermo" 3479099956230698]]
        GEOSEARCH g FROMLONLAT 15 37 -> ERR wrong number of arguments for 'geosearch' command
        GEOSEARCH g BYRADIUS 1 m ASC DESC ASC -> ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch
        GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST -> 2
        ZRANGE d 0 -1 -> ["Catania" "Palermo"]
        GEORADIUS g 15 37 200 km STORE d -> 2
        GEODIST d Palermo Catania -> "166274.1516"
        GEORADIUS nosuch 15 37 200 km STORE d -> 0
        EXISTS d -> 0
        "#,
    );
}

/// Members that are at the same place would come in an order that Redis leaves open: there are
/// none. In one error Redis repeats the name of the command as it was typed; ours are in small
/// letters.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const SHAPES: &[&str] = &[
    "GEOADD k p m",
    "GEOADD k p m p m p m p m p m p m p m",
    "GEOADD k o p m p m",
    "GEOADD k o o p m",
    "GEOADD k many",
    "GEOADD k p",
    "GEOADD k 180 85.05112878 m1001",
    "GEOADD k -180 -85.05112878 m1002",
    "GEOADD k 0 0 m1003",
    "GEODIST k m m",
    "GEODIST k m m u",
    "GEODIST k m m u u",
    "GEOHASH k m m m",
    "GEOHASH k",
    "GEOPOS k m m m",
    "GEORADIUS k p r",
    "GEORADIUS k p r opt",
    "GEORADIUS k p r opt opt opt",
    "GEORADIUS k p r opt opt STORE k",
    "GEORADIUS k p r STORE k STOREDIST dist opt",
    "GEORADIUS k 180 85.05112878 r ASC",
    "GEORADIUS k 0 0 r",
    "GEORADIUS_RO k p r",
    "GEORADIUS_RO k p r opt opt",
    "GEORADIUSBYMEMBER k m r",
    "GEORADIUSBYMEMBER k m r opt opt",
    "GEORADIUSBYMEMBER k m r opt STOREDIST dist",
    "GEORADIUSBYMEMBER_RO k m r opt",
    "geosearch k FROMMEMBER m BYRADIUS r",
    "geosearch k FROMMEMBER m BYBOX n r opt",
    "geosearch k FROMLONLAT p BYRADIUS r opt opt",
    "geosearch k FROMLONLAT p BYBOX n r opt opt opt",
    "geosearch k BYBOX n r FROMLONLAT p ASC",
    "geosearch k from by opt",
    "geosearch k from from by",
    "geosearch k from by by",
    "geosearch k opt opt opt opt opt opt",
    "geosearchstore k k from by",
    "geosearchstore k k from by opt",
    "geosearchstore dist k from by STOREDIST opt",
    "geosearchstore k k by from opt opt",
    "ZADD k north m1001",
    "ZADD k south m1002",
    "ZADD k 1.5 m1004",
    "ZADD k 4503599627370495 m1005",
    "ZRANGE k 0 -1",
    "ZREM k m m m",
    "SET k v",
    "DEL k",
    "TYPE k",
    "OBJECT ENCODING k",
];

/// A point: often one of a town's, else near the edges of the map, or anywhere.
fn any_point(random: &mut Random) -> [String; 2] {
    let mut degrees = |from: f64, to: f64| {
        let part = random.below(1_000_000_000) as f64 / 1e9;
        format!("{:.7}", from + part * (to - from))
    };
    let pair = match degrees(0.0, 9.99).as_bytes()[0] {
        b'0'..=b'3' => [degrees(13.0, 13.5), degrees(38.0, 38.4)],
        b'4' => [degrees(-180.0, 180.0), degrees(80.0, 85.05)],
        b'5' => [degrees(-180.0, 180.0), degrees(-85.05, -66.0)],
        b'6' => [degrees(179.9, 180.0), degrees(-1.0, 1.0)],
        b'7' => [degrees(-180.0, -179.9), degrees(-1.0, 1.0)],
        _ => [degrees(-180.0, 180.0), degrees(-85.05, 85.05)],
    };
    match random.below(60) {
        3 => ["x".to_owned(), pair[1].clone()],
        4 => [pair[0].clone(), "85.06".to_owned()],
        5 => ["inf".to_owned(), pair[1].clone()],
        _ => pair,
    }
}

fn any_length(random: &mut Random) -> String {
    let part = random.below(1_000_000) as f64 / 1e5;
    match random.below(40) {
        0 => random.pick(&["x", "-1", "", "nan", "inf", "1e300", "0"]).to_owned(),
        1..10 => format!("{:.3}", part * 10_000.0),
        10..20 => format!("{:.3}", part * 500.0),
        20..30 => format!("{part:.3}"),
        _ => format!("{:.3}", part * 10.0),
    }
}

fn fill(shape: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let mut args: Vec<String> = Vec::new();
    for word in shape.split(' ') {
        any_word(word, random, &mut args);
    }
    args.into_iter().map(String::into_bytes).collect()
}

fn any_word(word: &str, random: &mut Random, args: &mut Vec<String>) {
    let member = |random: &mut Random| format!("m{}", random.below(40));
    let unit = |random: &mut Random| {
        let units = ["m", "km", "ft", "mi", "KM", "M", "km", "km", "km", "m", "mi", "x"];
        random.pick(&units).to_owned()
    };
    match word {
        "k" => args.push(random.pick(&KEYS).into()),
        "m" => args.push(member(random)),
        "p" => args.extend(any_point(random)),
        "n" => args.push(any_length(random)),
        "u" => args.push(unit(random)),
        "r" => args.extend([any_length(random), unit(random)]),
        "o" => args.push(random.pick(&["NX", "XX", "CH", "ch"]).into()),
        // Scores that no place has, but that are taken for one at a corner of the map.
        "north" => args.push(random.pick(&["-1", "1e19"]).into()),
        "south" => args.push(random.pick(&["0", "inf", "1e300", "-inf"]).into()),
        "many" => {
            for _ in 0..=random.below(140) {
                args.extend(any_point(random));
                args.push(format!("m{}", random.below(400)));
            }
        }
        "from" if random.below(2) == 0 => args.extend(["FROMMEMBER".to_owned(), member(random)]),
        "from" => {
            args.push("FROMLONLAT".to_owned());
            args.extend(any_point(random));
        }
        "by" if random.below(2) == 0 => {
            args.extend(["BYRADIUS".to_owned(), any_length(random), unit(random)]);
        }
        "by" => args.extend(["byBox".into(), any_length(random), any_length(random), unit(random)]),
        "opt" => match random.below(12) {
            0 | 1 => args.push("WITHDIST".into()),
            2 => args.push("WITHHASH".into()),
            3 => args.push("WITHCOORD".into()),
            4 | 5 => args.push("ASC".into()),
            6 => args.push("desc".into()),
            7 | 8 => args
                .extend(["COUNT".into(), random.pick(&["1", "3", "10", "200", "0", "x"]).into()]),
            9 => args.extend(["COUNT".into(), random.pick(&["1", "2", "5"]).into(), "ANY".into()]),
            10 => args.push("ANY".into()),
            _ => args.push("nonsense".into()),
        },
        other => args.push(other.to_owned()),
    }
}

#[test]
fn random_commands_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut random = Random(seed());
    for round in 0..rounds.unwrap_or(20_000) {
        pair.check(&fill(random.pick(SHAPES), &mut random));
        check_distances(&mut pair);
        if round % 500 == 0 {
            pair.check_content(&KEYS);
        }
    }
}

/// Compares distances that were kept, but for their last digits, which come from another sine, and
/// removes them.
fn check_distances(pair: &mut Pair) {
    let command = split("ZRANGE dist 0 -1 WITHSCORES");
    let ours = pair.db.run("ZRANGE dist 0 -1 WITHSCORES");
    let (ours, theirs) = (ours.replace("] [", " "), pair.redis.call(&command));
    let words = |reply: &str| -> Vec<_> {
        reply.replace(['[', ']', '"'], "").split(' ').map(str::to_owned).collect()
    };
    let distances = |reply: &str| -> BTreeMap<_, f64> {
        let words = words(reply);
        let pairs = words.chunks_exact(2);
        pairs.map(|pair| (pair[0].clone(), pair[1].parse().expect("a distance"))).collect()
    };
    let (ours, theirs) = (distances(&ours), distances(&theirs));
    let is_same = |(ours, theirs): ((&String, &f64), (&String, &f64))| {
        ours.0 == theirs.0 && (ours.1 - theirs.1).abs() <= 1e-9 * theirs.1.max(1.0)
    };
    let is_equal = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(is_same);
    assert!(is_equal, "{ours:?}\n{theirs:?}");
    pair.check_line("DEL dist");
}
