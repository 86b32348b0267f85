//! The builder of NAT rules.

use ipnet::IpNet;

use super::handle::{self, NatRuleHandle};
use super::target::NatTarget;
use crate::error::Error;
use crate::input::{FirstRejected, Input, network};
use crate::link::LinkRef;
use crate::link_pattern::LinkPattern;
use crate::netns::Netns;
use crate::nft::{Family, check_tag};
use crate::owned::Owned;
use crate::port::PortRange;
use crate::protocol::Protocol;

/// A NAT rule: rewrites the source or the destination of packets.
///
/// Replaces `iptables -t nat -A POSTROUTING|PREROUTING|OUTPUT … -j
/// MASQUERADE|SNAT|DNAT|REDIRECT|NETMAP`, over `nf_tables` netlink.
///
/// ```
/// use netloom::{NatRule, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// // -A POSTROUTING -s 10.0.0.0/24 -o eth0 -j MASQUERADE
/// let way_out = NatRule::masquerade().source("10.0.0.0/24").oifname("eth0").create(&host)?;
/// // -A POSTROUTING -s 10.0.0.7 -o eth0 -j SNAT --to-source 198.51.100.7
/// let fixed = NatRule::snat("198.51.100.7").source("10.0.0.7/32").create(&host)?;
/// // -A PREROUTING -i eth0 -p tcp --dport 443 -j DNAT --to-destination 10.0.0.2:8443
/// let web = NatRule::dnat("10.0.0.2").to_ports(8443).iifname("eth0").tcp().dport(443);
/// let web = web.create(&host)?;
/// // -A PREROUTING -p udp --dport 53 -j REDIRECT --to-ports 5353
/// let dns = NatRule::redirect(5353).udp().dport(53).create(&host)?;
///
/// assert_eq!(web.counter()?.packets, 0);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// # Held or persistent
///
/// A rule is **held** by default. All held rules of a namespace handle are in one table,
/// `netloom-N` in the family `inet`. The table has the owner flag: no other process can change it,
/// `nft flush ruleset` skips it, and the kernel deletes it when the process ends, even by SIGKILL.
///
/// A [`persistent`](Self::persistent) rule is for programs that end before the network does.
///
/// Only the first packet of a connection looks for a rule. Existing connections don't change;
/// [`ConntrackFilter`](crate::ConntrackFilter) deletes their entries. Source: nft(8).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
#[allow(clippy::struct_excessive_bools)] // the flags of a translation, each with its setter
pub struct NatRule {
    pub(super) translation: Option<Translation>,
    pub(super) to_ports: Option<PortRange>,
    pub(super) random: bool,
    pub(super) fully_random: bool,
    pub(super) persistent_address: bool,
    pub(super) locally_generated: bool,
    pub(super) input: Option<Link>,
    pub(super) output: Option<Link>,
    pub(super) source: Option<IpNet>,
    pub(super) source_not: Vec<IpNet>,
    pub(super) destination: Option<IpNet>,
    pub(super) destination_not: Vec<IpNet>,
    pub(super) protocol: Option<Protocol>,
    pub(super) sport: Option<PortRange>,
    pub(super) dport: Option<PortRange>,
    pub(super) mark: Option<(u32, u32)>,
    pub(super) tag: Option<String>,
    rejected: FirstRejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Translation {
    Masquerade,
    Source(NatTarget),
    Destination(NatTarget),
    Redirect,
}

/// A match on a link: the index of one link, or a name or pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Index(LinkRef),
    Name(LinkPattern),
}

impl NatRule {
    fn new(translation: Option<Translation>, rejected: FirstRejected) -> Self {
        Self {
            translation,
            to_ports: None,
            random: false,
            fully_random: false,
            persistent_address: false,
            locally_generated: false,
            input: None,
            output: None,
            source: None,
            source_not: Vec::new(),
            destination: None,
            destination_not: Vec::new(),
            protocol: None,
            sport: None,
            dport: None,
            mark: None,
            tag: None,
            rejected,
        }
    }

    /// Masquerades: rewrites the source of outgoing packets to the address of the link that they
    /// leave by, IPv4 and IPv6.
    #[doc(alias = "MASQUERADE")]
    pub fn masquerade() -> Self {
        Self::new(Some(Translation::Masquerade), FirstRejected::default())
    }

    /// Rewrites the source of outgoing packets to an address, to an address of a range
    /// (`"198.51.100.7-198.51.100.9"`), or to an address of a prefix with the same host part
    /// (`"198.51.100.0/28"`).
    #[doc(alias("SNAT", "NETMAP", "--to-source"))]
    pub fn snat(to: impl Input<NatTarget>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("snat", to);
        Self::new(target.map(Translation::Source), rejected)
    }

    /// Rewrites the destination of incoming packets to an address, to an address of a range, or to
    /// an address of a prefix with the same host part. [`to_ports`](Self::to_ports) rewrites the
    /// port too.
    ///
    /// The namespace must forward the packets ([`Forwarding`](crate::Forwarding)).
    #[doc(alias("DNAT", "NETMAP", "--to-destination"))]
    pub fn dnat(to: impl Input<NatTarget>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("dnat", to);
        Self::new(target.map(Translation::Destination), rejected)
    }

    /// Redirects incoming packets to this port of the namespace itself, IPv4 and IPv6. The new
    /// destination is the address of the link by which a packet arrives. With
    /// [`locally_generated`](Self::locally_generated) it is the loopback address.
    #[doc(alias("REDIRECT", "--to-ports"))]
    pub fn redirect(port: impl Into<PortRange>) -> Self {
        let mut rule = Self::new(Some(Translation::Redirect), FirstRejected::default());
        rule.to_ports = rule.target("redirect", port.into());
        rule
    }

    /// Sets the new port, or the ports to choose from: `8080` or `1024..=2047`. Needs a protocol.
    /// Default: the packet's own port, unless another connection uses that port.
    pub fn to_ports(mut self, ports: impl Into<PortRange>) -> Self {
        self.to_ports = self.target("to_ports", ports.into());
        self
    }

    /// Chooses ports by a random hash of the connection, as `--random`.
    #[doc(alias("--random", "NF_NAT_RANGE_PROTO_RANDOM"))]
    pub fn random(mut self) -> Self {
        self.random = true;
        self
    }

    /// Chooses ports fully at random, as `--random-fully`, so that parallel queries don't collide
    /// at one port.
    #[doc(alias("--random-fully", "NF_NAT_RANGE_PROTO_RANDOM_FULLY"))]
    pub fn fully_random(mut self) -> Self {
        self.fully_random = true;
        self
    }

    /// Gives a client the same address of a range for all its connections, as `--persistent`.
    #[doc(alias("--persistent", "NF_NAT_RANGE_PERSISTENT"))]
    pub fn persistent_address(mut self) -> Self {
        self.persistent_address = true;
        self
    }

    /// Applies destination NAT or redirection to packets that this namespace sends (chain OUTPUT),
    /// instead of packets that arrive by a link. Source NAT always applies to both.
    #[doc(alias = "OUTPUT")]
    pub fn locally_generated(mut self) -> Self {
        self.locally_generated = true;
        self
    }

    fn prefix(&mut self, setter: &'static str, prefix: impl Input<IpNet>) -> Option<IpNet> {
        let prefix = self.rejected.read(setter, prefix)?;
        network(prefix).map_err(|reason| self.rejected.reject(setter, prefix, reason)).ok()
    }

    /// Matches packets from this network, as `-s PREFIX`. Default: from anywhere.
    #[doc(alias = "ip saddr")]
    pub fn source(mut self, prefix: impl Input<IpNet>) -> Self {
        self.source = self.prefix("source", prefix).or(self.source);
        self
    }

    /// Matches packets that are not from this network, as `! -s PREFIX`; repeatable.
    #[doc(alias = "ip saddr !=")]
    pub fn source_not(mut self, prefix: impl Input<IpNet>) -> Self {
        let prefix = self.prefix("source_not", prefix);
        self.source_not.extend(prefix);
        self
    }

    /// Matches packets to this network, as `-d PREFIX`. Default: to anywhere.
    #[doc(alias = "ip daddr")]
    pub fn destination(mut self, prefix: impl Input<IpNet>) -> Self {
        self.destination = self.prefix("destination", prefix).or(self.destination);
        self
    }

    /// Matches packets that are not to this network, as `! -d PREFIX`; repeatable.
    ///
    /// Exclude the network itself from a masquerading rule without a link: with `br_netfilter`,
    /// packets between two ports of a bridge pass the rule too.
    #[doc(alias = "ip daddr !=")]
    pub fn destination_not(mut self, prefix: impl Input<IpNet>) -> Self {
        let prefix = self.prefix("destination_not", prefix);
        self.destination_not.extend(prefix);
        self
    }

    /// Matches packets that arrive by this link. `create` looks the link up; the rule follows a
    /// rename. Default: by any link.
    #[doc(alias = "-i")]
    pub fn iif(mut self, link: impl Into<LinkRef>) -> Self {
        self.input = Some(Link::Index(link.into()));
        self
    }

    /// Matches packets that leave by this link. `create` looks the link up; the rule follows a
    /// rename. Default: by any link.
    #[doc(alias = "-o")]
    pub fn oif(mut self, link: impl Into<LinkRef>) -> Self {
        self.output = Some(Link::Index(link.into()));
        self
    }

    /// Matches packets that arrive by a link with this name or pattern, as `-i NAME`. The link need
    /// not exist.
    #[doc(alias("-i", "in_link"))]
    pub fn iifname(mut self, pattern: impl Input<LinkPattern>) -> Self {
        self.input = self.rejected.read("iifname", pattern).map(Link::Name);
        self
    }

    /// Matches packets that leave by a link with this name or pattern, as `-o NAME`. The link need
    /// not exist.
    #[doc(alias("-o", "out_link"))]
    pub fn oifname(mut self, pattern: impl Input<LinkPattern>) -> Self {
        self.output = self.rejected.read("oifname", pattern).map(Link::Name);
        self
    }

    /// Matches TCP, as `-p tcp`.
    pub fn tcp(self) -> Self {
        self.protocol(Protocol::TCP)
    }

    /// Matches UDP, as `-p udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Matches SCTP, as `-p sctp`.
    pub fn sctp(self) -> Self {
        self.protocol(Protocol::SCTP)
    }

    /// Matches this protocol, as `-p`. Default: any protocol.
    #[doc(alias = "meta l4proto")]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    fn target(&mut self, setter: &'static str, ports: PortRange) -> Option<PortRange> {
        ports.check().map_err(|reason| self.rejected.reject(setter, ports, reason)).ok()
    }

    fn range(&mut self, setter: &'static str, ports: PortRange) -> Option<PortRange> {
        ports.check_match().map_err(|reason| self.rejected.reject(setter, ports, reason)).ok()
    }

    /// Matches this source port or range, as `--sport`. Needs a protocol.
    #[doc(alias = "--sport")]
    pub fn sport(mut self, ports: impl Into<PortRange>) -> Self {
        self.sport = self.range("sport", ports.into());
        self
    }

    /// Matches this destination port or range, as `--dport`. Needs a protocol.
    #[doc(alias = "--dport")]
    pub fn dport(mut self, ports: impl Into<PortRange>) -> Self {
        self.dport = self.range("dport", ports.into());
        self
    }

    /// Matches packets with this mark.
    #[doc(alias("--mark", "meta mark"))]
    pub fn mark(self, mark: u32) -> Self {
        self.mark_bits(mark, u32::MAX)
    }

    /// Matches packets with this mark in the bits of `mask`.
    #[doc(alias = "--mark")]
    pub fn mark_bits(mut self, mark: u32, mask: u32) -> Self {
        self.mark = Some((mark & mask, mask));
        self
    }

    /// Makes the rule outlive the program. Any program finds the rule by the tag
    /// ([`Netns::nat_rules_with_tag`]); several rules may share a tag of at most 119 bytes.
    ///
    /// ```
    /// use netloom::{NatRule, Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let rule = NatRule::masquerade().source("10.0.0.0/24").persistent("net1/web");
    /// rule.create(&host)?.keep();
    ///
    /// // Another program, later:
    /// for rule in host.nat_rules_with_tag("net1/web")? {
    ///     Owned::adopt(rule.handle().clone()).delete()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Persistent rules are in the table `netloom` of the family `inet`, with the tag as their
    /// comment. The table has no owner: `nft flush ruleset` deletes it.
    pub fn persistent(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if let Err(reason) = check_tag(&tag) {
            self.rejected.reject("persistent", &tag, reason);
        }
        self.tag = Some(tag);
        self
    }

    /// Creates the rule.
    ///
    /// Values that are known to be wrong are refused before any system call. Examples are mixed
    /// families, a port without a protocol, port 0, an empty range, and `oif` with destination NAT.
    ///
    /// # Errors
    ///
    /// - [`is_not_found`](Error::is_not_found) if a link of [`iif`](Self::iif) or
    ///   [`oif`](Self::oif) is gone
    /// - [`is_unsupported`](Error::is_unsupported) if the kernel has no NAT for `nf_tables`
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, or without
    ///   `CAP_SYS_ADMIN` at the first use of `nf_tables` in a namespace that the thread is not in
    pub fn create(&self, netns: &Netns) -> Result<Owned<NatRuleHandle>, Error> {
        self.rejected.check(handle::ACTION, self)?;
        self.check().map_err(|reason| Error::invalid(handle::ACTION, self, reason))?;
        let rule = self.rule().counter();
        let rule = self.translate(rule);
        rule.check(Family::Inet).map_err(|error| error.while_doing(handle::ACTION, self))?;
        for link in [&self.input, &self.output].into_iter().flatten() {
            if let Link::Index(link) = link {
                link.check_home(netns, handle::ACTION, self)?;
            }
        }
        handle::create(netns, (&self.chain(), &rule), self.tag.as_deref(), self).map(Owned::new)
    }
}
