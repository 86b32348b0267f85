//! Which connections are meant: to list, and to have the kernel forget.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::entry::ConntrackEntry;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::netlink::{Batch, Socket};
use crate::netns::Netns;
use crate::protocol::Protocol;
use crate::wire::conntrack::{ANY, EntryView, Filter, IPV4, IPV6, Tuple, append_list};

/// Which tracked connections are meant; with nothing set, all of them.
///
/// Replaces `conntrack -L` and `conntrack -D` with `-p`, `-s`, `-d`, `--sport`, `--dport`,
/// `--reply-src`, `--reply-dst`, `-m` and `-w`.
///
/// ```
/// use netloom::{ConntrackFilter, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// // conntrack -D -p udp -d 198.51.100.2 --dport 53
/// let stale = ConntrackFilter::new()
///     .udp()
///     .original_destination("198.51.100.2")
///     .original_destination_port(53);
/// assert_eq!(stale.list(&host)?, []);
/// assert_eq!(stale.delete(&host)?, 0);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// The next packet of a connection that was forgotten makes a new one, and goes through the NAT rules
/// of that moment: what needs this is UDP, whose clients know no end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing until `list` or `delete`"]
pub struct ConntrackFilter {
    filter: Filter,
    zone: Option<u16>,
    is_ipv4: Option<bool>,
    rejected: FirstRejected,
}

/// A connection that is to be forgotten, perhaps.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: ConntrackEntry,
    request: Vec<u8>,
}

const DELETE: &str = "delete tracked connections";

/// Deletions in one datagram: were each refused, the answers would still fit the socket's buffer.
const AT_ONCE: usize = 64;

impl ConntrackFilter {
    /// All connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of TCP, as `-p tcp`.
    pub fn tcp(self) -> Self {
        self.protocol(Protocol::TCP)
    }

    /// Those of UDP, as `-p udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Those of this protocol, as `-p`.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.filter.original.protocol = Some(protocol.number());
        self
    }

    /// Those that came from this address, before NAT, as `-s`.
    #[doc(alias = "--orig-src")]
    pub fn original_source(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.original.source = self.rejected.read("original_source", address);
        self
    }

    /// Those that went to this address, before NAT, as `-d`.
    #[doc(alias = "--orig-dst")]
    pub fn original_destination(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.original.destination = self.rejected.read("original_destination", address);
        self
    }

    /// Those that came from this port, before NAT, as `--sport`.
    #[doc(alias = "--orig-port-src")]
    pub fn original_source_port(mut self, port: u16) -> Self {
        self.filter.original.source_port = Some(port);
        self
    }

    /// Those that went to this port, before NAT, as `--dport`.
    #[doc(alias = "--orig-port-dst")]
    pub fn original_destination_port(mut self, port: u16) -> Self {
        self.filter.original.destination_port = Some(port);
        self
    }

    /// Those whose answers come from this address: where destination NAT sends them, as `--reply-src`.
    #[doc(alias = "--reply-src")]
    pub fn reply_source(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.reply.source = self.rejected.read("reply_source", address);
        self
    }

    /// Those whose answers go to this address: what source NAT gave them, as `--reply-dst`.
    #[doc(alias = "--reply-dst")]
    pub fn reply_destination(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.reply.destination = self.rejected.read("reply_destination", address);
        self
    }

    /// Those whose answers come from this port, as `--reply-port-src`.
    #[doc(alias = "--reply-port-src")]
    pub fn reply_source_port(mut self, port: u16) -> Self {
        self.filter.reply.source_port = Some(port);
        self
    }

    /// Those whose answers go to this port, as `--reply-port-dst`.
    #[doc(alias = "--reply-port-dst")]
    pub fn reply_destination_port(mut self, port: u16) -> Self {
        self.filter.reply.destination_port = Some(port);
        self
    }

    /// Those with this mark, as `-m MARK`.
    #[doc(alias = "--mark")]
    pub fn mark(self, mark: u32) -> Self {
        self.mark_bits(mark, u32::MAX)
    }

    /// Those with this mark in the bits of `mask`, as `-m MARK/MASK`.
    pub fn mark_bits(mut self, mark: u32, mask: u32) -> Self {
        self.filter.mark = Some((mark & mask, mask));
        self
    }

    /// Those tracked in this zone, as `-w`. Default: in any.
    #[doc(alias = "--zone")]
    pub fn zone(mut self, zone: u16) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Those of one family: the kernel goes through all it tracks once for each.
    pub(crate) fn family(mut self, is_ipv4: bool) -> Self {
        self.is_ipv4 = Some(is_ipv4);
        self
    }

    /// The connections that are meant.
    ///
    /// # Errors
    ///
    /// Addresses of two families are refused before any system call. Without `CAP_NET_ADMIN` it is
    /// [`is_permission_denied`](Error::is_permission_denied), and at the first use in a namespace that the thread is
    /// not in without `CAP_SYS_ADMIN`.
    pub fn list(&self, netns: &Netns) -> Result<Vec<ConntrackEntry>, Error> {
        let action = "list tracked connections";
        self.check(action)?;
        netns
            .netfilter(|socket| self.dump(socket, ConntrackEntry::read))
            .map_err(|cause| self.explain(cause, action, netns))
    }

    /// Has the kernel forget the connections that are meant, and tells how many it forgot. With
    /// nothing set, all of the namespace's: `conntrack -F`.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). A connection that ended by itself meanwhile is no error, and does not
    /// count.
    #[doc(alias("conntrack -D", "conntrack -F", "IPCTNL_MSG_CT_DELETE"))]
    pub fn delete(&self, netns: &Netns) -> Result<usize, Error> {
        let candidates = self.candidates(netns, |_| true)?;
        self.forget(netns, &candidates)
    }

    /// The first step of [`delete`](Self::delete): those that are meant and that the caller wants.
    pub(crate) fn candidates(
        &self,
        netns: &Netns,
        is_wanted: impl Fn(&ConntrackEntry) -> bool,
    ) -> Result<Vec<Candidate>, Error> {
        self.check(DELETE)?;
        let candidate = |view: EntryView<'_>| {
            let entry = ConntrackEntry::read(view).filter(&is_wanted)?;
            let mut request = Vec::new();
            view.append_delete(&mut request);
            Some(Candidate { entry, request })
        };
        netns
            .netfilter(|socket| self.dump(socket, candidate))
            .map_err(|cause| self.explain(cause, DELETE, netns))
    }

    /// The second step of [`delete`](Self::delete); tells how many the kernel still knew.
    pub(crate) fn forget(&self, netns: &Netns, candidates: &[Candidate]) -> Result<usize, Error> {
        let forget = |socket: &mut Socket| {
            let mut forgotten = candidates.len();
            for candidates in candidates.chunks(AT_ONCE) {
                let mut batch = Batch::default();
                for candidate in candidates {
                    batch.append(|out| out.extend_from_slice(&candidate.request));
                }
                for (_, refusal) in socket.exchange(&mut batch, |_, _| ())? {
                    if refusal.errno != Errno::ENOENT {
                        return Err(refusal.into());
                    }
                    forgotten -= 1;
                }
            }
            Ok(forgotten)
        };
        if candidates.is_empty() {
            return Ok(0);
        }
        netns.netfilter(forget).map_err(|cause| self.explain(cause, DELETE, netns))
    }

    fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let is_v4: Vec<_> = self.addresses().map(|address| address.is_ipv4()).collect();
        if is_v4.contains(&true) && is_v4.contains(&false) {
            let reason = "an IPv4 and an IPv6 address are never of one connection";
            return Err(Error::invalid(action, self, reason));
        }
        Ok(())
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let Filter { original, reply, .. } = self.filter;
        [original.source, original.destination, reply.source, reply.destination]
            .into_iter()
            .flatten()
    }

    /// The families to ask for: one where an address tells; both where the kernel is to filter by
    /// protocol, which it does within a family only; otherwise all in one list.
    fn families(&self) -> &'static [u8] {
        match self.addresses().next().map(|address| address.is_ipv4()).or(self.is_ipv4) {
            Some(true) => &[IPV4],
            Some(false) => &[IPV6],
            None if self.filter.original.protocol.is_some() => &[IPV4, IPV6],
            None => &[ANY],
        }
    }

    /// Reads the entries that are meant. What the kernel filtered is looked at again: it has no filter
    /// for zones, for ports of any protocol or for IPv6 addresses.
    fn dump<T>(
        &self,
        socket: &mut Socket,
        read: impl Fn(EntryView<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Cause> {
        let protocol = self.filter.original.protocol;
        let filter = Filter { reply: Tuple { protocol, ..self.filter.reply }, ..self.filter };
        let mut list = Vec::new();
        for &family in self.families() {
            let mut batch = Batch::default();
            batch.append(|out| append_list(out, family, &filter));
            list.extend(socket.dump_batch(&mut batch, |message| {
                let entry = EntryView::read(message)?;
                self.is_meant(entry, &filter).then(|| read(entry)).flatten()
            })?);
        }
        Ok(list)
    }

    fn is_meant(&self, entry: EntryView<'_>, filter: &Filter) -> bool {
        let holds =
            |part: Tuple, whole: Option<Tuple>| whole.is_some_and(|whole| part.is_part_of(&whole));
        holds(filter.original, entry.original())
            && holds(filter.reply, entry.reply())
            && filter.mark.is_none_or(|(mark, mask)| entry.mark() & mask == mark)
            && self.zone.is_none_or(|zone| entry.zone() == zone)
    }

    fn explain(&self, cause: Cause, action: &'static str, netns: &Netns) -> Error {
        cause.doing(action, self).in_namespace(netns).hint_on(Errno::EINVAL, || {
            "this kernel may have no interface to connection tracking (CONFIG_NF_CT_NETLINK)".into()
        })
    }
}

/// In the words of `conntrack`.
impl fmt::Display for ConntrackFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Filter { original, reply, mark } = self.filter;
        let mut words = Vec::new();
        let mut say = |option: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{option} {value}")));
        };
        say("-p", original.protocol.map(|number| Protocol::new(number).to_string()));
        say("--orig-src", original.source.map(|address| address.to_string()));
        say("--orig-dst", original.destination.map(|address| address.to_string()));
        say("--orig-port-src", original.source_port.map(|port| port.to_string()));
        say("--orig-port-dst", original.destination_port.map(|port| port.to_string()));
        say("--reply-src", reply.source.map(|address| address.to_string()));
        say("--reply-dst", reply.destination.map(|address| address.to_string()));
        say("--reply-port-src", reply.source_port.map(|port| port.to_string()));
        say("--reply-port-dst", reply.destination_port.map(|port| port.to_string()));
        say("--mark", mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")));
        say("--zone", self.zone.map(|zone| zone.to_string()));
        match words.as_slice() {
            [] => f.write_str("(all)"),
            words => f.write_str(&words.join(" ")),
        }
    }
}
