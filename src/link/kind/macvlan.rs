//! Links with hardware addresses of their own on another link.

use netlink_packet_route::link::{InfoMacVlan, MacVlanFlags, MacVlanMacAddressMode};

use super::{Kind, LinkKind};
use crate::link::options::link_info;
use crate::mac::MacAddr;
use crate::numbered::numbered;

pub(super) const KIND: Kind = Kind::ON_PARENT;

numbered! {
    /// The frames that the links of one parent exchange, `mode` of `ip link`.
    MacvlanMode: u32 {
        /// No frames.
        Private = 1 "private",
        /// The frames that the switch behind the parent sends back.
        Vepa = 2 "vepa",
        /// All frames, inside the parent.
        Bridge = 4 "bridge",
        /// One link has the parent and its hardware address for itself.
        Passthrough = 8 "passthru",
        /// The link receives only from the addresses of [`source_mac`](Macvlan::source_mac).
        Source = 16 "source",
    }
}

/// The mode that the kernel uses if none is asked for.
impl Default for MacvlanMode {
    fn default() -> Self {
        Self::Vepa
    }
}

/// Defines a builder of macvlans or macvtaps: both have the same options.
macro_rules! macvlan_builder {
    ($(#[$doc:meta])* $builder:ident, $action:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[must_use = "a builder does nothing until `create`"]
        pub struct $builder {
            settings: $crate::link::settings::Settings,
            parent: $crate::link::LinkRef,
            options: $crate::link::options::Options<InfoMacVlan>,
            mode: MacvlanMode,
            source_macs: std::collections::BTreeSet<[u8; 6]>,
        }

        impl $builder {
            /// Describes a link on this parent, a handle or a name that is looked up.
            pub fn new(name: impl AsRef<str>, parent: impl Into<$crate::link::LinkRef>) -> Self {
                Self {
                    settings: $crate::link::settings::Settings::new(name.as_ref()),
                    parent: parent.into(),
                    options: Default::default(),
                    mode: MacvlanMode::default(),
                    source_macs: Default::default(),
                }
            }

            $crate::link::settings::link_setters!(
                mac: "a random one; with `MacvlanMode::Passthrough` the parent's",
                mtu: "the parent's",
                queues: "1"
            );

            /// Sets the frames that the links of one parent exchange, as `mode`. Default: VEPA.
            #[doc(alias = "IFLA_MACVLAN_MODE")]
            pub fn mode(mut self, mode: MacvlanMode) -> Self {
                self.mode = mode;
                self.options.set(InfoMacVlan::Mode(u32::from(mode).into()));
                self
            }

            /// Adds an address to receive from, with `MacvlanMode::Source`, as `macaddr add`. Each
            /// call adds one.
            #[doc(alias = "IFLA_MACVLAN_MACADDR")]
            pub fn source_mac(
                mut self,
                mac: impl $crate::input::Input<$crate::mac::MacAddr>,
            ) -> Self {
                let rejected = &mut self.settings.rejected;
                if let Some(mac) = rejected.read("source_mac", mac) {
                    if !mac.is_unicast() {
                        rejected.reject("source_mac", mac, "one station sends from an address");
                    }
                    self.source_macs.insert(mac.octets());
                }
                self
            }

            /// Sets how many broadcast and multicast frames wait at the parent for its links, as
            /// `bcqueuelen`. The longest queue that a link of the parent asks for is in use.
            /// Default: 1,000. Since Linux 5.11.
            #[doc(alias = "IFLA_MACVLAN_BC_QUEUE_LEN")]
            pub fn broadcast_queue_length(mut self, frames: u32) -> Self {
                self.options.set(InfoMacVlan::BcQueueLen(frames));
                self
            }

            /// Leaves the parent out of promiscuous mode, with `MacvlanMode::Passthrough`, as
            /// `nopromisc`.
            #[doc(alias = "MACVLAN_FLAG_NOPROMISC")]
            pub fn no_promiscuous(mut self) -> Self {
                self.options.set(InfoMacVlan::Flags(MacVlanFlags::NoPromisc));
                self
            }

            create_on_parent!("is a bridge's port, or a parent of ipvlans");

            fn new_link(
                &self,
                parent: &$crate::netns::Netns,
                netns: &$crate::netns::Netns,
            ) -> Result<$crate::owned::Owned<$crate::link::Link>, $crate::error::Error> {
                self.settings.check($action)?;
                let has_sources = !self.source_macs.is_empty();
                if let Err(reason) = check(self.mode, has_sources, &self.options) {
                    let object = $crate::netns::Quoted(&self.settings.name);
                    return Err($crate::error::Error::invalid($action, object, reason));
                }
                let mut options = self.options.clone();
                if has_sources {
                    let macs = self.source_macs.iter().map(|mac| InfoMacVlan::MacAddr(*mac));
                    options.set(InfoMacVlan::MacAddrMode(MacVlanMacAddressMode::Set));
                    options.set(InfoMacVlan::MacAddrData(macs.collect()));
                }
                let new = $crate::link::create::NewLink {
                    sender: parent,
                    parent: Some(&self.parent),
                    keeps_address: self.mode != MacvlanMode::Passthrough,
                    options: &|out| options.write(out),
                    ..$crate::link::create::NewLink::of(
                        $action,
                        &LinkKind::$builder,
                        &self.settings,
                        netns,
                    )
                };
                new.create()
            }
        }
    };
}
pub(super) use macvlan_builder;

/// Checks that the options fit the mode.
pub(super) fn check(
    mode: MacvlanMode,
    has_sources: bool,
    options: &crate::link::options::Options<InfoMacVlan>,
) -> Result<(), &'static str> {
    let is_quiet = options.iter().any(|one| matches!(one, InfoMacVlan::Flags(_)));
    if has_sources && mode != MacvlanMode::Source {
        return Err("source_mac() needs mode(MacvlanMode::Source)");
    }
    if is_quiet && mode != MacvlanMode::Passthrough {
        return Err("no_promiscuous() needs mode(MacvlanMode::Passthrough)");
    }
    Ok(())
}

macvlan_builder! {
    /// A macvlan to create: a link with a hardware address of its own, on a parent that carries its
    /// frames.
    ///
    /// Replaces `ip link add link PARENT name NAME type macvlan mode bridge`.
    ///
    /// ```
    /// use netloom::{Macvlan, MacvlanMode, Namespace, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let container = Namespace::anonymous().create()?;
    /// let uplink = VethPair::new("eth0", "switch").create(&host)?;
    /// let eth0 = Macvlan::new("eth0", uplink.near())
    ///     .mode(MacvlanMode::Bridge)
    ///     .address("192.0.2.7/24")
    ///     .create_between(&host, &container)?;
    /// assert_eq!(eth0.macvlan_info()?.map(|info| info.mode), Some(MacvlanMode::Bridge));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// The parent's own namespace exchanges no frames with its macvlans. A macvlan is deleted with
    /// its parent. Source: ip-link(8), `drivers/net/macvlan.c`.
    Macvlan, "create macvlan"
}

link_info! {
    /// The options of a macvlan or macvtap, as `ip -details link` lists them.
    MacvlanInfo of Macvlan, Macvtap by
    /// Reads the options of this macvlan or macvtap. `None` if the link is of another kind.
    macvlan_info, InfoMacVlan {
        /// The frames that the links of one parent exchange.
        mode: MacvlanMode = InfoMacVlan::Mode(mode) => u32::from(*mode).into();
        /// The addresses that the link receives from, with `MacvlanMode::Source`.
        source_macs: Vec<MacAddr> = InfoMacVlan::MacAddrData(list) => macs(list);
        /// The length of the queue for broadcast and multicast that the link asks for, in frames.
        broadcast_queue_length: u32 = InfoMacVlan::BcQueueLen(frames) => *frames;
        /// True if the parent is not in promiscuous mode for the link.
        no_promiscuous: bool =
            InfoMacVlan::Flags(flags) => flags.contains(MacVlanFlags::NoPromisc);
    }
}

fn macs(list: &[InfoMacVlan]) -> Vec<MacAddr> {
    let mac = |one: &InfoMacVlan| match one {
        InfoMacVlan::MacAddr(mac) => Some(MacAddr::from(*mac)),
        _ => None,
    };
    let mut macs: Vec<_> = list.iter().filter_map(mac).collect();
    macs.sort_unstable();
    macs
}

#[cfg(test)]
pub(super) fn example(netns: &crate::netns::Netns) -> Result<(), crate::error::Error> {
    let cable = super::veth::VethPair::new("veth1", "veth2").create(netns)?;
    drop(Macvlan::new("macvlan0", cable.near()).up().create(netns)?);
    // Has the parent's address.
    let alone = Macvlan::new("macvlan1", cable.near()).mode(MacvlanMode::Passthrough);
    alone.create(netns)?.delete().map_err(crate::error::Error::from)
}
