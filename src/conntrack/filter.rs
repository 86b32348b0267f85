//! Filters of tracked connections, to list and to delete them.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

use super::entry::ConntrackEntry;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input};
use crate::netlink::{Batch, Socket};
use crate::netns::Netns;
use crate::protocol::Protocol;
use crate::wire::conntrack::{
    ANY, Entry, Filter, IPV4, IPV6, Tuple, append_count, append_list, read_count,
};

/// A filter of tracked connections. A filter without settings matches all of them.
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
/// The next packet of a deleted connection starts a new connection, which passes the current NAT
/// rules. For UDP that is necessary: a client keeps sending from the same port, and its packets
/// keep the old entry alive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing until `list` or `delete`"]
pub struct ConntrackFilter {
    filter: Filter,
    zone: Option<u16>,
    is_ipv4: Option<bool>,
    rejected: FirstRejected,
}

/// A connection that matched, with the request that deletes it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: ConntrackEntry,
    request: Vec<u8>,
}

const DELETE: &str = "delete tracked connections";

/// The most deletions in one datagram. If each is refused, the answers fit the socket's buffer.
const AT_ONCE: usize = 64;

impl ConntrackFilter {
    /// Matches all connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches TCP, as `-p tcp`.
    pub fn tcp(self) -> Self {
        self.protocol(Protocol::TCP)
    }

    /// Matches UDP, as `-p udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Matches this protocol, as `-p`.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.filter.original.protocol = Some(protocol.number());
        self
    }

    /// Matches the source address before NAT, as `-s`.
    #[doc(alias = "--orig-src")]
    pub fn original_source(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.original.source = self.rejected.read("original_source", address);
        self
    }

    /// Matches the destination address before NAT, as `-d`.
    #[doc(alias = "--orig-dst")]
    pub fn original_destination(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.original.destination = self.rejected.read("original_destination", address);
        self
    }

    /// Matches the source port before NAT, as `--sport`.
    #[doc(alias = "--orig-port-src")]
    pub fn original_source_port(mut self, port: u16) -> Self {
        self.filter.original.source_port = Some(port);
        self
    }

    /// Matches the destination port before NAT, as `--dport`.
    #[doc(alias = "--orig-port-dst")]
    pub fn original_destination_port(mut self, port: u16) -> Self {
        self.filter.original.destination_port = Some(port);
        self
    }

    /// Matches the source address of replies: the target of destination NAT, as `--reply-src`.
    #[doc(alias = "--reply-src")]
    pub fn reply_source(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.reply.source = self.rejected.read("reply_source", address);
        self
    }

    /// Matches the destination address of replies: the address that source NAT set, as
    /// `--reply-dst`.
    #[doc(alias = "--reply-dst")]
    pub fn reply_destination(mut self, address: impl Input<IpAddr>) -> Self {
        self.filter.reply.destination = self.rejected.read("reply_destination", address);
        self
    }

    /// Matches the source port of replies, as `--reply-port-src`.
    #[doc(alias = "--reply-port-src")]
    pub fn reply_source_port(mut self, port: u16) -> Self {
        self.filter.reply.source_port = Some(port);
        self
    }

    /// Matches the destination port of replies, as `--reply-port-dst`.
    #[doc(alias = "--reply-port-dst")]
    pub fn reply_destination_port(mut self, port: u16) -> Self {
        self.filter.reply.destination_port = Some(port);
        self
    }

    /// Matches this mark, as `-m MARK`.
    #[doc(alias = "--mark")]
    pub fn mark(self, mark: u32) -> Self {
        self.mark_bits(mark, u32::MAX)
    }

    /// Matches this mark in the bits of `mask`, as `-m MARK/MASK`.
    pub fn mark_bits(mut self, mark: u32, mask: u32) -> Self {
        self.filter.mark = Some((mark & mask, mask));
        self
    }

    /// Matches this zone, as `-w`. Default: any zone.
    #[doc(alias = "--zone")]
    pub fn zone(mut self, zone: u16) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Matches one family. Without a family, the kernel lists both.
    pub(crate) fn family(mut self, is_ipv4: bool) -> Self {
        self.is_ipv4 = Some(is_ipv4);
        self
    }

    /// Lists the connections that match.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for addresses of two families, before any system call
    /// - `is_permission_denied()` without `CAP_NET_ADMIN`, and at the first use in another
    ///   namespace without `CAP_SYS_ADMIN`
    pub fn list(&self, netns: &Netns) -> Result<Vec<ConntrackEntry>, Error> {
        let action = "list tracked connections";
        self.check(action)?;
        netns
            .netfilter(|socket| self.dump(socket, ConntrackEntry::read))
            .map_err(|cause| self.explain(cause, action, netns))
    }

    /// Deletes the connections that match and returns their number. With nothing set, deletes all
    /// of the namespace's connections: `conntrack -F`.
    ///
    /// # Errors
    ///
    /// The errors of [`list`](Self::list). A connection that ended meanwhile is no error, and
    /// doesn't count.
    #[doc(alias("conntrack -D", "conntrack -F", "IPCTNL_MSG_CT_DELETE"))]
    pub fn delete(&self, netns: &Netns) -> Result<usize, Error> {
        let candidates = self.candidates(netns, |_| true)?;
        self.delete_candidates(netns, &candidates)
    }

    /// Finds the connections that match and that `is_wanted` accepts: the first step of
    /// [`delete`](Self::delete).
    pub(crate) fn candidates(
        &self,
        netns: &Netns,
        is_wanted: impl Fn(&ConntrackEntry) -> bool,
    ) -> Result<Vec<Candidate>, Error> {
        self.check(DELETE)?;
        let candidate = |listed: &Entry<'_>| {
            let entry = ConntrackEntry::read(listed).filter(&is_wanted)?;
            let mut request = Vec::new();
            listed.append_delete(&mut request);
            Some(Candidate { entry, request })
        };
        netns
            .netfilter(|socket| self.dump(socket, candidate))
            .map_err(|cause| self.explain(cause, DELETE, netns))
    }

    /// Deletes these connections: the second step of [`delete`](Self::delete). Returns the number
    /// of connections that the kernel still had.
    pub(crate) fn delete_candidates(
        &self,
        netns: &Netns,
        candidates: &[Candidate],
    ) -> Result<usize, Error> {
        let delete = |socket: &mut Socket| {
            let mut deleted = candidates.len();
            for candidates in candidates.chunks(AT_ONCE) {
                let mut batch = Batch::default();
                for candidate in candidates {
                    batch.append(|out| out.extend_from_slice(&candidate.request));
                }
                for (_, refusal) in socket.exchange(&mut batch, |_, _| ())? {
                    if refusal.errno != Errno::ENOENT {
                        return Err(refusal.into());
                    }
                    deleted -= 1;
                }
            }
            Ok(deleted)
        };
        if candidates.is_empty() {
            return Ok(0);
        }
        netns.netfilter(delete).map_err(|cause| self.explain(cause, DELETE, netns))
    }

    /// Returns how many connections the namespace tracks. The kernel keeps this number, so the cost
    /// does not depend on it.
    pub(crate) fn count(netns: &Netns) -> Result<u32, Error> {
        let count = |socket: &mut Socket| {
            let count = socket.get(|batch| batch.append(append_count), read_count)?;
            count.ok_or(Cause::Malformed("an answer without the number of connections"))
        };
        netns.netfilter(count).map_err(|cause| cause.doing("count", "tracked connections"))
    }

    pub(crate) fn check(&self, action: &'static str) -> Result<(), Error> {
        self.rejected.check(action, self)?;
        let is_v4: Vec<_> = self.addresses().map(|address| address.is_ipv4()).collect();
        if is_v4.contains(&true) && is_v4.contains(&false) {
            let reason = "no connection has both an IPv4 and an IPv6 address";
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

    /// Returns the families to list: the family of an address or of the caller, otherwise all in
    /// one list. The kernel filters by protocol only within a family, so a protocol takes a list
    /// for each.
    fn families(&self) -> &'static [u8] {
        match self.addresses().next().map(|address| address.is_ipv4()).or(self.is_ipv4) {
            Some(true) => &[IPV4],
            Some(false) => &[IPV6],
            None if self.filter.original.protocol.is_some() => &[IPV4, IPV6],
            None => &[ANY],
        }
    }

    /// Reads the entries that match. The kernel's filter knows no zones, no ports without a
    /// protocol and no IPv6 addresses, so all listed entries are matched again here.
    fn dump<T>(
        &self,
        socket: &mut Socket,
        read: impl Fn(&Entry<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Cause> {
        let protocol = self.filter.original.protocol;
        let filter = Filter { reply: Tuple { protocol, ..self.filter.reply }, ..self.filter };
        let mut list = Vec::new();
        for &family in self.families() {
            let mut batch = Batch::default();
            batch.append(|out| append_list(out, family, &filter));
            list.extend(socket.dump(&mut batch, |message| {
                Entry::read(message)
                    .filter(|entry| self.matches(entry, &filter))
                    .as_ref()
                    .and_then(&read)
            })?);
        }
        Ok(list)
    }

    /// Reports whether the entry of a notification matches.
    pub(crate) fn matches_entry(&self, entry: &Entry<'_>) -> bool {
        self.matches(entry, &self.filter)
    }

    fn matches(&self, entry: &Entry<'_>, filter: &Filter) -> bool {
        filter.original.is_part_of(&entry.original)
            && filter.reply.is_part_of(&entry.reply)
            && filter.mark.is_none_or(|(mark, mask)| entry.mark & mask == mark)
            && self.zone.is_none_or(|zone| entry.zone == zone)
    }

    fn explain(&self, cause: Cause, action: &'static str, netns: &Netns) -> Error {
        cause.doing(action, self).in_namespace(netns).hint_on(Errno::EINVAL, || {
            "this kernel may have no interface to connection tracking (CONFIG_NF_CT_NETLINK)".into()
        })
    }
}

impl Netns {
    /// Lists the tracked connections, IPv4 and IPv6, as `conntrack -L`. A [`ConntrackFilter`] lists
    /// some of them.
    ///
    /// The kernel tracks connections once something needs it, such as a NAT rule. The list isn't
    /// taken at one moment: connections that start or end meanwhile may be in it or not.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// for entry in host.conntrack()? {
    ///     println!("{entry}");
    /// }
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `is_permission_denied()` without `CAP_NET_ADMIN`, and at the first use in another namespace
    /// without `CAP_SYS_ADMIN`.
    #[doc(alias("conntrack -L", "IPCTNL_MSG_CT_GET"))]
    pub fn conntrack(&self) -> Result<Vec<ConntrackEntry>, Error> {
        ConntrackFilter::new().list(self)
    }
}

/// Formats the filter as options of `conntrack`.
impl fmt::Display for ConntrackFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Filter { original, reply, mark } = self.filter;
        let mut words = Vec::new();
        let mut say = |option: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{option} {value}")));
        };
        say("-p", original.protocol.map(|number| Protocol::new(number).to_string()));
        for (of, tuple) in [("orig", original), ("reply", reply)] {
            say(&format!("--{of}-src"), tuple.source.map(|address| address.to_string()));
            say(&format!("--{of}-dst"), tuple.destination.map(|address| address.to_string()));
            say(&format!("--{of}-port-src"), tuple.source_port.map(|port| port.to_string()));
            say(&format!("--{of}-port-dst"), tuple.destination_port.map(|port| port.to_string()));
        }
        say("--mark", mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")));
        say("--zone", self.zone.map(|zone| zone.to_string()));
        if words.is_empty() { f.write_str("(all)") } else { f.write_str(&words.join(" ")) }
    }
}
