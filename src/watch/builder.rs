//! The builder of watchers.

use std::collections::BTreeSet;
use std::fmt;

use super::filter::{Family, Filter};
use super::kind::Kind;
use super::source::Source;
use crate::conntrack::ConntrackFilter;
use crate::error::{Cause, Error};
use crate::link::LinkIndex;
use crate::netlink::Protocol;
use crate::netns::Netns;

/// The default size of the kernel's queue, in bytes.
const ROOM: usize = 1 << 20;

/// A choice of what to watch in a namespace, made by [`Netns::watch`].
///
/// Replaces `ip monitor`, for programs that need every change.
///
/// ```
/// use netloom::{Bridge, Change, Event, Namespace};
/// # netloom::sandbox::enter()?;
/// use std::time::Duration;
///
/// let red = Namespace::anonymous().create()?;
/// let mut watcher = red.watch().links().addresses().start()?;
/// let _bridge = Bridge::new("br0").create(&red)?;
/// while let Some(event) = watcher.next_within(Duration::from_millis(20))? {
///     match event {
///         Event::Link(Change::Existing(link)) => assert_eq!(link.name, "lo"),
///         Event::Link(Change::New(link)) => assert_eq!(link.name, "br0"),
///         event => println!("{event}"),
///     }
/// }
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// The kernel does not report everything. It reports no change of the comment, group or alternative
/// names of a link that is down. It reports no neighbour that is not resolved yet. A watcher sees
/// such changes with the next change of the object.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start`"]
pub struct Watch {
    pub(super) netns: Netns,
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) filter: Filter,
    room: usize,
}

impl Netns {
    /// Chooses what to watch in the namespace. [`Watch::start`] starts to watch.
    #[doc(alias("ip monitor", "rtmon"))]
    pub fn watch(&self) -> Watch {
        Watch { netns: self.clone(), kinds: BTreeSet::new(), filter: Filter::default(), room: ROOM }
    }
}

impl Watch {
    fn kind(mut self, kind: Kind) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// Watches links, as `ip monitor link`.
    #[doc(alias = "RTNLGRP_LINK")]
    pub fn links(self) -> Self {
        self.kind(Kind::Links)
    }

    /// Watches addresses, as `ip monitor address`.
    #[doc(alias("RTNLGRP_IPV4_IFADDR", "RTNLGRP_IPV6_IFADDR"))]
    pub fn addresses(self) -> Self {
        self.kind(Kind::Addresses)
    }

    /// Watches routes of all tables, as `ip monitor route`.
    ///
    /// The kernel does not report the IPv4 routes that it removes with a link or an address. After
    /// such a change the watcher checks the routes, and yields the missing ones as removed.
    #[doc(alias("RTNLGRP_IPV4_ROUTE", "RTNLGRP_IPV6_ROUTE"))]
    pub fn routes(self) -> Self {
        self.kind(Kind::Routes)
    }

    /// Watches neighbours, as `ip monitor neigh`.
    #[doc(alias = "RTNLGRP_NEIGH")]
    pub fn neighbors(self) -> Self {
        self.kind(Kind::Neighbors)
    }

    /// Watches the ids of other namespaces, as `ip monitor nsid`.
    #[doc(alias = "RTNLGRP_NSID")]
    pub fn namespace_ids(self) -> Self {
        self.kind(Kind::NamespaceIds)
    }

    /// Watches tracked connections, as `conntrack -E`. Takes `CAP_NET_ADMIN`.
    ///
    /// With the default of the sysctl `net.netfilter.nf_conntrack_events`, the kernel does not
    /// report the end of a connection that started before any program watched.
    #[doc(alias("conntrack -E", "NFNLGRP_CONNTRACK_NEW"))]
    pub fn conntrack(mut self, filter: ConntrackFilter) -> Self {
        self.filter.connections = filter;
        self.kind(Kind::Conntrack)
    }

    /// Watches the generation of the `nf_tables` ruleset, as `nft monitor`. Takes `CAP_NET_ADMIN`.
    #[doc(alias("nft monitor", "NFT_MSG_NEWGEN"))]
    pub fn ruleset(self) -> Self {
        self.kind(Kind::Ruleset)
    }

    /// Watches only this link and the objects on it. Further calls add links. Default: all links.
    #[doc(alias = "ip monitor dev")]
    pub fn on_link(mut self, index: impl Into<LinkIndex>) -> Self {
        self.filter.links.insert(index.into().get());
        self
    }

    /// Watches only the routes of this table. Further calls add tables. Default: all tables.
    pub fn table(mut self, table: u32) -> Self {
        self.filter.tables.insert(table);
        self
    }

    /// Watches only IPv4 addresses, routes and neighbours, as `ip -4 monitor`.
    pub fn only_ipv4(mut self) -> Self {
        self.filter.family = Some(Family::Ipv4);
        self
    }

    /// Watches only IPv6 addresses, routes and neighbours, as `ip -6 monitor`.
    pub fn only_ipv6(mut self) -> Self {
        self.filter.family = Some(Family::Ipv6);
        self
    }

    /// Sets the size of the kernel's queue in bytes, including the kernel's overhead. An event
    /// takes about 1,000. Default: 1 MiB. Without `CAP_NET_ADMIN` at most twice
    /// `net.core.rmem_max`.
    #[doc(alias = "SO_RCVBUF")]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Opens a socket for each protocol.
    pub(super) fn open(&self) -> Result<Vec<Source>, Error> {
        let protocols = [Protocol::Route, Protocol::Netfilter].into_iter();
        let is_used = |protocol: &Protocol| self.kinds.iter().any(|k| k.protocol() == *protocol);
        let open = |protocol| {
            Source::open(&self.netns, protocol, &self.kinds, &self.filter, self.room)
                .map_err(|cause| self.failed(cause))
        };
        protocols.filter(is_used).map(open).collect()
    }

    pub(super) fn failed(&self, cause: Cause) -> Error {
        cause.doing("watch", self).in_namespace(&self.netns)
    }
}

/// Writes the kinds, such as `links, routes`.
impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kinds.is_empty() {
            return f.write_str("nothing");
        }
        let names: Vec<_> = self.kinds.iter().map(|kind| kind.name()).collect();
        f.write_str(&names.join(", "))
    }
}
