//! The packet filter: one table for all networks. A container is an element of its sets and maps, never a
//! rule, so that the thousandth costs what the first does. Elements say by their comment whose they are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom::nft::{
    Chain, ChainHandle, ChainInfo, ChainKind, CtState, CtStatus, Datum, Element, ElementHandle,
    Family, Field, Hook, Map, Priority, Rule, Set, SetHandle, Table, TableHandle, Transaction,
    Type, Verdict,
};
use netloom::{Netns, Owned};

use crate::attachment::Attachment;
use crate::bridge::keep_all;
use crate::config::{Config, IngressPolicy};
use crate::failure::{Code, Failure};
use crate::gateway;
use crate::host::Host;

const TABLE: &str = "netloom-cni";

/// Where packets of a container that masquerades go, by its address.
const MASQUERADE: [&str; 2] = ["masquerade4", "masquerade6"];
/// The networks that keep to themselves, each by the link that leads to it, whatever addresses are behind it.
const APART: &str = "apart";
/// Those of them whose containers may talk to each other: the link, twice.
const TOGETHER: &str = "together";

/// How often a change is tried again that somebody was faster than.
const ATTEMPTS: u32 = 64;

/// What a container is in.
#[derive(Debug, Clone)]
struct Entry {
    set: &'static str,
    element: Element,
}

/// A chain and what is to be in it.
#[derive(Debug, Clone)]
struct Rules {
    chain: Chain,
    rules: Vec<Rule>,
}

impl Rules {
    fn whole(&self) -> Chain {
        self.rules.iter().cloned().fold(self.chain.clone(), Chain::rule)
    }

    /// Names what is missing of it, where it has what another one has.
    fn check(&self, there: &[ChainInfo]) -> Result<(), Failure> {
        let name = format!("chain `{TABLE} {}`", self.chain.name());
        let Some(there) = there.iter().find(|there| there.chain.name() == self.chain.name()) else {
            return Err(Failure::new(Code::Missing, format!("{name} is missing")));
        };
        if there.chain != self.chain {
            let problem = format!("{name} is not at its hook as it was made");
            return Err(Failure::new(Code::Missing, problem));
        }
        // In this order, whatever somebody put between them.
        let mut rules = there.rules.iter();
        match self.rules.iter().find(|wanted| !rules.any(|there| there.rule == **wanted)) {
            Some(rule) => {
                let problem = format!("rule `{rule}` of {name} is missing");
                Err(Failure::new(Code::Missing, problem))
            }
            None => Ok(()),
        }
    }
}

/// The table, which stays when the plugin ends.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    table: TableHandle,
}

/// What was made for an attachment; gone again unless it is kept.
#[derive(Debug)]
pub(crate) struct Filtered {
    filter: Filter,
    tag: String,
    addresses: Vec<IpAddr>,
    is_kept: bool,
    /// Dropped after the elements that lead to them.
    chains: Vec<Owned<ChainHandle>>,
    policy: ChangedPolicy,
    /// Dropped last.
    made: Option<Owned<TableHandle>>,
}

impl Filtered {
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        keep_all(self.chains.drain(..));
        keep_all(self.policy.made.drain(..));
        self.policy.lifted = None;
        if let Some(made) = self.made.take() {
            made.keep();
        }
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        if !self.is_kept && self.made.is_none() {
            // What made the command fail is what is told.
            self.filter.remove(&self.tag, &self.addresses).ok();
        }
    }
}

/// What of a network's policy was changed; as it was again when it is dropped.
#[derive(Debug, Default)]
struct ChangedPolicy {
    made: Vec<Owned<ElementHandle>>,
    lifted: Option<(SetHandle, Element)>,
}

impl Drop for ChangedPolicy {
    fn drop(&mut self) {
        if let Some((set, element)) = self.lifted.take()
            && let Err(error) = set.add([element.clone()])
        {
            eprintln!("netloom-cni: {element} is not back in {set}: {error}");
        }
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

impl Filter {
    pub(crate) fn find(netns: &Netns) -> Result<Option<Self>, Failure> {
        let tables = Table::find_tagged(netns, TABLE)?;
        let table = tables.into_iter().find(|table| table.name() == TABLE);
        Ok(table.map(|table| Self { table }))
    }

    /// Whether an attachment has anything to do with it.
    pub(crate) fn is_needed(config: &Config) -> bool {
        config.masquerade || config.ingress != IngressPolicy::Open
    }

    /// Puts an attachment's addresses where its configuration wants them.
    pub(crate) fn enter(
        host: &mut Host,
        attachment: &Attachment,
        config: &Config,
        addresses: &[IpNet],
    ) -> Result<Filtered, Failure> {
        let mut made = None;
        let mut found = Self::find(&host.netns)?;
        if found.is_none() && host.alone()? {
            found = Self::find(&host.netns)?;
        }
        let filter = match found {
            Some(filter) => filter,
            None => Self { table: (**made.insert(table().create(&host.netns)?)).clone() },
        };
        let tag = attachment.tag();
        let plain = addresses.iter().map(IpNet::addr).collect();
        // From here on, what is there goes again where the rest fails.
        let (chains, policy) = (Vec::new(), ChangedPolicy::default());
        let mut filtered = Filtered {
            filter,
            tag: tag.clone(),
            addresses: plain,
            is_kept: false,
            chains,
            policy,
            made,
        };
        for chain in self::chains(config, addresses) {
            let made = filtered.filter.ensure_chain(host, &chain)?;
            filtered.chains.extend(made);
        }
        filtered.filter.ensure_policy(host, config, &mut filtered.policy)?;
        filtered.filter.put(&entries(config, addresses, &tag), &tag)?;
        Ok(filtered)
    }

    /// A network's chain, which stays as its bridge does; what was made of it.
    fn ensure_chain(
        &self,
        host: &mut Host,
        wanted: &Rules,
    ) -> Result<Option<Owned<ChainHandle>>, Failure> {
        if self.has_chain(wanted.chain.name())? {
            return Ok(None);
        }
        host.alone()?;
        if self.has_chain(wanted.chain.name())? {
            return Ok(None);
        }
        Ok(Some(wanted.whole().create(&self.table)?))
    }

    fn has_chain(&self, name: &str) -> Result<bool, Failure> {
        match self.table.chain(name) {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }

    /// The policy of a network, which stays as its bridge does. The last one that was said counts.
    fn ensure_policy(
        &self,
        host: &mut Host,
        config: &Config,
        changed: &mut ChangedPolicy,
    ) -> Result<(), Failure> {
        let (wanted, unwanted) = policy(config);
        if self.lacking(&wanted)?.is_empty() && self.present(&unwanted)?.is_empty() {
            return Ok(());
        }
        host.alone()?;
        for (set, element) in self.present(&unwanted)? {
            set.remove([element.clone()])?;
            changed.lifted = Some((set, element));
        }
        for (set, element) in self.lacking(&wanted)? {
            changed.made.push(element.create(&set)?);
        }
        Ok(())
    }

    /// What of these is not there, each with the set that it should be in.
    fn lacking(&self, entries: &[Entry]) -> Result<Vec<(SetHandle, Element)>, Failure> {
        self.those(entries, false)
    }

    fn present(&self, entries: &[Entry]) -> Result<Vec<(SetHandle, Element)>, Failure> {
        self.those(entries, true)
    }

    fn those(
        &self,
        entries: &[Entry],
        is_there: bool,
    ) -> Result<Vec<(SetHandle, Element)>, Failure> {
        let mut those = Vec::new();
        for Entry { set, element } in entries {
            let set = self.table.set(set)?;
            if set.contains(element.clone())? == is_there {
                those.push((set, element.clone()));
            }
        }
        Ok(those)
    }

    /// An address may have been another's, whose DEL is still to come: then it changes hands.
    fn put(&self, entries: &[Entry], tag: &str) -> Result<(), Failure> {
        self.change(|transaction| {
            for Entry { set, element } in entries {
                let set = self.table.set(set)?;
                let before = set.get(element.clone())?;
                if before.as_ref().is_some_and(|before| before.comment_of() == Some(tag)) {
                    continue;
                }
                if before.is_some() {
                    transaction.delete_elements(&set, [keyed(element)]);
                }
                transaction.add_elements(&set, [element.clone()]);
            }
            Ok(())
        })
    }

    /// Ends the masquerading of addresses that were another's, whose DEL is still to come.
    pub(crate) fn vacate(netns: &Netns, addresses: &[IpNet]) -> Result<(), Failure> {
        let Some(filter) = Self::find(netns)? else { return Ok(()) };
        filter.change(|transaction| {
            for address in addresses.iter().map(IpNet::addr) {
                let set = filter.table.set(MASQUERADE[family(address)])?;
                if set.contains(address)? {
                    transaction.delete_elements(&set, [address]);
                }
            }
            Ok(())
        })
    }

    /// Takes out what an attachment has at these addresses. What is another's by now stays.
    pub(crate) fn remove(&self, tag: &str, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.change(|transaction| {
            for address in addresses {
                let set = self.table.set(MASQUERADE[family(*address)])?;
                let found = set.get(*address)?;
                if found.is_some_and(|found| found.comment_of() == Some(tag)) {
                    transaction.delete_elements(&set, [*address]);
                }
            }
            Ok(())
        })
    }

    /// Takes out whatever is of attachments with these tags. It looks at all.
    pub(crate) fn sweep(&self, gone: &BTreeSet<String>) -> Result<(), Failure> {
        self.change(|transaction| {
            for set in MASQUERADE {
                let set = self.table.set(set)?;
                let elements = set.elements()?.into_iter();
                let is_gone =
                    |element: &Element| element.comment_of().is_some_and(|tag| gone.contains(tag));
                let gone: Vec<_> =
                    elements.filter(is_gone).map(|element| keyed(&element)).collect();
                if !gone.is_empty() {
                    transaction.delete_elements(&set, gone);
                }
            }
            Ok(())
        })
    }

    /// The tags of a network that elements have. It looks at all.
    pub(crate) fn tags(&self, of_network: &str) -> Result<BTreeSet<String>, Failure> {
        let mut tags = BTreeSet::new();
        for set in MASQUERADE {
            let elements = self.table.set(set)?.elements()?;
            let comments = elements.iter().filter_map(Element::comment_of);
            tags.extend(comments.filter(|tag| tag.starts_with(of_network)).map(str::to_owned));
        }
        Ok(tags)
    }

    /// Names what of an attachment is missing.
    pub(crate) fn check(
        &self,
        attachment: &Attachment,
        config: &Config,
        addresses: &[IpNet],
    ) -> Result<(), Failure> {
        let missing = |what: String| Err(Failure::new(Code::Missing, what));
        let there = self.table.read()?;
        if there.is_dormant {
            return missing(format!("the table `{TABLE}` of the packet filter is dormant"));
        }
        for wanted in base_chains().into_iter().chain(chains(config, addresses)) {
            wanted.check(&there.chains)?;
        }
        let (wanted, unwanted) = policy(config);
        if let Some((set, element)) = self.lacking(&wanted)?.first() {
            return missing(format!("ingressPolicy: {element} is not in {set}"));
        }
        if let Some((set, element)) = self.present(&unwanted)?.first() {
            return missing(format!("ingressPolicy: {element} is in {set}"));
        }
        let tag = attachment.tag();
        for Entry { set, element } in entries(config, addresses, &tag) {
            let found = self.table.set(set)?.get(element.clone())?;
            if found.as_ref() != Some(&element) {
                return missing(format!("rule for {}: not in `{TABLE} {set}`", keyed(&element)));
            }
        }
        Ok(())
    }

    /// Makes a change at the generation that it was decided on, and decides anew where somebody was faster.
    fn change(
        &self,
        decide: impl Fn(&mut Transaction) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let netns = self.table.netns();
        for _ in 0..ATTEMPTS {
            let generation = netns.nft_generation()?;
            let mut transaction = Transaction::new(netns);
            transaction.if_unchanged_since(generation);
            decide(&mut transaction)?;
            match transaction.commit() {
                Err(failure) if failure.is_stale() => {}
                done => return done.map_err(|failure| netloom::Error::from(failure).into()),
            }
        }
        let problem = format!("the packet filter changed {ATTEMPTS} times while it was looked at");
        Err(Failure::new(Code::TryAgain, problem))
    }
}

/// An element by its key alone.
fn keyed(element: &Element) -> Element {
    match element.key() {
        [one] => Element::new(one.clone()),
        _ => element.clone(),
    }
}

fn table() -> Table {
    let mut table = Table::new(Family::Inet, TABLE)
        .persistent(TABLE)
        .set(Set::new(APART, Type::LinkName))
        .set(Set::new(TOGETHER, [Type::LinkName, Type::LinkName]));
    for (map, address) in MASQUERADE.into_iter().zip([Type::Ipv4, Type::Ipv6]) {
        table = table.map(Map::verdicts(map, address));
    }
    base_chains().iter().map(Rules::whole).fold(table, Table::chain)
}

/// Where packets come through.
fn base_chains() -> [Rules; 2] {
    let sources = [Field::Ip4Source, Field::Ip6Source].into_iter().zip(MASQUERADE);
    let masquerade = sources.map(|(source, map)| Rule::new().verdict_map([source], map));
    let postrouting = Chain::new("postrouting").kind(ChainKind::Nat);
    let [from, to] = [Field::InLink, Field::OutLink];
    let forward = vec![
        Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept(),
        // Published ports are for everybody.
        Rule::new().ct_status(CtStatus::DESTINATION_NAT).accept(),
        Rule::new().in_set([from, to], TOGETHER).accept(),
        Rule::new().in_set([from], APART).in_set([to], APART).counter().drop(),
    ];
    [
        Rules {
            chain: postrouting.hook(Hook::Postrouting, Priority::SOURCE_NAT),
            rules: masquerade.collect(),
        },
        Rules {
            chain: Chain::new("forward").hook(Hook::Forward, Priority::FILTER),
            rules: forward,
        },
    ]
}

/// What a network's elements lead to.
fn chains(config: &Config, addresses: &[IpNet]) -> Vec<Rules> {
    let mut chains = Vec::new();
    if config.masquerade {
        for address in addresses {
            let network = address.trunc();
            let multicast = if network.addr().is_ipv4() { "224.0.0.0/4" } else { "ff00::/8" };
            let rules = vec![
                Rule::new().destination(network).back(),
                Rule::new().destination(multicast).back(),
                Rule::new().masquerade(),
            ];
            chains.push(Rules { chain: Chain::new(masquerade_chain(network)), rules });
        }
    }
    chains
}

fn masquerade_chain(network: IpNet) -> String {
    format!("masquerade.{}", network.to_string().replace(':', "_"))
}

/// What makes a network keep to itself as its policy says, and what may not be there for that.
fn policy(config: &Config) -> (Vec<Entry>, Vec<Entry>) {
    let link = Datum::Name(gateway::name(config));
    let apart = Entry { set: APART, element: link.clone().into() };
    let together = Entry { set: TOGETHER, element: (link.clone(), link).into() };
    match config.ingress {
        IngressPolicy::Open => (Vec::new(), Vec::new()),
        IngressPolicy::SameBridge => (vec![apart, together], Vec::new()),
        IngressPolicy::Isolated => (vec![apart], vec![together]),
    }
}

fn entries(config: &Config, addresses: &[IpNet], tag: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut entry = |set, element: Element| {
        entries.push(Entry { set, element: element.comment(tag) });
    };
    for address in addresses {
        let (ip, family) = (address.addr(), family(address.addr()));
        if config.masquerade {
            let chain = masquerade_chain(address.trunc());
            entry(MASQUERADE[family], Element::new(ip).verdict(Verdict::Goto(chain)));
        }
    }
    entries
}
