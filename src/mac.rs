//! Hardware addresses of links.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use crate::sys::process::Process;
use crate::sys::random::random;

/// A MAC address (EUI-48), written `02:00:00:00:00:01`.
///
/// ```
/// use netloom::MacAddr;
///
/// let mac: MacAddr = "02:00:00:00:00:01".parse()?;
/// assert_eq!(mac.octets(), [2, 0, 0, 0, 0, 1]);
/// assert!(mac.is_unicast() && mac.is_local());
/// # Ok::<(), netloom::BadMacAddr>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr([u8; 6]);

/// The error for text that is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six hexadecimal bytes, as in 02:00:00:00:00:01")]
pub struct BadMacAddr;

impl MacAddr {
    /// Returns the six bytes, in the order in which they are sent.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Returns whether a link can have the address: it is neither multicast nor zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// Returns whether the address is locally administered, not assigned by a vendor.
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 != 0
    }

    /// Makes a random unicast address, like the kernel's `eth_random_addr`.
    pub(crate) fn random() -> Self {
        let mut octets = [0; 6];
        octets.iter_mut().zip(next_random().to_ne_bytes()).for_each(|(octet, byte)| *octet = byte);
        octets[0] = octets[0] & !1 | 2;
        Self(octets)
    }
}

thread_local! {
    /// The state of the thread's random sequence, and the process that seeded it. A fork must seed
    /// its own sequence, or it would repeat its parent's addresses.
    static SEQUENCE: Cell<Option<(Process, u64)>> = const { Cell::new(None) };
}

/// Returns the next number of a random sequence (`SplitMix64`) that the kernel's random numbers
/// seed once for each thread. A link's address need not be secret, and this saves a system call for
/// each link.
fn next_random() -> u64 {
    let seed = || u64::from_ne_bytes(random());
    let next = SEQUENCE.try_with(|sequence| {
        let seeded = sequence.get().filter(|(process, _)| process.is_current());
        let state =
            seeded.map_or_else(seed, |(_, state)| state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        sequence.set(Some((Process::current(), state)));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    next.unwrap_or_else(|_| seed())
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl FromStr for MacAddr {
    type Err = BadMacAddr;

    fn from_str(text: &str) -> Result<Self, BadMacAddr> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(BadMacAddr)?;
            let digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            *octet = u8::from_str_radix(part, 16).ok().filter(|_| digits).ok_or(BadMacAddr)?;
        }
        if parts.next().is_some() { Err(BadMacAddr) } else { Ok(Self(octets)) }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_and_written() {
        let mac: MacAddr = "0A-1b-2C-3d-4E-5f".parse().unwrap();
        assert_eq!(mac.to_string(), "0a:1b:2c:3d:4e:5f");
        for bad in
            ["", "1:2:3:4:5:6", "02:00:00:00:00", "02:00:00:00:00:00:00", "+2:00:00:00:00:01"]
        {
            assert_eq!(bad.parse::<MacAddr>(), Err(BadMacAddr), "{bad}");
        }
    }

    #[test]
    fn a_made_up_address_is_local_unicast() {
        for _ in 0..100 {
            let mac = MacAddr::random();
            assert!(mac.is_unicast() && mac.is_local(), "{mac}");
        }
    }
}
