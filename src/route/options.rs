//! The options of a route: path MTU, hints for TCP, and their locks.

use std::fmt;

use crate::input::FirstRejected;
use crate::numbered::numbered;
use crate::wire::attribute::{Attributes, Writer};

numbered! {
    /// An option of a route (`RTAX_*`), with a number as value. Prints the word of `ip route`.
    ///
    /// Source: ip-route(8), `include/uapi/linux/rtnetlink.h`.
    #[doc(alias = "RTA_METRICS")]
    RouteOption: u16 {
        /// The path MTU, in bytes. The kernel lowers values above 65,520.
        Mtu = 2 "mtu",
        /// The largest window for TCP to advertise, in bytes.
        Window = 3 "window",
        /// The first estimate of the round-trip time, in eighths of a millisecond.
        Rtt = 4 "rtt",
        /// The first estimate of the round-trip time's variance, in quarters of a millisecond.
        RttVariance = 5 "rttvar",
        /// The first slow-start threshold, in segments.
        SlowStartThreshold = 6 "ssthresh",
        /// The most congestion window, in segments. Counts only when locked.
        CongestionWindow = 7 "cwnd",
        /// The segment size for TCP to announce, in bytes. The kernel lowers values above 65,495.
        Advmss = 8 "advmss",
        /// The most reordering that TCP takes for no loss, in segments.
        Reordering = 9 "reordering",
        /// The hop limit of packets, up to 255.
        HopLimit = 10 "hoplimit",
        /// The first congestion window, in segments.
        InitialCongestionWindow = 11 "initcwnd",
        /// Features, by bit: 1 is explicit congestion notification.
        Features = 12 "features",
        /// The least retransmission time-out, in milliseconds.
        MinimumTimeout = 13 "rto_min",
        /// The first receive window, in segments.
        InitialReceiveWindow = 14 "initrwnd",
        /// 1 acknowledges segments without delay.
        QuickAck = 15 "quickack",
        /// 1 lets TCP Fast Open work without a cookie.
        FastOpenWithoutCookie = 17 "fastopen_no_cookie",
    }
}

const RTAX_LOCK: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;

/// The options of a route. Most routes have none.
///
/// ```
/// use netloom::{Namespace, Route, RouteOption, VethEnd, VethPair};
/// # netloom::sandbox::enter()?;
///
/// let red = Namespace::anonymous().create()?;
/// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
/// // ip route add 10.9.0.0/16 via 10.0.0.1 mtu lock 1400 initcwnd 20
/// let _route = Route::new("10.9.0.0/16")
///     .via("10.0.0.1")
///     .option(RouteOption::Mtu, 1400)
///     .lock(RouteOption::Mtu)
///     .option(RouteOption::InitialCongestionWindow, 20)
///     .create(&red)?;
/// let options = red.route("10.9.0.0/16")?.info()?.options;
/// assert_eq!(options.to_string(), "mtu lock 1400 initcwnd 20");
/// assert_eq!(options.get(RouteOption::Window), None);
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RouteOptions(Option<Box<Values>>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Values {
    numbers: Vec<(RouteOption, u32)>,
    /// A bit for each locked option.
    locked: u32,
    congestion_control: Option<String>,
}

impl RouteOptions {
    pub(super) const NONE: Self = Self(None);

    /// Reads the attributes in `RTA_METRICS`.
    pub(super) fn read(metrics: Attributes<'_>) -> Self {
        let mut options = Self::NONE;
        for metric in metrics.iter() {
            match (metric.kind, metric.u32()) {
                (RTAX_CC_ALGO, _) => options.set_congestion_control(&metric.text()),
                (RTAX_LOCK, Some(locked)) => options.values_mut().locked = locked,
                (kind, Some(value)) => options.set(kind.into(), value),
                _ => {}
            }
        }
        options
    }

    /// Returns the value of an option; `None` without one.
    pub fn get(&self, option: RouteOption) -> Option<u32> {
        self.iter().find(|(set, _)| *set == option).map(|(_, value)| value)
    }

    /// Reports whether the kernel keeps the option as it is: path MTU discovery and TCP don't
    /// change it.
    pub fn is_locked(&self, option: RouteOption) -> bool {
        self.0.as_ref().is_some_and(|values| values.locked & bit(option) != 0)
    }

    /// Returns the name of the congestion control for TCP.
    pub fn congestion_control(&self) -> Option<&str> {
        self.0.as_ref()?.congestion_control.as_deref()
    }

    /// Returns the options with their values, in the order of the kernel's numbers.
    pub fn iter(&self) -> impl Iterator<Item = (RouteOption, u32)> + '_ {
        self.0.iter().flat_map(|values| values.numbers.iter().copied())
    }

    fn values_mut(&mut self) -> &mut Values {
        self.0.get_or_insert_default()
    }

    pub(super) fn set(&mut self, option: RouteOption, value: u32) {
        let numbers = &mut self.values_mut().numbers;
        match numbers.binary_search_by_key(&u16::from(option), |(set, _)| u16::from(*set)) {
            Ok(at) => numbers[at].1 = value,
            Err(at) => numbers.insert(at, (option, value)),
        }
    }

    pub(super) fn lock(&mut self, option: RouteOption) {
        self.values_mut().locked |= bit(option);
    }

    pub(super) fn set_congestion_control(&mut self, name: &str) {
        self.values_mut().congestion_control = Some(name.to_owned());
    }

    /// Returns a reason to refuse the options.
    pub(super) fn refusal(&self) -> Option<String> {
        let values = self.0.as_ref()?;
        if let Some(&(option, value)) = values.numbers.iter().find(|(option, value)| {
            let most = match option {
                RouteOption::HopLimit => 255,
                RouteOption::QuickAck | RouteOption::FastOpenWithoutCookie => 1,
                _ => u32::MAX,
            };
            *value > most
        }) {
            return Some(format!("option({option}, {value}): the value is out of range"));
        }
        let locked_alone = (0..32).map(RouteOption::from).find(|option| {
            values.locked & bit(*option) != 0 && self.get(*option).is_none_or(|value| value == 0)
        });
        locked_alone.map(|option| format!("lock({option}) needs a value of the option"))
    }

    /// Appends `RTA_METRICS`, unless there are no options.
    pub(super) fn write(&self, kind: u16, attributes: &mut Writer<'_>) {
        let Some(values) = &self.0 else { return };
        attributes.nested(kind, |metrics| {
            if values.locked != 0 {
                metrics.u32(RTAX_LOCK, values.locked);
            }
            for (option, value) in &values.numbers {
                metrics.u32(u16::from(*option), *value);
            }
            if let Some(name) = &values.congestion_control {
                metrics.string(RTAX_CC_ALGO, name);
            }
        });
    }
}

/// Refuses names that no congestion control has (`TCP_CA_NAME_MAX`).
pub(super) fn check_congestion_control(rejected: &mut FirstRejected, name: &str) {
    if name.is_empty() || name.len() > 15 || name.contains('\0') {
        rejected.reject("congestion_control", name, "the name has 1 to 15 bytes");
    }
}

fn bit(option: RouteOption) -> u32 {
    1u32.checked_shl(u16::from(option).into()).unwrap_or(0)
}

/// Writes the options as `ip route` does.
impl fmt::Display for RouteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (option, value) in self.iter() {
            let lock = if self.is_locked(option) { " lock" } else { "" };
            write!(f, "{space}{option}{lock} ")?;
            match option {
                RouteOption::Rtt => write!(f, "{}ms", value / 8)?,
                RouteOption::RttVariance => write!(f, "{}ms", value / 4)?,
                RouteOption::MinimumTimeout => write!(f, "{value}ms")?,
                _ => write!(f, "{value}")?,
            }
            space = " ";
        }
        match self.congestion_control() {
            Some(name) => write!(f, "{space}congctl {}", crate::text::Escaped(name)),
            None => Ok(()),
        }
    }
}
