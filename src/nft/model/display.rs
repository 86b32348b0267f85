//! Formatting that several statements share.

use std::fmt;
use std::net::IpAddr;

/// Formats as `over ` or as nothing.
pub(crate) struct Over(pub(crate) bool);

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "over " } else { "" })
    }
}

/// Formats a number of bytes in the largest unit that divides it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 20, "mbytes"), (1 << 10, "kbytes")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// Formats a range as `first-last`, or as one value if both are equal.
pub(crate) struct Range<T>(pub(crate) T, pub(crate) T);

impl<T: fmt::Display + PartialEq> fmt::Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if self.0 == self.1 { Ok(()) } else { write!(f, "-{}", self.1) }
    }
}

/// Returns an address as text. An IPv6 address is in brackets, because a port may follow.
pub(crate) fn bracketed(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

/// Writes the names of the flags that are on, separated by commas.
pub(crate) fn flags(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    names: impl IntoIterator<Item = (bool, &'static str)>,
) -> fmt::Result {
    let set = names.into_iter().filter(|(is_set, _)| *is_set);
    for (at, (_, name)) in set.enumerate() {
        write!(f, "{}{name}", if at == 0 { before } else { "," })?;
    }
    Ok(())
}
