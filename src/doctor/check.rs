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
    /// A user namespace with a network namespace in it. An ordinary user needs one for everything
    /// else.
    UserNamespaces,
    /// An anonymous network namespace.
    NewNamespace,
    /// Names under `/run/netns`.
    NamedNamespaces,
    /// Writable settings under `/proc/sys/net`.
    Sysctls,
    /// A forward path that no other program's chain blocks in this namespace.
    ForwardPath,
    /// The IP rules do not see bridged packets (`br_netfilter` is off).
    BridgedPackets,
    /// A kind of link.
    Link(LinkKind),
    /// A feature of `nf_tables`.
    NfTables(NftFeature),
}

impl Check {
    /// Returns the section of the report, and the words after "can" or "can't".
    pub(super) fn words(&self) -> (&'static str, &str) {
        const PRIVILEGES: &str = "Privileges";
        const NAMESPACES: &str = "Namespaces";
        const HERE: &str = "Settings and packets here";
        match self {
            Self::NetAdmin => {
                (PRIVILEGES, "change links, addresses, routes, rules (CAP_NET_ADMIN)")
            }
            Self::SysAdmin => (PRIVILEGES, "enter namespaces and mount (CAP_SYS_ADMIN)"),
            Self::NetRaw => (PRIVILEGES, "open raw sockets (CAP_NET_RAW)"),
            Self::UserNamespaces => (PRIVILEGES, "work without root, in a user namespace"),
            Self::NewNamespace => (NAMESPACES, "make anonymous network namespaces"),
            Self::NamedNamespaces => {
                (NAMESPACES, "make named network namespaces, as `ip netns` does")
            }
            Self::Sysctls => (HERE, "change settings under /proc/sys/net"),
            Self::ForwardPath => (HERE, "forward packets by its own rules alone"),
            Self::BridgedPackets => (HERE, "bridge packets past the IP rules"),
            Self::Link(kind) => ("Links", kind.name()),
            Self::NfTables(feature) => ("nf_tables", feature.name()),
        }
    }
}

/// Writes the ability, as the words after "can".
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

/// Defines the features with their names and the kernels that have them.
macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $needs:literal;)+) => {
        /// A feature of `nf_tables`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum NftFeature {
            $($(#[$doc])* $variant,)+
        }

        impl NftFeature {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name in the kernel's or its tools' words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Returns the kernel, option or module that has the feature.
            pub(super) fn needs(self) -> &'static str {
                match self {
                    $(Self::$variant => $needs,)+
                }
            }
        }
    };
}

features! {
    /// Tables.
    Tables = "tables", "`modprobe nf_tables` as root, or a kernel with CONFIG_NF_TABLES";
    /// Tables that the kernel deletes with their owner's socket. Since Linux 5.12.
    OwnerFlag = "tables deleted with their owner (flag owner)", "Linux 5.12 or later";
    /// NAT of IPv4.
    Nat = "NAT (masquerade)", "a kernel with CONFIG_NFT_NAT and CONFIG_NFT_MASQ";
    /// NAT of both families in one table. Since Linux 5.2.
    NatInet = "NAT of IPv4 and IPv6 in one table (inet)",
        "Linux 5.2 or later with CONFIG_NFT_NAT and CONFIG_NF_TABLES_INET";
    /// Maps, which hold port mappings.
    Maps = "maps", "a kernel with CONFIG_NF_TABLES";
    /// Lookups in the routing tables.
    Fib = "lookups in the routing tables (fib)", "a kernel with CONFIG_NFT_FIB_IPV4";
    /// The fast path for forwarded connections.
    Flowtable = "the fast path for forwarded connections (flowtable)",
        "a kernel with CONFIG_NF_FLOW_TABLE and CONFIG_NF_FLOW_TABLE_INET";
}
