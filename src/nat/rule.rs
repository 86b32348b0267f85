//! The builder of NAT rules.

use std::fmt;

use ipnet::IpNet;
use nix::errno::Errno;

use super::guarded;
use super::handle::{self, NatHandle};
use super::matches::{Matches, NO_PROTOCOL};
use super::persistent;
use super::target::NatTarget;
use super::translation::{Kind, Translation};
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name, network};
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::owned::Owned;
use crate::port::PortRange;
use crate::protocol::Protocol;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::nat::NatFlags;

/// A NAT rule to be: packets get another source, or another destination.
///
/// Replaces `iptables -t nat -A POSTROUTING|PREROUTING|OUTPUT … -j MASQUERADE|SNAT|DNAT|REDIRECT|NETMAP`,
/// over `nf_tables` netlink.
///
/// ```
/// use netloom::{NatRule, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// // -A POSTROUTING -s 10.0.0.0/24 -o eth0 -j MASQUERADE
/// let way_out = NatRule::masquerade().source("10.0.0.0/24").out_link("eth0").create(&host)?;
/// // -A POSTROUTING -s 10.0.0.7 -o eth0 -j SNAT --to-source 198.51.100.7
/// let fixed = NatRule::source_nat("198.51.100.7").source("10.0.0.7/32").create(&host)?;
/// // -A PREROUTING -i eth0 -p tcp --dport 443 -j DNAT --to-destination 10.0.0.2:8443
/// let web = NatRule::destination_nat("10.0.0.2").to_ports(8443).in_link("eth0").tcp().dport(443);
/// let web = web.create(&host)?;
/// // -A PREROUTING -p udp --dport 53 -j REDIRECT --to-ports 5353
/// let dns = NatRule::redirect(5353).udp().dport(53).create(&host)?;
///
/// assert_eq!(web.counter()?.packets, 0);
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// # Where it is kept
///
/// *Held*, the default: in a table of netloom's own, one a namespace handle, `netloom-N` in the family
/// `inet`. It has the owner flag: nobody else can change it, `nft flush ruleset` passes it by, and the
/// kernel removes it with the process, also on SIGKILL.
///
/// *Persistent*, with [`tagged`](Self::tagged): for programs that end before the network does.
///
/// Only the first packet of a connection looks for a rule: connections that are there already stay as
/// they are ([`ConntrackFilter`](crate::ConntrackFilter) has them forgotten). Source: nft(8).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct NatRule {
    translation: Option<Translation>,
    matches: Matches,
    locally_generated: bool,
    tag: Option<String>,
    rejected: FirstRejected,
}

impl NatRule {
    fn new(kind: Option<Kind>, rejected: FirstRejected) -> Self {
        Self {
            translation: kind.map(Translation::new),
            matches: Matches::default(),
            locally_generated: false,
            tag: None,
            rejected,
        }
    }

    /// Gives what leaves the address of the link it leaves by, IPv4 and IPv6.
    #[doc(alias = "MASQUERADE")]
    pub fn masquerade() -> Self {
        Self::new(Some(Kind::Masquerade), FirstRejected::default())
    }

    /// Gives what leaves this source: an address; one of a range, `"198.51.100.7-198.51.100.9"`; or the
    /// address at the same place in a prefix, `"198.51.100.0/28"`.
    #[doc(alias("SNAT", "NETMAP", "--to-source"))]
    pub fn source_nat(to: impl Input<NatTarget>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("source_nat", to);
        Self::new(target.map(Kind::Source), rejected)
    }

    /// Sends what comes in to this destination: an address; one of a range; or the address at the same
    /// place in a prefix. To another port with [`to_ports`](Self::to_ports).
    ///
    /// The namespace must forward for it to get there ([`Forwarding`](crate::Forwarding)).
    #[doc(alias("DNAT", "NETMAP", "--to-destination"))]
    pub fn destination_nat(to: impl Input<NatTarget>) -> Self {
        let mut rejected = FirstRejected::default();
        let target = rejected.read("destination_nat", to);
        Self::new(target.map(Kind::Destination), rejected)
    }

    /// Sends what comes in to this port of the namespace itself, at the address of the link it comes in
    /// by, IPv4 and IPv6; with [`locally_generated`](Self::locally_generated), at the loopback address.
    #[doc(alias("REDIRECT", "--to-ports"))]
    pub fn redirect(port: impl Into<PortRange>) -> Self {
        Self::new(Some(Kind::Redirect), FirstRejected::default()).ports("redirect", port.into())
    }

    fn ports(mut self, setter: &'static str, ports: PortRange) -> Self {
        match (ports.check(), &mut self.translation) {
            (Err(reason), _) => self.rejected.reject(setter, ports, reason),
            (Ok(ports), Some(translation)) => translation.ports = Some(ports),
            (Ok(_), None) => {}
        }
        self
    }

    fn flag(mut self, flag: NatFlags) -> Self {
        if let Some(translation) = &mut self.translation {
            translation.flags |= flag;
        }
        self
    }

    /// The port it gives, or those it takes one of: `8080` or `1024..=2047`. Default: the packet's own,
    /// unless another connection has it. Needs a protocol.
    pub fn to_ports(self, ports: impl Into<PortRange>) -> Self {
        self.ports("to_ports", ports.into())
    }

    /// Takes ports at random, by a hash of the connection, as `--random`.
    #[doc(alias("--random", "NF_NAT_RANGE_PROTO_RANDOM"))]
    pub fn random(self) -> Self {
        self.flag(NatFlags::RANDOM)
    }

    /// Takes ports wholly at random, as `--random-fully`: spares parallel queries the race for one.
    #[doc(alias("--random-fully", "NF_NAT_RANGE_PROTO_RANDOM_FULLY"))]
    pub fn fully_random(self) -> Self {
        self.flag(NatFlags::FULLY_RANDOM)
    }

    /// Gives a client the same address of a range for every connection, as `--persistent`.
    #[doc(alias("--persistent", "NF_NAT_RANGE_PERSISTENT"))]
    pub fn persistent_address(self) -> Self {
        self.flag(NatFlags::PERSISTENT)
    }

    /// For what this namespace itself sends (chain OUTPUT), instead of what comes in by a link: of
    /// destination NAT and redirection. The others see both anyway.
    #[doc(alias = "OUTPUT")]
    pub fn locally_generated(mut self) -> Self {
        self.locally_generated = true;
        self
    }

    fn prefix(&mut self, setter: &'static str, prefix: impl Input<IpNet>) -> Option<IpNet> {
        let prefix = self.rejected.read(setter, prefix)?;
        network(prefix).map_err(|reason| self.rejected.reject(setter, prefix, reason)).ok()
    }

    /// Only for what comes from this network, as `-s PREFIX`. Default: from anywhere.
    #[doc(alias = "ip saddr")]
    pub fn source(mut self, prefix: impl Input<IpNet>) -> Self {
        self.matches.source = self.prefix("source", prefix).or(self.matches.source);
        self
    }

    /// Only for what does not come from this network, as `! -s PREFIX`; may be called again for more.
    #[doc(alias = "ip saddr !=")]
    pub fn source_not(mut self, prefix: impl Input<IpNet>) -> Self {
        let prefix = self.prefix("source_not", prefix);
        self.matches.source_not.extend(prefix);
        self
    }

    /// Only for what goes to this network, as `-d PREFIX`. Default: anywhere.
    #[doc(alias = "ip daddr")]
    pub fn destination(mut self, prefix: impl Input<IpNet>) -> Self {
        self.matches.destination = self.prefix("destination", prefix).or(self.matches.destination);
        self
    }

    /// Only for what does not go to this network, as `! -d PREFIX`; may be called again for more.
    ///
    /// A masquerading rule without [`out_link`](Self::out_link) wants its own network here: with
    /// `br_netfilter` in the kernel, what a bridge passes from port to port goes through it as well.
    #[doc(alias = "ip daddr !=")]
    pub fn destination_not(mut self, prefix: impl Input<IpNet>) -> Self {
        let prefix = self.prefix("destination_not", prefix);
        self.matches.destination_not.extend(prefix);
        self
    }

    fn link(&mut self, setter: &'static str, link: LinkRef) -> LinkRef {
        if let Err(reason) = link_name(link.name()) {
            self.rejected.reject(setter, link.name(), reason);
        }
        link
    }

    /// Only for what came in by the link of this name, as `-i NAME`; it need not exist yet. Default: by
    /// any.
    #[doc(alias = "iifname")]
    pub fn in_link(mut self, link: impl Into<LinkRef>) -> Self {
        self.matches.in_link = Some(self.link("in_link", link.into()));
        self
    }

    /// Only for what leaves by the link of this name, as `-o NAME`; it need not exist yet. Default: by
    /// any.
    #[doc(alias = "oifname")]
    pub fn out_link(mut self, link: impl Into<LinkRef>) -> Self {
        self.matches.out_link = Some(self.link("out_link", link.into()));
        self
    }

    /// Only for TCP, as `-p tcp`.
    pub fn tcp(self) -> Self {
        self.protocol(Protocol::TCP)
    }

    /// Only for UDP, as `-p udp`.
    pub fn udp(self) -> Self {
        self.protocol(Protocol::UDP)
    }

    /// Only for SCTP, as `-p sctp`.
    pub fn sctp(self) -> Self {
        self.protocol(Protocol::SCTP)
    }

    /// Only for this protocol, as `-p`. Default: for any.
    #[doc(alias = "meta l4proto")]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.matches.protocol = Some(protocol);
        self
    }

    fn range(&mut self, setter: &'static str, ports: PortRange) -> Option<PortRange> {
        ports.check_match().map_err(|reason| self.rejected.reject(setter, ports, reason)).ok()
    }

    /// Only for what comes from this port, or one of these, as `--sport`. Needs a protocol.
    #[doc(alias = "--sport")]
    pub fn sport(mut self, ports: impl Into<PortRange>) -> Self {
        self.matches.source_port = self.range("sport", ports.into());
        self
    }

    /// Only for what goes to this port, or one of these, as `--dport`. Needs a protocol.
    #[doc(alias = "--dport")]
    pub fn dport(mut self, ports: impl Into<PortRange>) -> Self {
        self.matches.destination_port = self.range("dport", ports.into());
        self
    }

    /// Only for packets with this mark, as `-m mark --mark MARK`.
    #[doc(alias = "meta mark")]
    pub fn mark(self, mark: u32) -> Self {
        self.mark_bits(mark, u32::MAX)
    }

    /// Only for packets with this mark in the bits of `mask`, as `-m mark --mark MARK/MASK`.
    pub fn mark_bits(mut self, mark: u32, mask: u32) -> Self {
        self.matches.mark = Some((mark & mask, mask));
        self
    }

    /// Makes it persistent: it outlives the program, unless its owner is dropped, and any program finds
    /// it again by the tag ([`Netns::nat_rules`]). Several rules may have one tag.
    ///
    /// ```
    /// use netloom::{NatRule, Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let rule = NatRule::masquerade().source("10.0.0.0/24").tagged("net1/web");
    /// rule.create(&host)?.keep();
    ///
    /// // Another program, later:
    /// for rule in host.nat_rules("net1/web")? {
    ///     Owned::adopt(rule).delete()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Such rules are in a table `netloom` in the family `inet`, with the tag as their comment. It is not
    /// held: `nft flush ruleset` takes it away.
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        if let Err(reason) = guarded::check_tag(&tag) {
            self.rejected.reject("tagged", &tag, reason);
        }
        self.tag = Some(tag);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call: families that do not go together, a
    /// port without a protocol, port 0, an empty range, a link where the chain knows none, a link of
    /// another namespace. Without `CAP_NET_ADMIN` it is
    /// [`is_permission_denied`](Error::is_permission_denied), and without `CAP_SYS_ADMIN` where it is the first use
    /// of `nf_tables` in a namespace that the thread is not in.
    pub fn create(&self, netns: &Netns) -> Result<Owned<NatHandle>, Error> {
        self.rejected.check(handle::ACTION, self)?;
        let invalid = |reason: String| Error::invalid(handle::ACTION, self, reason);
        let is_ipv4 = self.check().map_err(invalid)?;
        for link in [&self.matches.in_link, &self.matches.out_link].into_iter().flatten() {
            link.check_home(netns, handle::ACTION, self)?;
        }
        let (Some(translation), Some(mut expressions)) =
            (self.translation, self.matches.expressions(is_ipv4))
        else {
            return Err(invalid("it can't be put into a rule".into()));
        };
        expressions.push(Expr::from(Counter::default()));
        expressions.extend(translation.expressions());
        let chain = translation.chain(self.locally_generated);
        let handle = match &self.tag {
            None => handle::add(netns, chain, expressions, self),
            Some(tag) => persistent::add(netns, tag, chain, expressions, self),
        };
        let handle = handle.map_err(|error| {
            error.hint_on(Errno::ENOENT, || {
                "this kernel has no NAT for nf_tables (CONFIG_NFT_NAT, CONFIG_NFT_MASQ, \
                 CONFIG_NFT_REDIR), or no `inet` one"
                    .into()
            })
        })?;
        Ok(Owned::new(handle))
    }

    /// What can't be, in words; the family where there is one only.
    fn check(&self) -> Result<Option<bool>, String> {
        self.matches.check()?;
        let Some(translation) = self.translation else { return Ok(None) };
        if let Some(target) = translation.target().filter(|target| target.is_of_no_machine()) {
            return Err(format!("no machine has the address {target}"));
        }
        let target = translation.target().map(NatTarget::is_ipv4);
        let mut families = self.matches.families().chain(target);
        let family = families.next();
        if families.any(|other| Some(other) != family) {
            return Err("IPv4 and IPv6 are mixed: no packet is both".into());
        }
        if translation.ports.is_some() && !self.matches.protocol.is_some_and(Protocol::has_ports) {
            return Err(NO_PROTOCOL.into());
        }
        let of_source = translation.is_of_source();
        let Matches { in_link, out_link, .. } = &self.matches;
        match (of_source, self.locally_generated) {
            (true, true) => Err("source NAT sees what is locally generated anyway"),
            (false, false) if out_link.is_some() => {
                Err("destination NAT comes before the packet has a way out: no out_link(…)")
            }
            (false, true) if in_link.is_some() => {
                Err("what is locally generated came in by no link: no in_link(…)")
            }
            _ => Ok(family),
        }
        .map_err(str::to_owned)
    }
}

/// In the words of `nft`.
impl fmt::Display for NatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.matches)?;
        match &self.translation {
            Some(translation) => write!(f, "{translation}")?,
            None => f.write_str("nat")?,
        }
        match &self.tag {
            Some(tag) => write!(f, " comment \"{tag}\""),
            None => Ok(()),
        }
    }
}
