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
    /// Writes the options that the kernel requires for a link of this kind.
    pub(crate) required: fn(&mut Writer<'_>),
}

impl Kind {
    const PLAIN: Self = Self { keeps_address: true, has_parent: false, required: |_| () };
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

/// An address reserved for documentation (RFC 5737): no packet is sent to it.
const REMOTE: [u8; 4] = [192, 0, 2, 1];

kinds! {
    created {
        /// A cable with two ends.
        Veth = "veth" in veth: Veth VethEnd VethPair,
        /// A switch.
        Bridge = "bridge" in bridge: Bridge,
        /// A link that queues incoming packets.
        Ifb = "ifb" in ifb: Ifb,
    }
    known {
        /// A link that drops all packets.
        Dummy = "dummy": Kind::PLAIN,
        /// A tagged VLAN of another link.
        Vlan = "vlan": Kind {
            required: |out| out.emit(&packet::InfoVlan::Id(7)),
            ..Kind::ON_PARENT
        },
        /// A link with its own hardware address on a parent link.
        Macvlan = "macvlan": Kind::ON_PARENT,
        /// A macvlan whose packets a program reads and writes.
        Macvtap = "macvtap": Kind::ON_PARENT,
        /// A link with its own IP addresses on a parent link, whose hardware address it uses.
        Ipvlan = "ipvlan": Kind { keeps_address: false, ..Kind::ON_PARENT },
        /// An Ethernet tunnel over UDP (RFC 7348).
        Vxlan = "vxlan": Kind {
            required: |out| out.emit(&packet::InfoVxlan::Id(7)),
            ..Kind::PLAIN
        },
        /// An Ethernet tunnel over UDP with variable options (RFC 8926).
        Geneve = "geneve": Kind {
            required: |out| {
                out.emit(&packet::InfoGeneve::Id(7));
                out.emit(&packet::InfoGeneve::Remote(REMOTE.into()));
            },
            ..Kind::PLAIN
        },
        /// An encrypted tunnel.
        Wireguard = "wireguard": Kind::LAYER_3,
        /// Several links combined into one.
        Bond = "bond": Kind::PLAIN,
        /// A virtual routing domain: a link with its own routing table.
        Vrf = "vrf": Kind {
            required: |out| out.emit(&packet::InfoVrf::TableId(7)),
            ..Kind::PLAIN
        },
        /// A pair of links with BPF programs attached. Since Linux 6.7.
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
