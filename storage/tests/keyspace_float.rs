//! INCRBYFLOAT against a real redis-server: sums and their digits, to the last one.

mod keyspace_support;

use keyspace_support::redis::Pair;
use keyspace_support::{Random, seed};

/// Numbers, and what is nearly one, at the edges of what can be told apart.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "1",
    "10.5",
    "0.1",
    "5.0e3",
    "2.0e2",
    "1000.1",
    "0.2",
    "3",
    "1.1",
    "1e18",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551617",
    "36893488147419103233",
    "36893488147419103235",
    "0.5",
    "0.000000000000000005",
    "0.000000000000000015",
    "0.0000000000000000049999",
    "1e-17",
    "5e-18",
    "4.9e-18",
    "1e-4931",
    "3.6e-4951",
    "1.8e-4951",
    "1e-4952",
    "1e-5000",
    "1e4932",
    "1.18973149535723176502e4932",
    "1.2e4932",
    "1e4933",
    "-1e4932",
    "0x10",
    "0X1.8p1",
    "0x.8",
    "0x",
    "0x1p-16445",
    "0x1p-16446",
    "0x1p16383",
    "0x1p16384",
    "1e",
    "1e+",
    "e1",
    ".",
    ".5",
    "5.",
    "-.5",
    "+.5",
    "--1",
    " 1",
    "1 ",
    "inf",
    "-INF",
    "infinity",
    "infinit",
    "nan",
    "-nan",
    "nan(1)",
    "",
    "1_0",
    "0e999999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "0x0p99999999",
    "99999999999999999999",
    "123456789.123456789123456789",
    "0.30000000000000004",
    "-1",
    "-10.6",
    "1,5",
    "٣",
];

/// Decimal texts of all sizes.
fn decimal(random: &mut Random) -> String {
    let mut text = String::from(random.pick(&["", "-", "+"]));
    let mut digits = |random: &mut Random, most: usize| {
        for _ in 0..random.below(most + 1) {
            text.push(char::from(b'0' + random.below(10) as u8));
        }
    };
    digits(random, 12);
    if random.below(3) > 0 {
        text.push('.');
        let mut digits = |most: usize| {
            for _ in 0..random.below(most + 1) {
                text.push(char::from(b'0' + random.below(10) as u8));
            }
        };
        digits(20);
    }
    match random.below(8) {
        0 => text + &format!("e{}", random.below(40) as i64 - 20),
        1 => text + &format!("E{:+}", random.below(10_000) as i64 - 5_000),
        _ => text,
    }
}

#[test]
fn sums_of_random_numbers_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    for _ in 0..10_000 {
        if random.below(3) == 0 {
            pair.check(&["SET".into(), "k".into(), decimal(&mut random).into_bytes()]);
        }
        pair.check(&["INCRBYFLOAT".into(), "k".into(), decimal(&mut random).into_bytes()]);
    }
}

#[test]
fn sums_of_special_numbers_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else { return };
    for a in NUMBERS {
        for b in NUMBERS {
            pair.check(&["SET".into(), "k".into(), (*a).into()]);
            pair.check(&["INCRBYFLOAT".into(), "k".into(), (*b).into()]);
        }
    }
    for length in [100, 5_000, 5_119, 5_120, 6_000] {
        for text in [
            "1".repeat(length),
            format!("0.{}1", "0".repeat(length - 3)),
            format!("1{}e-{length}", "0".repeat(length - 8)),
        ] {
            pair.check(&["SET".into(), "k".into(), text.clone().into_bytes()]);
            pair.check(&["INCRBYFLOAT".into(), "k".into(), "1.5".into()]);
        }
    }
}

/// What is nearly a number, of all kinds that `strtold` knows.
#[test]
fn texts_that_may_be_numbers_are_those_of_redis() {
    let Some(mut pair) = Pair::start() else { return };
    let mut random = Random(seed());
    let parts = [
        "0", "1", "9", "0x", "a", "F", ".", "e", "E5", "p", "P-3", "+", "-", "inf", "nan", " ",
        "_", "\0",
    ];
    for _ in 0..20_000 {
        let text: String = (0..=random.below(6)).map(|_| random.pick(&parts)).collect();
        pair.check(&["SET".into(), "k".into(), "0".into()]);
        pair.check(&["INCRBYFLOAT".into(), "k".into(), text.into()]);
    }
}
