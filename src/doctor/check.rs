//! The abilities that `doctor` checks.

use std::fmt;

use crate::link::LinkKind;

/// An ability that a program may need.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// `CAP_NET_ADMIN`, for links, addresses, routes and rules.
    NetAdmin,
    /// `CAP_SYS_ADMIN`, for namespaces and mounts.
    SysAdmin,
    /// `CAP_NET_RAW`, for raw sockets.
    NetRaw,
    /// A user namespace with a network namespace in it. An ordinary user needs one for everything else.
    UserNamespaces,
    /// An anonymous network namespace.
    NewNamespace,
    /// Names under `/run/netns`.
    NamedNamespaces,
    /// Writable settings under `/proc/sys/net`.
    Sysctls,
    /// A forward path without a drop policy in this namespace.
    ForwardPath,
    /// Bridged packets that bypass the IP rules (`br_netfilter` is off).
    BridgedPackets,
    /// A kind of link.
    Link(LinkKind),
    /// A feature of `nf_tables`.
    NfTables(NftFeature),
}

impl Check {
    pub(super) fn section(&self) -> &'static str {
        match self {
            Self::NetAdmin | Self::SysAdmin | Self::NetRaw | Self::UserNamespaces => "Privileges",
            Self::NewNamespace | Self::NamedNamespaces => "Namespaces",
            Self::Sysctls | Self::ForwardPath | Self::BridgedPackets => "Settings and packets here",
            Self::Link(_) => "Links",
            Self::NfTables(_) => "nf_tables",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetAdmin => "change links, addresses, routes, rules (CAP_NET_ADMIN)",
            Self::SysAdmin => "enter namespaces and mount (CAP_SYS_ADMIN)",
            Self::NetRaw => "open raw sockets (CAP_NET_RAW)",
            Self::UserNamespaces => "work without root, in a user namespace",
            Self::NewNamespace => "make anonymous network namespaces",
            Self::NamedNamespaces => "make named network namespaces, as `ip netns` does",
            Self::Sysctls => "change settings under /proc/sys/net",
            Self::ForwardPath => "forward packets past every drop policy",
            Self::BridgedPackets => "bridge packets past the IP rules",
            Self::Link(kind) => kind.name(),
            Self::NfTables(feature) => feature.name(),
        })
    }
}

/// Defines an enum with a list of its variants and a text for each.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name in the kernel's or its tools' words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

listed! {
    /// A feature of `nf_tables`.
    NftFeature {
        /// Tables.
        Tables = "tables",
        /// Tables that the kernel deletes with their owner's socket. Since Linux 5.12.
        OwnerFlag = "tables deleted with their owner (flag owner)",
        /// Owned tables that outlive their owner. Since Linux 6.9.
        PersistFlag = "owned tables that outlive their owner (flag persist)",
        /// NAT of IPv4.
        Nat = "NAT (masquerade)",
        /// NAT of both families in one table. Since Linux 5.2.
        NatInet = "NAT of IPv4 and IPv6 in one table (inet)",
        /// Maps, which hold port mappings.
        Maps = "maps",
        /// Lookups in the routing tables.
        Fib = "lookups in the routing tables (fib)",
        /// The fast path for forwarded connections.
        Flowtable = "the fast path for forwarded connections (flowtable)",
    }
}
