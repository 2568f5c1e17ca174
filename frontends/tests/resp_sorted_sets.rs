//! The shapes of what sorted sets answer, in both protocols, byte for byte as a redis-server's.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "../../storage/tests/keyspace_support/mod.rs"]
mod keyspace_support;

use keyspace_support::redis::Redis;
use support::{Memory, talk, words};

const CALLS: &str = "FLUSHALL|ZADD z 1 a 2.5 b inf c -0 d 1e17 e 3 f 4 g|ZRANGE z 0 -1|\
    ZRANGE z 0 -1 WITHSCORES|ZRANGE x 0 -1 WITHSCORES|ZREVRANGEBYSCORE z 3 1 WITHSCORES|\
    ZADD z INCR 0.1 a|ZADD z NX INCR 1 a|ZADD z CH 7 a|ZINCRBY z 1 q|ZSCORE z a|ZSCORE z x|\
    ZMSCORE z a x c|ZRANK z a|ZRANK z x|ZUNION 1 z WITHSCORES|ZINTER 1 z|ZDIFF 1 z WITHSCORES|\
    ZADD one 1 a|ZRANDMEMBER one 5 WITHSCORES|ZRANDMEMBER x|ZRANDMEMBER x 1|ZPOPMIN z|\
    ZPOPMAX z 1|ZPOPMIN z 0|\
    MULTI|BZPOPMIN x 0.01|EXEC|ZPOPMIN x|ZPOPMAX x 2|\
    ZMPOP 1 z MIN COUNT 2|ZMPOP 1 x MIN|BZPOPMAX x z 1|\
    BZMPOP 1 1 z MAX|\
    ZSCAN z 0|ZSCAN x 0|\
    GEOADD p 13.361389 38.115556 Palermo 15.087269 37.502669 Catania|GEOPOS p Palermo x|\
    GEODIST p Palermo Catania|GEODIST p Palermo x|GEOHASH p Palermo x|\
    GEOSEARCH p FROMMEMBER Palermo BYRADIUS 200 km ASC|\
    GEOSEARCH p FROMMEMBER Palermo BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH|\
    GEORADIUS p 15 37 200 km WITHDIST ASC|GEORADIUS x 15 37 200 km|QUIT";

#[tokio::test]
async fn sorted_sets_answer_byte_for_byte() {
    for protocol in ["2", "3"] {
        let Some(redis) = Redis::start() else { return };
        let calls = format!("HELLO {protocol}|ECHO begin|{CALLS}");
        let input = calls.split('|').map(words).collect::<Vec<_>>().concat();
        let shown = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.split_once("begin\r\n").unwrap().1.to_owned()
        };
        let theirs = shown(redis.converse(&input));
        let ours = shown(talk(&Memory::new(), &input).await);
        assert_eq!(ours, theirs);
    }
}
