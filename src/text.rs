//! Text from other programs, made safe for terminals and logs.

use std::fmt;

/// A text that another program chose, printed with control and direction characters escaped.
///
/// Link names, namespace names and comments may hold newlines, escape sequences or marks that
/// reverse the reading direction. Error texts and `Display` never print those raw.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in self.0.split_inclusive(is_unsafe) {
            match run.char_indices().next_back() {
                Some((at, last)) if is_unsafe(last) => {
                    f.write_str(run.get(..at).unwrap_or_default())?;
                    write!(f, "{}", last.escape_default())?;
                }
                _ => f.write_str(run)?,
            }
        }
        Ok(())
    }
}

/// Returns the text, escaped if a character is unsafe to print.
pub(crate) fn escaped(text: String) -> String {
    if text.contains(is_unsafe) { Escaped(&text).to_string() } else { text }
}

/// Writes an optional part of a line: a word and the value after it, or nothing.
pub(crate) fn part(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    value: Option<impl fmt::Display>,
) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "{word}{value}"))
}

/// Returns whether a character is a control character, a line separator, or a mark of Unicode's
/// bidirectional algorithm (UAX #9).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped_and_nothing_else() {
        let shown = |text: &str| Escaped(text).to_string();
        assert_eq!(shown("a\nb\u{1b}[31m\u{202e}c"), "a\\nb\\u{1b}[31m\\u{202e}c");
        assert_eq!(shown("vethü `x` \\"), "vethü `x` \\");
        assert_eq!(escaped("end\u{2066}".into()), "end\\u{2066}");
        assert_eq!(shown(""), "");
    }
}
