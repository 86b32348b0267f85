//! Patterns of link names, as `iifname` and `oifname` compare them.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::input::{from_text, link_name_in_rules};

/// A pattern for link names: a whole name such as `eth0`, or a prefix such as `veth*`.
///
/// A `*` at the end matches any rest, including none. `\*` at the end is a literal star, and a star
/// elsewhere is literal, as in `nft`. The pattern need not match an existing link.
///
/// ```
/// use netloom::LinkPattern;
///
/// let containers: LinkPattern = "veth*".parse()?;
/// assert!(containers.matches("veth12"));
/// assert!(!containers.matches("eth0"));
/// assert!("*".parse::<LinkPattern>().is_err()); // the pattern matches every link
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: nft(8), "iifname".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkPattern {
    text: String,
    is_prefix: bool,
}

impl LinkPattern {
    /// Returns whether the pattern matches this name.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }

    /// Returns the name or the prefix, without `*`.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern is a prefix.
    pub(crate) fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}

fn read(pattern: &str) -> Result<LinkPattern, String> {
    let (text, is_prefix) = match (pattern.strip_suffix(r"\*"), pattern.strip_suffix('*')) {
        (Some(name), _) => (format!("{name}*"), false),
        (None, Some("")) => return Err("the pattern matches every link".into()),
        (None, Some(prefix)) => (prefix.to_owned(), true),
        (None, None) => (pattern.to_owned(), false),
    };
    // `.` and `..` are no link names, but may be prefixes.
    if !(is_prefix && matches!(text.as_str(), "." | "..")) {
        link_name_in_rules(&text)?;
    }
    Ok(LinkPattern { text, is_prefix })
}

/// Parses a pattern as `nft` writes it.
impl FromStr for LinkPattern {
    type Err = Error;

    fn from_str(pattern: &str) -> Result<Self, Error> {
        read(pattern).map_err(|reason| Error::invalid("read link pattern", pattern, reason))
    }
}

from_text!(LinkPattern, read);

/// Formats the pattern as `nft` does, without quotes.
impl fmt::Display for LinkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_prefix, self.text.strip_suffix('*')) {
            (true, _) => write!(f, "{}*", self.text),
            (false, Some(rest)) => write!(f, r"{rest}\*"),
            (false, None) => f.write_str(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_and_shown_alike() {
        for text in ["eth0", "veth*", r"a\*", "a*b", ".*", "123456789012345*"] {
            assert_eq!(text.parse::<LinkPattern>().unwrap().to_string(), text);
        }
        let star: LinkPattern = r"a\*".parse().unwrap();
        assert!(star.matches("a*") && !star.matches("ab"));
        let prefix: LinkPattern = "a*".parse().unwrap();
        assert!(prefix.matches("a") && prefix.matches("ab") && !prefix.matches("b"));
    }

    #[test]
    fn a_pattern_that_matches_no_link_or_all_is_refused() {
        for bad in
            ["", "*", ".", "a/b*", "a:b", "a b", "1234567890123456*", "veth%d", "a\"b", "\"*"]
        {
            assert!(bad.parse::<LinkPattern>().is_err(), "{bad}");
        }
    }
}
