//! The kinds of links. Each kind has a file, and a line in the list below.

use std::fmt;

use netlink_packet_route::link as packet;

use crate::wire::attribute::Writer;

/// The facts about a kind that code for all kinds needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// True if a new link keeps the hardware address that the create request asks for. netloom then
    /// recognizes the link by this address if the answer was lost. A layer-3 link has no hardware
    /// address.
    pub(crate) keeps_address: bool,
    /// True if a link of this kind is stacked on a parent link.
    pub(crate) has_parent: bool,
    /// The length of a new link's transmit queue, in packets.
    pub(crate) queue_length: u32,
    /// The module that has the kind, if its name is another one.
    pub(crate) module: Option<&'static str>,
    /// Writes the options that the kernel requires for a link of this kind.
    pub(crate) required: fn(&mut Writer<'_>),
}

impl Kind {
    const PLAIN: Self = Self {
        keeps_address: true,
        has_parent: false,
        // `DEFAULT_TX_QUEUE_LEN` in `include/net/sch_generic.h`.
        queue_length: 1000,
        module: None,
        required: |_| (),
    };
    const ON_PARENT: Self = Self { has_parent: true, ..Self::PLAIN };
    const LAYER_3: Self = Self { keeps_address: false, ..Self::PLAIN };
}

/// Lists the kinds. A kind that netloom creates has the module of its file and its public types. A
/// kind that only `doctor` tries has its facts.
macro_rules! kinds {
    (
        created {
            $($(#[$doc:meta])* $created:ident = $name:literal in $module:ident: $($public:ident)+,)+
        }
        known { $($(#[$known_doc:meta])* $known:ident = $known_name:literal: $facts:expr,)+ }
    ) => {
        $(mod $module;)+

        /// The builders of links, and the handles of kinds that have a handle type.
        pub(crate) mod builders {
            $(pub use super::$module::{$($public),+};)+
        }

        /// A kind of link, as in `ip link add … type KIND`.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum LinkKind {
            $($(#[$doc])* $created,)+
            $($(#[$known_doc])* $known,)+
            /// A kind that netloom does not know, by the kernel's name.
            Other(Box<str>),
        }

        impl LinkKind {
            /// All kinds except `Other`.
            pub const ALL: &[Self] = &[$(Self::$created,)+ $(Self::$known,)+];

            /// Returns the kernel's name of the kind.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$created => $name,)+
                    $(Self::$known => $known_name,)+
                    Self::Other(name) => name,
                }
            }

            pub(crate) fn facts(&self) -> Kind {
                match self {
                    $(Self::$created => $module::KIND,)+
                    $(Self::$known => $facts,)+
                    Self::Other(_) => Kind::PLAIN,
                }
            }
        }

        /// Creates and deletes one link of each kind that netloom creates.
        #[cfg(test)]
        pub(crate) const EXAMPLES: &[(&str, fn(&crate::netns::Netns) -> Result<(), crate::error::Error>)] =
            &[$(($name, $module::example),)+];
    };
}

/// Defines `create` and `create_between` of a kind that is made on a parent, by `new_link`. Takes
/// the words for a parent that can't be one.
macro_rules! create_on_parent {
    ($unfit:literal) => {
        /// Creates the link on a parent in the same namespace.
        ///
        /// # Errors
        ///
        /// The errors of [`create_between`](Self::create_between).
        pub fn create(
            &self,
            netns: &$crate::netns::Netns,
        ) -> Result<$crate::owned::Owned<$crate::link::Link>, $crate::error::Error> {
            self.new_link(netns, netns)
        }

        /// Creates the link in the namespace `netns` on a parent in the namespace `parent`, in one
        /// message.
        ///
        /// # Errors
        ///
        /// A value that can be known wrong is refused before any system call. Nothing is left after
        /// a failure.
        /// - `is_already_exists()` if a link has the name.
        /// - `is_not_found()` if there is no parent.
        #[doc = concat!("- The kernel refuses a parent that ", $unfit, ".")]
        /// - `is_unsupported()` in a kernel without this kind.
        #[doc(alias("ip link add link", "RTM_NEWLINK", "IFLA_LINK"))]
        pub fn create_between(
            &self,
            parent: &$crate::netns::Netns,
            netns: &$crate::netns::Netns,
        ) -> Result<$crate::owned::Owned<$crate::link::Link>, $crate::error::Error> {
            self.new_link(parent, netns)
        }
    };
}

/// Documentation's own address (RFC 5737): no packet is sent there.
const REMOTE: [u8; 4] = [192, 0, 2, 1];

kinds! {
    created {
        /// A cable with two ends.
        Veth = "veth" in veth: Veth VethEnd VethPair,
        /// A switch.
        Bridge = "bridge" in bridge: Bridge,
        /// A link that queues incoming packets.
        Ifb = "ifb" in ifb: Ifb,
        /// A link that drops all packets.
        Dummy = "dummy" in dummy: Dummy,
        /// A tagged VLAN of another link.
        Vlan = "vlan" in vlan: Vlan VlanInfo VlanProtocol,
        /// A link with its own hardware address on a parent link.
        Macvlan = "macvlan" in macvlan: Macvlan MacvlanInfo MacvlanMode,
        /// A macvlan whose packets a program reads and writes.
        Macvtap = "macvtap" in macvtap: Macvtap,
        /// A link with its own IP addresses on a parent link, whose hardware address it uses.
        Ipvlan = "ipvlan" in ipvlan: Ipvlan IpvlanForwarding IpvlanInfo IpvlanMode,
        /// An Ethernet tunnel over UDP (RFC 7348).
        Vxlan = "vxlan" in vxlan: Vxlan VxlanFragment VxlanInfo,
        /// A virtual routing domain: a link with its own routing table.
        Vrf = "vrf" in vrf: Vrf VrfInfo,
        /// Several links combined into one.
        Bond = "bond" in bond:
            Bond BondAggregator BondArpValidate BondFailoverMac BondHash BondInfo BondMode BondReselect,
    }
    known {
        /// Ethernet in UDP, with options.
        Geneve = "geneve": Kind {
            required: |out| {
                out.emit(&packet::InfoGeneve::Id(7));
                out.emit(&packet::InfoGeneve::Remote(REMOTE.into()));
            },
            ..Kind::PLAIN
        },
        /// An encrypted tunnel.
        Wireguard = "wireguard": Kind::LAYER_3,
        /// A cable with BPF programs. Since Linux 6.7.
        Netkit = "netkit": Kind::LAYER_3,
        /// IP in GRE.
        Gre = "gre": Kind {
            required: |out| out.emit(&packet::InfoGre::Remote(REMOTE.into())),
            ..Kind::LAYER_3
        },
        /// IPv4 in IPv4.
        Ipip = "ipip": Kind {
            required: |out| out.emit(&packet::InfoIpTunnel::Remote(REMOTE.into())),
            ..Kind::LAYER_3
        },
        /// IPv6 in IPv4.
        Sit = "sit": Kind {
            required: |out| out.emit(&packet::InfoIpTunnel::Remote(REMOTE.into())),
            ..Kind::LAYER_3
        },
        /// A link whose packets a program reads and writes.
        Tun = "tun": Kind::LAYER_3,
    }
}

impl LinkKind {
    /// Returns the hint for a kernel that lacks the kind.
    pub(crate) fn unsupported(&self) -> String {
        let module = self.facts().module.unwrap_or(self.name());
        format!(
            "this kernel has no `{self}` links: load the module `{module}` as root, if it has one"
        )
    }
}

impl From<&str> for LinkKind {
    fn from(name: &str) -> Self {
        let known = Self::ALL.iter().find(|kind| kind.name() == name);
        known.cloned().unwrap_or_else(|| Self::Other(name.into()))
    }
}

/// Writes the kernel's name.
impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Escaped(self.name()).fmt(f)
    }
}
