//! Inline requests: a line of words, for people with a terminal.

use super::scanner::ProtocolError;

/// Splits a line into words as Redis does, nearly as a shell would: by blanks, with `"…"` (escapes
/// `\n \r \t \b \a \xHH \\ \"`) and `'…'` (escape `\'`). A closing quote must be followed by a
/// blank or the end. Vertical tabs and form feeds are blanks too, but do not end a word.
///
/// # Errors
///
/// [`ProtocolError::UnbalancedQuotes`] if a quote is not closed, or something touches it from
/// behind.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let word;
        (word, rest) = take_word(rest)?;
        words.push(word);
        rest = skip_blanks(rest);
    }
    Ok(words)
}

/// Returns the word that `rest` begins with, and what follows it.
fn take_word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), ProtocolError> {
    let mut word = Vec::new();
    loop {
        match rest {
            [quote @ (b'"' | b'\''), after @ ..] => {
                let after = take_quoted(after, *quote, &mut word)?;
                return match after.first() {
                    Some(byte) if !is_blank(*byte) => Err(ProtocolError::UnbalancedQuotes),
                    _ => Ok((word, after)),
                };
            }
            [byte, after @ ..] if !matches!(*byte, b' ' | b'\t' | b'\r' | b'\n') => {
                word.push(*byte);
                rest = after;
            }
            _ => return Ok((word, rest)),
        }
    }
}

/// Adds what stands before the closing quote to `word`, and returns what stands behind it.
fn take_quoted<'a>(
    mut rest: &'a [u8],
    quote: u8,
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [byte, after @ ..] if *byte == quote => return Ok(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (nibble(*high) << 4 | nibble(*low), after)
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

/// What C calls a space.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
