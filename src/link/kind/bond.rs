//! Several links as one.

use std::net::Ipv4Addr;
use std::time::Duration;

use netlink_packet_route::link::{BondLacpRate, InfoBond};
use nix::errno::Errno;

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::input::Input;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::index::LinkIndex;
use crate::link::master::explain_master;
use crate::link::message::change;
use crate::link::options::{Options, link_info, option_setters};
use crate::link::reference::LinkRef;
use crate::link::settings::{Settings, link_setters, read_mac};
use crate::mac::MacAddr;
use crate::netlink::Requests;
use crate::netns::{Netns, Quoted};
use crate::numbered::numbered;
use crate::owned::Owned;
use crate::wire::link::IFLA_MASTER;

pub(super) const KIND: Kind = Kind { module: Some("bonding"), ..Kind::PLAIN };

const ACTION: &str = "create bond";

numbered! {
    /// The way a bond uses its members, `mode` of `ip link`.
    BondMode: u8 {
        /// Each packet by the next member.
        BalanceRoundRobin = 0 "balance-rr",
        /// One member at a time.
        ActiveBackup = 1 "active-backup",
        /// Each flow by one member, by a hash.
        BalanceXor = 2 "balance-xor",
        /// Each packet by all members.
        Broadcast = 3 "broadcast",
        /// Members that the switch aggregates by LACP.
        Ieee8023Ad = 4 "802.3ad",
        /// Each flow by the member with the least load.
        BalanceTransmitLoad = 5 "balance-tlb",
        /// Each flow by the member with the least load, and the received load spread by ARP.
        BalanceAdaptiveLoad = 6 "balance-alb",
    }
}

numbered! {
    /// The fields that choose a member for a flow, `xmit_hash_policy`.
    BondHash: u8 {
        /// The hardware addresses.
        Layer2 = 0 "layer2",
        /// The IP addresses and ports.
        Layer34 = 1 "layer3+4",
        /// The hardware and IP addresses.
        Layer23 = 2 "layer2+3",
        /// The hardware and IP addresses of the packet inside a tunnel.
        Encapsulated23 = 3 "encap2+3",
        /// The IP addresses and ports of the packet inside a tunnel.
        Encapsulated34 = 4 "encap3+4",
        /// The VLAN and the source's hardware address.
        VlanSourceMac = 5 "vlan+srcmac",
    }
}

numbered! {
    /// The time at which a primary member that is back becomes the active one, `primary_reselect`.
    BondReselect: u8 {
        /// At once.
        Always = 0 "always",
        /// At once, if it is faster.
        Better = 1 "better",
        /// When the active member fails.
        Failure = 2 "failure",
    }
}

numbered! {
    /// The policy for the hardware addresses of the bond and its members, `fail_over_mac`.
    BondFailoverMac: u8 {
        /// All have the bond's.
        None = 0 "none",
        /// The bond has that of the active member.
        Active = 1 "active",
        /// The active member has the bond's.
        Follow = 2 "follow",
    }
}

numbered! {
    /// The members whose ARP replies are checked, `arp_validate`.
    BondArpValidate: u32 {
        /// No member.
        None = 0 "none",
        /// The active member.
        Active = 1 "active",
        /// The members that are not active.
        Backup = 2 "backup",
        /// All members.
        All = 3 "all",
    }
}

numbered! {
    /// The choice among aggregators, `ad_select`.
    BondAggregator: u8 {
        /// The fastest aggregator, until it fails.
        Stable = 0 "stable",
        /// The fastest aggregator.
        Bandwidth = 1 "bandwidth",
        /// The aggregator with the most members.
        Count = 2 "count",
    }
}

/// A bond to create: several links as one, which goes on while a member fails.
///
/// Replaces `ip link add name NAME type bond mode active-backup miimon 100`, and for its members
/// `ip link set MEMBER master NAME`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use netloom::{Bond, BondMode, Netns};
///
/// let host = Netns::current()?;
/// let bond = Bond::new("bond0")
///     .mode(BondMode::ActiveBackup)
///     .mii_interval(Duration::from_millis(100))
///     .member("eth0")
///     .member("eth1")
///     .primary("eth0")
///     .up()
///     .create(&host)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// A member joins while it is down, and the bond sets it up. A bond that is deleted releases its
/// members and sets them down. Source: `Documentation/networking/bonding.rst`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Bond {
    settings: Settings,
    options: Options<InfoBond>,
    arp_targets: Vec<Ipv4Addr>,
    members: Vec<LinkRef>,
    primary: Option<LinkRef>,
}

impl Bond {
    /// Describes a bond with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self {
            settings: Settings::new(name.as_ref()),
            options: Options::default(),
            arp_targets: Vec::new(),
            members: Vec::new(),
            primary: None,
        }
    }

    link_setters!(mac: "a random one, which the members take", mtu: "1,500", queues: "16");

    /// Adds a member, a link of the same namespace that is down. Each call adds one.
    #[doc(alias("IFLA_MASTER", "enslave"))]
    pub fn member(mut self, link: impl Into<LinkRef>) -> Self {
        self.members.push(link.into());
        self
    }

    /// Sets the member that is the active one while it can be, as `primary`.
    #[doc(alias = "IFLA_BOND_PRIMARY")]
    pub fn primary(mut self, link: impl Into<LinkRef>) -> Self {
        self.primary = Some(link.into());
        self
    }

    /// Sets how often the carrier of members is looked at, as `miimon`, in milliseconds. Zero:
    /// never, so that the bond notices no failure. Default: zero.
    #[doc(alias = "IFLA_BOND_MIIMON")]
    pub fn mii_interval(self, interval: Duration) -> Self {
        self.time("mii_interval", interval, InfoBond::MiiMon)
    }

    /// Sets how long a member that is back waits, as `updelay`: a multiple of
    /// [`mii_interval`](Self::mii_interval). Default: zero.
    #[doc(alias = "IFLA_BOND_UPDELAY")]
    pub fn up_delay(self, delay: Duration) -> Self {
        self.time("up_delay", delay, InfoBond::UpDelay)
    }

    /// Sets how long a member without a carrier stays in use, as `downdelay`: a multiple of
    /// [`mii_interval`](Self::mii_interval). Default: zero.
    #[doc(alias = "IFLA_BOND_DOWNDELAY")]
    pub fn down_delay(self, delay: Duration) -> Self {
        self.time("down_delay", delay, InfoBond::DownDelay)
    }

    /// Sets how often members are tried by ARP, as `arp_interval`, in milliseconds. Needs
    /// [`arp_target`](Self::arp_target), and excludes [`mii_interval`](Self::mii_interval).
    #[doc(alias = "IFLA_BOND_ARP_INTERVAL")]
    pub fn arp_interval(self, interval: Duration) -> Self {
        self.time("arp_interval", interval, InfoBond::ArpInterval)
    }

    /// Adds a host to ask by ARP, as `arp_ip_target`. Each call adds one, up to 16.
    #[doc(alias = "IFLA_BOND_ARP_IP_TARGET")]
    pub fn arp_target(mut self, address: Ipv4Addr) -> Self {
        if self.arp_targets.len() == 16 {
            self.settings.rejected.reject("arp_target", address, "a bond asks 16 hosts at most");
        }
        self.arp_targets.push(address);
        self
    }

    /// Sets the hardware address of the system for LACP, as `ad_actor_system`. Default: the bond's.
    #[doc(alias = "IFLA_BOND_AD_ACTOR_SYSTEM")]
    pub fn lacp_system(mut self, mac: impl Input<MacAddr>) -> Self {
        if let Some(mac) = read_mac(&mut self.settings.rejected, mac) {
            self.options.set(InfoBond::AdActorSystem(mac.octets()));
        }
        self
    }

    /// Asks the switch for LACP packets each second instead of each 30 s, as `lacp_rate fast`.
    /// Default: off.
    #[doc(alias = "IFLA_BOND_AD_LACP_RATE")]
    pub fn lacp_fast(mut self, on: bool) -> Self {
        let rate = if on { BondLacpRate::Fast } else { BondLacpRate::Slow };
        self.options.set(InfoBond::AdLacpRate(rate));
        self
    }

    option_setters! {
        /// Sets the way the bond uses its members, as `mode`. Default: round robin.
        #[doc(alias = "IFLA_BOND_MODE")]
        mode(mode: BondMode) => InfoBond::Mode(u8::from(mode).into());

        /// Sets the members whose ARP replies are checked, as `arp_validate`. Default: none.
        #[doc(alias = "IFLA_BOND_ARP_VALIDATE")]
        arp_validate(members: BondArpValidate) =>
            InfoBond::ArpValidate(u32::from(members).into());

        /// Sets when a primary member that is back becomes the active one, as `primary_reselect`.
        /// Default: at once.
        #[doc(alias = "IFLA_BOND_PRIMARY_RESELECT")]
        primary_reselect(when: BondReselect) =>
            InfoBond::PrimaryReselect(u8::from(when).into());

        /// Sets the hardware addresses of members, as `fail_over_mac`. Default: all have the
        /// bond's.
        #[doc(alias = "IFLA_BOND_FAIL_OVER_MAC")]
        failover_mac(which: BondFailoverMac) => InfoBond::FailOverMac(u8::from(which).into());

        /// Sets the fields that choose a member for a flow, as `xmit_hash_policy`. Default: the
        /// hardware addresses.
        #[doc(alias = "IFLA_BOND_XMIT_HASH_POLICY")]
        hash(fields: BondHash) => InfoBond::XmitHashPolicy(u8::from(fields).into());

        /// Sets how many IGMP reports are sent after a failure, as `resend_igmp`. Default: 1.
        #[doc(alias = "IFLA_BOND_RESEND_IGMP")]
        resend_igmp(count: u32) => InfoBond::ResendIgmp(count);

        /// Sets how many neighbour announcements are sent after a failure, as `num_grat_arp`.
        /// Default: 1.
        #[doc(alias("IFLA_BOND_NUM_PEER_NOTIF", "num_unsol_na"))]
        announcements(count: u8) => InfoBond::NumPeerNotif(count);

        /// Sets how many members must work for the bond to have a carrier, as `min_links`.
        /// Default: 0, which is one.
        #[doc(alias = "IFLA_BOND_MIN_LINKS")]
        min_links(count: u32) => InfoBond::MinLinks(count);

        /// Sets how many packets each member sends in its turn, with round robin, as
        /// `packets_per_slave`; 0 chooses at random. Default: 1.
        #[doc(alias = "IFLA_BOND_PACKETS_PER_SLAVE")]
        packets_per_member(count: u32) => InfoBond::PacketsPerPort(count);

        /// Sends LACP packets unasked, as `lacp_active`. Default: on. Since Linux 5.15.
        #[doc(alias = "IFLA_BOND_AD_LACP_ACTIVE")]
        lacp_active(on: bool) => InfoBond::AdLacpActive(on);

        /// Sets the choice among aggregators, as `ad_select`. Default: stable.
        #[doc(alias = "IFLA_BOND_AD_SELECT")]
        aggregator(choice: BondAggregator) => InfoBond::AdSelect(u8::from(choice).into());

        /// Sets the priority of the system for LACP, as `ad_actor_sys_prio`, from 1. Default:
        /// 65,535.
        #[doc(alias = "IFLA_BOND_AD_ACTOR_SYS_PRIO")]
        lacp_priority(priority: u16) => InfoBond::AdActorSysPrio(priority);

        /// Sets how many ARP queries fail before a member counts as failed, as `arp_missed_max`,
        /// from 1. Default: 2. Since Linux 5.17.
        #[doc(alias = "IFLA_BOND_MISSED_MAX")]
        missed_max(count: u8) => InfoBond::MissedMax(count);
    }

    /// Creates the bond, and makes its members join.
    ///
    /// # Errors
    ///
    /// A value that can be known wrong is refused before any system call. Nothing is left after a
    /// failure: the members that joined are released.
    /// - `is_already_exists()` if a link has the name.
    /// - `is_not_found()` if a member is gone.
    /// - `is_permission_denied()` if a member is up, or an option does not fit the mode.
    /// - `is_unsupported()` in a kernel without the module `bonding`.
    #[doc(alias("ip link add", "RTM_NEWLINK"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        let object = Quoted(&self.settings.name);
        self.settings.check(ACTION)?;
        let find = |link: &LinkRef| link.resolve(netns, ACTION, &object);
        let mut options = self.options.clone();
        if let Some(primary) = &self.primary {
            options.set(InfoBond::Primary(find(primary)?));
        }
        if !self.arp_targets.is_empty() {
            options.set(InfoBond::ArpIpTarget(self.arp_targets.clone()));
        }
        let members: Vec<_> = self.members.iter().map(find).collect::<Result<_, _>>()?;
        let new = NewLink {
            options: &|out| options.write(out),
            ..NewLink::of(ACTION, &LinkKind::Bond, &self.settings, netns)
        };
        let bond = new.create().map_err(|error| {
            error.hint_on(Errno::EACCES, || "an option does not fit the bond's mode".into())
        })?;
        let (index, itself) = (bond.index().get(), LinkRef::from(&bond));
        let explain = |error| explain_master(error, netns, &itself, index);
        let mut requests = Requests::default();
        for (member, at) in self.members.iter().zip(members) {
            requests.push("enslave", member, change(at, |link| link.u32(IFLA_MASTER, index)));
            requests.explain(&explain);
        }
        if !requests.is_empty() {
            netns.send(requests)?;
        }
        Ok(bond)
    }

    fn time(mut self, setter: &'static str, time: Duration, to: fn(u32) -> InfoBond) -> Self {
        match i32::try_from(time.as_millis()) {
            Ok(count) if time.subsec_nanos().is_multiple_of(1_000_000) => {
                self.options.set(to(count.unsigned_abs()));
            }
            _ => {
                let reason = "a bond counts time in whole milliseconds of 31 bits";
                self.settings.rejected.reject(setter, format!("{time:?}"), reason);
            }
        }
        self
    }
}

link_info! {
    /// The options of a bond, as `ip -details link` lists them.
    BondInfo of Bond by
    /// Reads the options of this bond. `None` if the link is of another kind.
    bond_info, InfoBond {
        /// The way the bond uses its members. `None` if the kernel listed none.
        mode: Option<BondMode> = InfoBond::Mode(mode) => Some(u8::from(*mode).into());
        /// The active member, in a mode with one.
        active: Option<LinkIndex> = InfoBond::ActivePort(index) => Some((*index).into());
        /// The member that is the active one while it can be.
        primary: Option<LinkIndex> = InfoBond::Primary(index) => Some((*index).into());
        /// The time at which a primary member that is back becomes the active one.
        primary_reselect: Option<BondReselect> =
            InfoBond::PrimaryReselect(when) => Some(u8::from(*when).into());
        /// The time between two looks at the carriers; zero if they are not looked at.
        mii_interval: Duration = InfoBond::MiiMon(time) => milliseconds(*time);
        /// The time that a member that is back waits.
        up_delay: Duration = InfoBond::UpDelay(time) => milliseconds(*time);
        /// The time that a member without a carrier stays in use.
        down_delay: Duration = InfoBond::DownDelay(time) => milliseconds(*time);
        /// The time between two ARP queries; zero if there are none.
        arp_interval: Duration = InfoBond::ArpInterval(time) => milliseconds(*time);
        /// The hosts to ask by ARP.
        arp_targets: Vec<Ipv4Addr> = InfoBond::ArpIpTarget(targets) => targets.clone();
        /// The members whose ARP replies are checked.
        arp_validate: Option<BondArpValidate> =
            InfoBond::ArpValidate(members) => Some(u32::from(*members).into());
        /// The number of ARP queries that fail before a member counts as failed.
        missed_max: u8 = InfoBond::MissedMax(count) => *count;
        /// The hardware addresses of members.
        failover_mac: Option<BondFailoverMac> =
            InfoBond::FailOverMac(which) => Some(u8::from(*which).into());
        /// The fields that choose a member for a flow.
        hash: Option<BondHash> = InfoBond::XmitHashPolicy(fields) => Some(u8::from(*fields).into());
        /// The number of IGMP reports after a failure.
        resend_igmp: u32 = InfoBond::ResendIgmp(count) => *count;
        /// The number of neighbour announcements after a failure.
        announcements: u8 = InfoBond::NumPeerNotif(count) => *count;
        /// The number of members that must work for the bond to have a carrier.
        min_links: u32 = InfoBond::MinLinks(count) => *count;
        /// The number of packets that each member sends in its turn.
        packets_per_member: u32 = InfoBond::PacketsPerPort(count) => *count;
        /// True if the switch is asked for LACP packets each second.
        lacp_fast: bool = InfoBond::AdLacpRate(rate) => *rate == BondLacpRate::Fast;
        /// True if LACP packets are sent unasked.
        lacp_active: bool = InfoBond::AdLacpActive(on) => *on;
        /// The choice among aggregators.
        aggregator: Option<BondAggregator> =
            InfoBond::AdSelect(choice) => Some(u8::from(*choice).into());
        /// The priority of the system for LACP.
        lacp_priority: u16 = InfoBond::AdActorSysPrio(priority) => *priority;
        /// The hardware address of the system for LACP.
        lacp_system: Option<MacAddr> = InfoBond::AdActorSystem(mac) => Some((*mac).into());
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    let cable = super::veth::VethPair::new("veth1", "veth2").create(netns)?;
    let bond = Bond::new("bond0").mode(BondMode::ActiveBackup).member(cable.near()).up();
    bond.create(netns)?.delete().map_err(Error::from)
}
