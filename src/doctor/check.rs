//! What is looked at.

use std::fmt;

/// Something that a program may want to do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// `CAP_NET_ADMIN`, for links, addresses, routes and rules.
    NetAdmin,
    /// `CAP_SYS_ADMIN`, for namespaces and mounts.
    SysAdmin,
    /// `CAP_NET_RAW`, for raw sockets.
    NetRaw,
    /// A user namespace with a network namespace in it, which an ordinary user needs for anything.
    UserNamespaces,
    /// An anonymous network namespace.
    NewNamespace,
    /// Names under `/run/netns`.
    NamedNamespaces,
    /// `/proc/sys/net` can be written.
    Sysctls,
    /// Nobody's drop policy in the forward path of this namespace.
    ForwardPath,
    /// Bridged packets don't go through the IP rules (`br_netfilter`).
    BridgedPackets,
    /// A kind of link.
    Link(LinkKind),
    /// A feature of `nf_tables`.
    NfTables(NftFeature),
}

impl Check {
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::NetAdmin | Self::SysAdmin | Self::NetRaw | Self::UserNamespaces => "Privileges",
            Self::NewNamespace | Self::NamedNamespaces => "Namespaces",
            Self::Sysctls | Self::ForwardPath | Self::BridgedPackets => {
                "In the way of packets here"
            }
            Self::Link(_) => "Links",
            Self::NfTables(_) => "nf_tables",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetAdmin => "CAP_NET_ADMIN: links, addresses, routes, rules",
            Self::SysAdmin => "CAP_SYS_ADMIN: namespaces and mounts",
            Self::NetRaw => "CAP_NET_RAW: raw sockets and pings",
            Self::UserNamespaces => "user namespaces, for running without root",
            Self::NewNamespace => "anonymous network namespaces",
            Self::NamedNamespaces => "named network namespaces, as `ip netns` has them",
            Self::Sysctls => "settings under /proc/sys/net can be changed",
            Self::ForwardPath => "no drop policy waits for forwarded packets",
            Self::BridgedPackets => "bridged packets don't go through IP rules",
            Self::Link(kind) => kind.name(),
            Self::NfTables(feature) => feature.name(),
        })
    }
}

/// An enum that lists all of itself with a text each.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All that are looked at.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// In the kernel's or its tools' words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

listed! {
    /// A kind of link, as `ip link add … type KIND`.
    LinkKind {
        /// A cable with two ends.
        Veth = "veth",
        /// A switch.
        Bridge = "bridge",
        /// A link to nowhere.
        Dummy = "dummy",
        /// A tagged VLAN of another link.
        Vlan = "vlan",
        /// A link with a hardware address of its own on another.
        Macvlan = "macvlan",
        /// A macvlan that a program reads and writes.
        Macvtap = "macvtap",
        /// A link with IP addresses of its own on another.
        Ipvlan = "ipvlan",
        /// Ethernet in UDP.
        Vxlan = "vxlan",
        /// Ethernet in UDP, with options.
        Geneve = "geneve",
        /// An encrypted tunnel.
        Wireguard = "wireguard",
        /// Several links as one.
        Bond = "bond",
        /// A routing table as a link.
        Vrf = "vrf",
        /// What comes in, sent through a queue.
        Ifb = "ifb",
        /// A cable with BPF in it. Since Linux 6.7.
        Netkit = "netkit",
        /// IP in GRE.
        Gre = "gre",
        /// IPv4 in IPv4.
        Ipip = "ipip",
        /// IPv6 in IPv4.
        Sit = "sit",
        /// A link that a program reads and writes.
        Tun = "tun",
    }
}

listed! {
    /// A feature of `nf_tables`.
    NftFeature {
        /// Tables at all.
        Tables = "tables",
        /// Tables that go with their owner's socket. Since Linux 5.12.
        OwnerFlag = "tables that go with their owner (flag owner)",
        /// Tables that stay without their owner. Since Linux 6.9.
        PersistFlag = "owned tables that stay (flag persist)",
        /// NAT of IPv4.
        Nat = "NAT (masquerade)",
        /// NAT of both families in one table. Since Linux 5.2.
        NatInet = "NAT of IPv4 and IPv6 in one table (inet)",
        /// Maps, which port mappings are kept in.
        Maps = "maps",
        /// Questions to the routing tables.
        Fib = "questions to the routing tables (fib)",
        /// The short cut for forwarded connections.
        Flowtable = "the short cut for forwarded connections (flowtable)",
    }
}
