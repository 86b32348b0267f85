//! The arguments of setters: values by type, or literals. A setter never fails: the builder keeps
//! the first bad literal, and `create` returns it.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::Error;
use crate::mac::MacAddr;

/// An argument of a setter: a value of the type, or a literal that is parsed.
///
/// `.address("10.0.0.2/24")` and `.address(Ipv4Net::new(…)?)` do the same. A setter with an
/// argument of `Input<T>` takes a `T`, or a literal as `&str`, `String` or `&String`. Some `T`
/// allow further types:
///
/// | `T` | literal | further types |
/// |---|---|---|
/// | `IpAddr` | `10.0.0.1`, `fd00::1` | `Ipv4Addr`, `Ipv6Addr` |
/// | `IpNet` | `10.0.0.2/24`, `fd00::2/64` | `Ipv4Net`, `Ipv6Net` |
/// | [`MacAddr`] | `02:00:00:00:00:01` | `[u8; 6]` |
/// | `SocketAddr` | `10.0.0.2:80`, `[fd00::2]:80` | `SocketAddrV4`, `SocketAddrV6`, `(IpAddr, u16)` |
/// | [`Destination`](crate::Destination) | `default`, `10.1.0.0/16`, `10.1.0.1` | `IpAddr`, `IpNet` |
pub trait Input<T>: sealed::Input<T> {}

impl<T, I: sealed::Input<T>> Input<T> for I {}

pub(crate) mod sealed {
    /// The conversion. The trait is sealed, so that netloom may add types later.
    pub trait Input<T> {
        /// Returns the value, or the rejected literal and the reason.
        fn read(self) -> Result<T, (String, String)>;
    }
}

/// A rejected argument: the setter, the literal and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    setter: &'static str,
    value: String,
    reason: String,
}

/// The first argument that a builder rejected. Boxed to keep builders small: rejections are rare,
/// but some programs have 100,000 builders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FirstRejected(Option<Box<Rejected>>);

impl FirstRejected {
    /// Parses an argument of `setter`. Stores the rejection and returns `None` if the argument is
    /// bad.
    pub(crate) fn read<T>(&mut self, setter: &'static str, input: impl Input<T>) -> Option<T> {
        match input.read() {
            Ok(value) => Some(value),
            Err((value, reason)) => {
                self.keep(setter, format!("{value:?}"), reason);
                None
            }
        }
    }

    pub(crate) fn reject(
        &mut self,
        setter: &'static str,
        value: impl Display,
        reason: impl Into<String>,
    ) {
        // A string is shown with quotes and a number without, as in the program's source.
        let value = value.to_string();
        let is_number = value.parse::<i128>().is_ok();
        self.keep(setter, if is_number { value } else { format!("{value:?}") }, reason);
    }

    fn keep(&mut self, setter: &'static str, value: String, reason: impl Into<String>) {
        let rejected = || Rejected { setter, value, reason: reason.into() };
        self.0.get_or_insert_with(|| Box::new(rejected()));
    }

    /// Takes over the rejection of another builder, if this builder has none.
    pub(crate) fn also(&mut self, other: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&other.0);
        }
    }

    /// Returns the rejection as an error. Called by `create`.
    pub(crate) fn check(&self, action: &'static str, object: impl Display) -> Result<(), Error> {
        match self.0.as_deref() {
            None => Ok(()),
            Some(Rejected { setter, value, reason }) => {
                Err(Error::invalid(action, object, format!("{setter}({value}): {reason}")))
            }
        }
    }
}

macro_rules! from_text {
    ($type:ty, $read:expr) => {
        impl $crate::input::sealed::Input<$type> for $type {
            fn read(self) -> Result<$type, (String, String)> {
                Ok(self)
            }
        }
        impl $crate::input::sealed::Input<$type> for &str {
            fn read(self) -> Result<$type, (String, String)> {
                let read: fn(&str) -> Result<$type, String> = $read;
                read(self).map_err(|reason| (self.to_owned(), reason))
            }
        }
        impl $crate::input::sealed::Input<$type> for String {
            fn read(self) -> Result<$type, (String, String)> {
                self.as_str().read()
            }
        }
        impl $crate::input::sealed::Input<$type> for &String {
            fn read(self) -> Result<$type, (String, String)> {
                self.as_str().read()
            }
        }
    };
}
pub(crate) use from_text;

macro_rules! from_value {
    ($type:ty: $($from:ty),+) => {$(
        impl sealed::Input<$type> for $from {
            fn read(self) -> Result<$type, (String, String)> {
                Ok(self.into())
            }
        }
    )+};
}

fn parse<T: std::str::FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

from_text!(IpAddr, parse);
from_text!(MacAddr, parse);
from_text!(IpNet, prefix);
from_text!(SocketAddr, socket_address);
from_value!(IpAddr: Ipv4Addr, Ipv6Addr);
from_value!(MacAddr: [u8; 6]);
from_value!(IpNet: Ipv4Net, Ipv6Net);

from_value!(
    SocketAddr: SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16)
);

/// Parses `10.0.0.2:80` and `[fd00::2]:80`. Host names are not resolved.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    match (text.parse(), text.parse()) {
        (Ok(address), _) => Ok(address),
        (_, Ok(IpAddr::V4(_))) => Err(format!("the port is missing, as in {text}:80")),
        (_, Ok(IpAddr::V6(_))) => Err(format!("the port is missing, as in [{text}]:80")),
        _ => Err("this is not an address and port, as in 10.0.0.2:80 or [fd00::2]:80".into()),
    }
}

/// Parses `10.0.0.2/24`. The error is the reason why the text is wrong.
fn prefix(text: &str) -> Result<IpNet, String> {
    let Some((address, length)) = text.split_once('/') else {
        return Err("the prefix length is missing, as in 10.0.0.2/24".into());
    };
    let address: IpAddr = parse(address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length.parse() {
        Ok(length) if length <= most => {
            IpNet::new(address, length).map_err(|error| error.to_string())
        }
        _ => Err(format!("a prefix length is a number from 0 to {most}")),
    }
}

/// Refuses a network whose host bits are set.
pub(crate) fn network(net: IpNet) -> Result<IpNet, String> {
    if net.trunc() == net {
        return Ok(net);
    }
    Err(format!("host bits are set where a network is meant: {}", net.trunc()))
}

/// Refuses names that the kernel refuses for a link (net/core/dev.c, `dev_valid_name`). Also
/// refuses `%`, because the kernel would replace `%d` by a number.
pub(crate) fn link_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("a link's name can't be empty"),
        _ if name.len() > 15 => Err("a link's name has 15 bytes at most"),
        _ if name.contains(['/', ':', '%', '\0']) => {
            Err("a link's name can't contain `/`, `:`, `%` or NUL")
        }
        _ => link_name_to_look_up(name),
    }
}

/// Refuses link names with a quote: `nft` could not list a rule with such a name.
pub(crate) fn link_name_in_rules(name: &str) -> Result<(), &'static str> {
    if name.contains('"') {
        Err("nft could not list a rule with a quote in a link's name")
    } else {
        link_name(name)
    }
}

/// Returns whether the address is unspecified, multicast or broadcast, so that no single machine
/// has it.
pub(crate) fn is_of_no_machine(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// Refuses names that no link can have. An alternative name may have up to `ALTIFNAMSIZ` bytes, and
/// may contain `:` and `%` (`net/core/rtnetlink.c`, `rtnl_alt_ifname`).
pub(crate) fn link_name_to_look_up(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("a link's name can't be empty"),
        "." | ".." => Err("a link can't be named `.` or `..`"),
        _ if name.len() > 127 => Err("a link's alternative name has 127 bytes at most"),
        _ if name.contains(['/', '\0']) => Err("a link's name can't contain `/` or NUL"),
        // The white space of the kernel's isspace(), which includes the no-break space of Latin-1.
        _ if name.bytes().any(|byte| matches!(byte, 9..=13 | 32 | 160)) => {
            Err("a link's name can't contain white space")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_refused() {
        let read = |text| prefix(text).map(|net| net.to_string());
        assert_eq!(read("10.0.0.2/24").as_deref(), Ok("10.0.0.2/24"));
        assert_eq!(read("fd00::1/64").as_deref(), Ok("fd00::1/64"));
        for bad in ["10.0.0.2", "10.0.0.2/33", "fd00::/129", "10.0.0.256/24", "a/b", "", "1.2.3.4/"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        let net = |text: &str| prefix(text).unwrap();
        assert_eq!(network(net("10.0.0.0/24")), Ok(net("10.0.0.0/24")));
        assert!(network(net("10.0.0.1/24")).is_err());
    }

    #[test]
    fn link_names_follow_the_kernels_rule() {
        for good in ["lo", "veth1", "a-b.c_d@e", "123456789012345", "ä"] {
            assert_eq!(link_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\tb", "a\0"] {
            assert!(link_name(bad).is_err() && link_name_to_look_up(bad).is_err(), "{bad}");
        }
        for alternative in ["a:b", "veth%d", "1234567890123456"] {
            assert!(link_name(alternative).is_err(), "{alternative}");
            assert_eq!(link_name_to_look_up(alternative), Ok(()));
        }
        assert!(link_name_to_look_up(&"a".repeat(128)).is_err());
    }

    #[test]
    fn the_first_bad_literal_is_kept() {
        let mut rejected = FirstRejected::default();
        let good: Option<IpNet> = rejected.read("address", "10.0.0.1/24");
        assert!(good.is_some());
        assert!(rejected.check("create", "x").is_ok());
        let bad: Option<IpNet> = rejected.read("address", "10.0.0.300/24");
        assert!(bad.is_none());
        rejected.reject("mac", "zz", "no MAC");
        let error = rejected.check("create bridge", "`br0`").unwrap_err();
        assert!(error.is_invalid_input());
        assert!(error.to_string().contains("address(\"10.0.0.300/24\")"), "{error}");
    }
}
