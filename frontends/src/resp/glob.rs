//! Patterns as Redis has them: `*`, `?`, `[a-z]`, `[^a]`, `\` before a character that means itself.
//!
//! One place to return to is enough, the last star; so a pattern takes at most pattern times text
//! steps, and no stack.

/// Returns whether all of `text` matches; the case of ASCII letters does not matter.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
                continue;
            }
            None if position == text.len() => return true,
            Some(_) => text.get(position).and_then(|byte| one(&pattern[at..], *byte)),
            None => None,
        };
        match (step, star) {
            (Some(length), _) => (at, position) = (at + length, position + 1),
            // The last star swallows one more byte.
            (None, Some((after, from))) if from < text.len() => {
                star = Some((after, from + 1));
                (at, position) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte with what `pattern` begins with, and returns how long that is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    let byte = byte.to_ascii_lowercase();
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped.to_ascii_lowercase() == byte).then_some(2),
        [b'[', class @ ..] => {
            let (is_in, length) = in_class(class, byte);
            is_in.then_some(length + 1)
        }
        [literal, ..] => (literal.to_ascii_lowercase() == byte).then_some(1),
        [] => None,
    }
}

/// Returns whether the byte is in the class, and how long the class is with its `]`.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        let (low, high, length) = match &class[at..] {
            [] => return (found != negated, at),
            [b']', ..] => return (found != negated, at + 1),
            [b'\\', one, ..] => (*one, *one, 2),
            [low, b'-', high, ..] => (*low.min(high), *low.max(high), 3),
            [one, ..] => (*one, *one, 1),
        };
        let range = low.to_ascii_lowercase()..=high.to_ascii_lowercase();
        found |= range.contains(&byte) || (low..=high).contains(&byte);
        at += length;
    }
}
