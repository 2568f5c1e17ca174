//! Patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a]`, `\` before a byte that
//! means itself.
//!
//! A mismatch goes back to the last star alone, so the work is at most the product of both lengths,
//! and without recursion. That product can still be large: steps are counted, and a match that
//! takes too many is none.

/// How many steps one match may take. Patterns made by people take a few for each byte.
pub(super) const STEPS_MAX: u64 = 1 << 18;

/// Returns whether the pattern matches the whole name, whatever the case of their letters.
#[must_use]
pub fn matches_name(pattern: &[u8], name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    matches(&pattern, name.as_bytes(), &mut STEPS_MAX.clone())
}

/// Returns whether the pattern matches the whole text; subtracts the work from `steps`, and gives
/// up when none are left.
pub(super) fn matches(pattern: &[u8], text: &[u8], steps: &mut u64) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last star, which then takes one byte more of the
    // text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        let (length, is_match) = one(&pattern[p..], text[t]);
        // A class costs as much as it is long.
        let Some(left) = steps.checked_sub(length.max(1) as u64) else {
            *steps = 0;
            return false;
        };
        *steps = left;
        if is_match {
            p += length;
            t += 1;
        } else if let Some((star, taken)) = retry {
            p = star;
            t = taken + 1;
            retry = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte with the head of a pattern that is no star; returns how long that head is.
fn one(pattern: &[u8], byte: u8) -> (usize, bool) {
    match pattern {
        [] => (0, false),
        [b'?', ..] => (1, true),
        [b'[', class @ ..] => {
            let (length, is_match) = class_of(class, byte);
            (length + 1, is_match)
        }
        [b'\\', escaped, ..] => (2, *escaped == byte),
        [literal, ..] => (1, *literal == byte),
    }
}

/// Matches a byte with a class, its opening bracket not included. Without a closing one it goes to
/// the end.
fn class_of(class: &[u8], byte: u8) -> (usize, bool) {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut is_in = false;
    loop {
        at += match &class[at..] {
            [] => break,
            [b'\\', escaped, ..] => {
                is_in |= *escaped == byte;
                2
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [low, b'-', high, ..] => {
                is_in |= (*low.min(high)..=*low.max(high)).contains(&byte);
                3
            }
            [literal, ..] => {
                is_in |= *literal == byte;
                1
            }
        };
    }
    (at, is_in != is_negated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), &mut STEPS_MAX.clone())
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything"),
            ("", ""),
            ("h?llo", "hello"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("a\\*b", "a*b"),
            ("[\\]]", "]"),
            ("[abc", "c"),
            ("a**b*", "axxb"),
            ("*a*b*c", "aabbabcc"),
            ("\\", "\\"),
            ("[^]x", "ax"),
        ] {
            assert!(is_match(pattern, text), "{pattern} matches {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("a\\*b", "axb"),
            ("*a*b*c", "aabbabccd"),
            ("?", ""),
            ("[]", "a"),
        ] {
            assert!(!is_match(pattern, text), "{pattern} does not match {text}");
        }
    }

    #[test]
    fn work_is_bounded() {
        let text = "a".repeat(64 << 10);
        let mut steps = STEPS_MAX;
        assert!(!matches(
            &[b"*a".repeat(30_000), b"b".to_vec()].concat(),
            text.as_bytes(),
            &mut steps
        ));
        let mut steps = STEPS_MAX;
        assert!(!matches(
            &[b"*".to_vec(), b"a".repeat(30_000), b"b".to_vec()].concat(),
            text.as_bytes(),
            &mut steps
        ));
        assert_eq!(steps, 0);
    }
}
