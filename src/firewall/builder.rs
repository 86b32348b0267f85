//! The builder of firewalls.

use std::collections::BTreeSet;
use std::fmt;

use super::handle::{FirewallHandle, firewalls_among};
use super::member::{Member, WAYS, paths};
use super::port::PortGuard;
use crate::error::Error;
use crate::input::{FirstRejected, link_name_in_rules};
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::nft::{
    self, Chain, CtState, CtStatus, Family, Hook, Map, Policy, Priority, Rule, Set, Table,
    Transaction,
};
use crate::obstacle::{self, Obstacle};
use crate::owned::Owned;

/// A builder of a firewall, for a host that routes between container networks and the outside.
///
/// Each network is a link, usually a bridge. Connections that its containers open may leave, and
/// replies may come back. Networks can't reach one another. From outside, only packets that NAT
/// sends to a container enter. Published ports are open to everybody, by the host's address, and so
/// to containers of other networks.
///
/// The firewall leaves packets of other links alone. It filters neither packets to the host itself
/// (not even from containers) nor packets that the host sends. Filter those with an [`nft::Chain`]
/// at the
/// hooks input and output. Containers of one network reach one another because their bridge does
/// not route. [`Link::set_isolated`](crate::Link::set_isolated) separates ports. Existing
/// connections continue like replies; [`ConntrackFilter::delete`](crate::ConntrackFilter::delete)
/// ends them.
///
/// Replaces, for `br0`:
///
/// - `iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`, `-i br0 -j
///   ACCEPT`, `-o br0 -j DROP`, `-i br0 -o br1 -j DROP`
/// - `iptables -t mangle … -j TCPMSS --clamp-mss-to-pmtu`
/// - `ebtables -A FORWARD -i veth1 -s ! MAC -j DROP`
///
/// ```
/// use netloom::{Bridge, Firewall, MacAddr, Namespace, PortGuard};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let br0 = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
/// let firewall = Firewall::new()
///     .network(&br0)
///     .network("br1")
///     .clamp_mss()
///     .port(PortGuard::new("veth1").mac("02:00:00:00:00:01").address("10.0.0.2"))
///     .create(&host)?;
/// for obstacle in Firewall::obstacles(&host)? {
///     println!("{obstacle}");
/// }
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// The firewall consists of two tables: one of the family `inet` and, for guarded ports, one of the
/// family `bridge`. The kernel deletes them with the process (see
/// [`nft::Table`]), unless the firewall is [`persistent`](Self::persistent).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a builder does nothing until `create`"]
pub struct Firewall {
    name: Option<String>,
    tag: Option<String>,
    networks: Vec<LinkRef>,
    connected: Vec<(LinkRef, LinkRef)>,
    clamp_mss: bool,
    default_drop: bool,
    ports: Vec<PortGuard>,
    rejected: FirstRejected,
}

const ACTION: &str = "create firewall";
/// The prefix of the table names of a firewall without a name.
const PREFIX: &str = "netloom-firewall";
/// The limit of attempts to find a table name that no other program takes meanwhile.
const ATTEMPTS: usize = 64;

impl Netns {
    /// Finds the persistent firewalls with this tag. To delete a firewall, adopt its handle with
    /// [`Owned::adopt`].
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn firewalls_with_tag(&self, tag: &str) -> Result<Vec<FirewallHandle>, Error> {
        Ok(firewalls_among(self.nft_tables_with_tag(tag)?).0)
    }
}

impl Firewall {
    /// Creates a builder without networks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the firewall's tables. Default: `netloom-firewall-N`, with one number for
    /// each namespace handle. The default of a persistent firewall is the first free name of
    /// `netloom-firewall-tagged-N`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps the firewall when the process ends. [`Netns::firewalls_with_tag`] finds it by this tag.
    /// Default: the kernel deletes the firewall with the process.
    ///
    /// ```
    /// use netloom::{Firewall, Namespace, Owned};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// Firewall::new().name("cni").persistent("my-plugin").create(&host)?.keep();
    /// // Later, in other processes:
    /// let [firewall] = &host.firewalls_with_tag("my-plugin")?[..] else { return Ok(()) };
    /// firewall.add_network("br1")?;
    /// drop(Owned::adopt(firewall.clone()));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    pub fn persistent(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Adds a network by its link. Every packet of the network passes this link. Can be called more
    /// than once.
    ///
    /// A handle selects that one link, also after a rename. A name selects whatever link has the
    /// name; the link need not exist yet. `create` refuses an alternative name.
    pub fn network(mut self, link: impl Into<LinkRef>) -> Self {
        let link = self.link("network", link.into());
        self.networks.push(link);
        self
    }

    /// Allows traffic between two networks, in both directions. Default: networks are separated.
    pub fn connect(mut self, one: impl Into<LinkRef>, other: impl Into<LinkRef>) -> Self {
        let pair = (self.link("connect", one.into()), self.link("connect", other.into()));
        self.connected.push(pair);
        self
    }

    /// Lowers the maximum segment size of the networks' TCP connections to fit the route (MSS
    /// clamping). Needed if the uplink has a smaller MTU and ICMP is filtered on the path.
    #[doc(alias("TCPMSS", "clamp-mss-to-pmtu"))]
    pub fn clamp_mss(mut self) -> Self {
        self.clamp_mss = true;
        self
    }

    /// Also drops forwarded packets that belong to none of the networks. Default: the firewall
    /// leaves such packets alone.
    pub fn default_drop(mut self) -> Self {
        self.default_drop = true;
        self
    }

    /// Guards a bridge port. Can be called more than once. [`PortGuard::create`] adds a guard to an
    /// existing firewall.
    pub fn port(mut self, port: PortGuard) -> Self {
        self.ports.push(port);
        self
    }

    /// Lists base chains of other programs that drop packets which none of their rules accepts. An
    /// `accept` in this firewall does not override such a drop.
    ///
    /// Leaves out the tables that this [`Netns`] owns, but not those of a persistent firewall: they
    /// are listed with their tag. [`FirewallHandle::obstacles`] leaves out its own tables.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn obstacles(netns: &Netns) -> Result<Vec<Obstacle>, Error> {
        obstacle::find(netns, None)
    }

    /// Creates the firewall, all or nothing. Passes [`obstacles`](Self::obstacles) to `log`.
    ///
    /// # Errors
    ///
    /// Values that are known to be wrong are refused before any system call.
    ///
    /// - [`is_already_exists`](Error::is_already_exists) if a table of this name exists
    /// - [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`, or without
    ///   `CAP_SYS_ADMIN` at the first use of `nf_tables` in a namespace that the thread is not in
    pub fn create(&self, netns: &Netns) -> Result<Owned<FirewallHandle>, Error> {
        self.rejected.check(ACTION, self)?;
        let connected = self.connected.iter().flat_map(|(one, other)| [one, other]);
        let links: Vec<_> = self.networks.iter().chain(connected).collect();
        for link in &links {
            link.check_home(netns, ACTION, self)?;
        }
        let mut guarded = BTreeSet::new();
        for port in &self.ports {
            port.check(netns)?;
            if !guarded.insert(port.chain_name()) {
                let reason = format!("the port {port} is guarded twice");
                return Err(Error::invalid(ACTION, self, reason));
            }
        }
        // Checked before any system call: `own_name` makes one.
        let name = self.name.as_deref();
        self.transaction(netns, name.unwrap_or(PREFIX)).0.check()?;
        for link in links.into_iter().chain(self.ports.iter().map(PortGuard::link)) {
            Member::check(netns, link, ACTION, self)?;
        }
        let name = match (name, &self.tag) {
            (Some(name), _) => Some(name.to_owned()),
            (None, None) => Some(own_name(netns).map_err(|error| error.in_namespace(netns))?),
            (None, Some(_)) => None,
        };
        for obstacle in obstacle::find(netns, self.tag.as_deref())? {
            log::warn!("{obstacle}");
        }
        let make = |name: &str| {
            let (transaction, handle) = self.transaction(netns, name);
            transaction.commit()?;
            Ok(Owned::new(handle))
        };
        match name {
            Some(name) => make(&name),
            None => make_free(netns, make),
        }
    }

    fn transaction(&self, netns: &Netns, name: &str) -> (Transaction, FirewallHandle) {
        let table = |family| {
            let table = Table::new(family, name);
            match &self.tag {
                Some(tag) => table.persistent(tag),
                None => table,
            }
        };
        let mut transaction = Transaction::new(netns);
        let routed = transaction.create_table(&self.routed(table(Family::Inet)));
        let bridged = transaction.create_table(&bridged(table(Family::Bridge)));
        let handle = FirewallHandle { routed, bridged };
        for port in &self.ports {
            port.add_to(&mut transaction, &handle);
        }
        (transaction, handle)
    }

    fn link(&mut self, setter: &'static str, link: LinkRef) -> LinkRef {
        if let Err(reason) = link_name_in_rules(link.name()) {
            self.rejected.reject(setter, link.name(), reason);
        }
        link
    }

    /// Adds sets, rules and chains for routed packets. Networks are elements of sets, so that
    /// adding or removing a network changes no rule.
    fn routed(&self, table: Table) -> Table {
        let networks: BTreeSet<_> = self.networks.iter().map(Member::of).collect();
        let mut pairs: BTreeSet<_> =
            networks.iter().map(|one| (one.clone(), one.clone())).collect();
        for (one, other) in &self.connected {
            let (one, other) = (Member::of(one), Member::of(other));
            pairs.extend([(one.clone(), other.clone()), (other, one)]);
        }
        let policy = if self.default_drop { Policy::Drop } else { Policy::Accept };
        let from = |way: usize, rule: Rule| rule.in_set([WAYS[way].input], WAYS[way].networks);
        let to = |way: usize, rule: Rule| rule.in_set([WAYS[way].output], WAYS[way].networks);
        let mut rules =
            vec![Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept()];
        rules.extend(paths().map(|(from, to, name)| {
            Rule::new().in_set([WAYS[from].input, WAYS[to].output], name).accept()
        }));
        let translated = |way| to(way, Rule::new()).ct_status(CtStatus::DESTINATION_NAT).accept();
        rules.extend([0, 1].map(translated));
        rules.extend(paths().map(|(one, other, _)| {
            to(other, from(one, Rule::new())).counter().drop().comment("networks are apart")
        }));
        rules.extend([0, 1].map(|way| from(way, Rule::new()).accept()));
        let uninvited = |way| to(way, Rule::new()).counter().drop().comment("nobody asked for it");
        rules.extend([0, 1].map(uninvited));
        let forward = Chain::new("through").hook(Hook::Forward, Priority::FILTER).policy(policy);
        let mut table = table.chain(rules.into_iter().fold(forward, Chain::rule));
        for (number, way) in WAYS.iter().enumerate() {
            let keys = networks.iter().filter(|one| one.way == number).map(|one| one.key.clone());
            table = table.set(Set::new(way.networks, way.kind).elements(keys));
        }
        for (from, to, name) in paths() {
            let keys = pairs.iter().filter(|(one, other)| (one.way, other.way) == (from, to));
            let keys = keys.map(|(one, other)| (one.key.clone(), other.key.clone()));
            table = table.set(Set::new(name, [WAYS[from].kind, WAYS[to].kind]).elements(keys));
        }
        if self.clamp_mss {
            let syn = |rule: Rule| rule.tcp().tcp_syn().clamp_mss();
            let segments = Chain::new("segments").hook(Hook::Forward, Priority::MANGLE);
            let clamped = [0, 1].map(|way| [from(way, Rule::new()), to(way, Rule::new())]);
            table = table.chain(clamped.into_iter().flatten().map(syn).fold(segments, Chain::rule));
        }
        table
    }
}

/// Adds the maps and base chains for guarded ports. Each [way](WAYS) to match a link has a base
/// chain, so that a frame passes a guard by name and a guard by index.
fn bridged(table: Table) -> Table {
    WAYS.iter().fold(table, |table, way| {
        let chain = Chain::new(format!("from-{}", way.ports));
        table.map(Map::verdicts(way.ports, way.kind)).chain(
            chain
                .hook(Hook::Prerouting, Priority::BRIDGE_FILTER)
                .rule(Rule::new().verdict_map([way.input], way.ports)),
        )
    })
}

/// Builds the default name of the tables. The netlink port of the namespace's socket makes the name
/// unique, because the tables live no longer than the socket.
fn own_name(netns: &Netns) -> Result<String, Error> {
    let port = netns.nf_tables(|nf_tables| Ok(nf_tables.socket.port()));
    let port = port.map_err(|cause| cause.doing("open nf_tables for", "a firewall"))?;
    Ok(format!("{PREFIX}-{port}"))
}

/// Creates the firewall under the first free name. A persistent table outlives its creator's
/// socket, so the socket's port would not make its name unique.
fn make_free(
    netns: &Netns,
    make: impl Fn(&str) -> Result<Owned<FirewallHandle>, Error>,
) -> Result<Owned<FirewallHandle>, Error> {
    let taken: BTreeSet<_> = nft::makers(netns)?.into_keys().map(|(_, name)| name).collect();
    let free = (0_u32..).map(|number| format!("{PREFIX}-tagged-{number}"));
    let mut free = free.filter(|name| !taken.contains(name)).take(ATTEMPTS);
    let mut made = make(&free.next().unwrap_or_default());
    for name in free {
        // Another program took the name first.
        if !made.as_ref().is_err_and(Error::is_already_exists) {
            break;
        }
        made = make(&name);
    }
    made
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.networks.iter().map(LinkRef::name).collect();
        write!(f, "of {}", names.join(", "))
    }
}
