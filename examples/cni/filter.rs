//! The packet filter: one table for all networks. A container is an element of its sets and maps, never a
//! rule, so that the thousandth costs what the first does. Elements say by their comment whose they are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom::nft::{
    Chain, ChainHandle, ChainKind, CtState, CtStatus, Element, Family, Field, Hook, Map, Policy,
    Priority, Rule, Set, Table, TableHandle, Transaction, Type, Verdict,
};
use netloom::{Netns, Owned};

use crate::attachment::Attachment;
use crate::bridge::keep_all;
use crate::config::{Config, IngressPolicy};
use crate::failure::{Code, Failure};
use crate::host::Host;

const TABLE: &str = "netloom-cni";

/// Where packets of a container that masquerades go, by its address.
const MASQUERADE: [&str; 2] = ["masquerade4", "masquerade6"];
/// Where packets to a container go that not everybody may talk to, by its address.
const INGRESS: [&str; 2] = ["ingress4", "ingress6"];
/// The containers that keep to themselves, by address.
const APART: [&str; 2] = ["apart4", "apart6"];

/// How often a change is tried again that somebody was faster than.
const ATTEMPTS: u32 = 64;

/// What a container is in.
#[derive(Debug, Clone)]
struct Entry {
    set: &'static str,
    element: Element,
}

/// A chain that a network's elements lead to.
#[derive(Debug, Clone)]
struct NetworkChain {
    name: String,
    rules: Vec<Rule>,
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
    /// Dropped last.
    made: Option<Owned<TableHandle>>,
}

impl Filtered {
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        keep_all(self.chains.drain(..));
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
        let chains = Vec::new();
        let mut filtered =
            Filtered { filter, tag: tag.clone(), addresses: plain, is_kept: false, chains, made };
        for chain in self::chains(config, addresses) {
            let made = filtered.filter.ensure_chain(host, &chain)?;
            filtered.chains.extend(made);
        }
        filtered.filter.put(&entries(config, addresses, &tag), &tag)?;
        Ok(filtered)
    }

    /// A network's chain, which stays as its bridge does; what was made of it.
    fn ensure_chain(
        &self,
        host: &mut Host,
        wanted: &NetworkChain,
    ) -> Result<Option<Owned<ChainHandle>>, Failure> {
        if self.has_chain(&wanted.name)? {
            return Ok(None);
        }
        host.alone()?;
        if self.has_chain(&wanted.name)? {
            return Ok(None);
        }
        let chain = wanted.rules.iter().cloned().fold(Chain::new(&wanted.name), Chain::rule);
        Ok(Some(chain.create(&self.table)?))
    }

    fn has_chain(&self, name: &str) -> Result<bool, Failure> {
        match self.table.chain(name) {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
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
                let family = family(*address);
                for set in [MASQUERADE[family], INGRESS[family], APART[family]] {
                    let set = self.table.set(set)?;
                    let found = set.get(*address)?;
                    if found.is_some_and(|found| found.comment_of() == Some(tag)) {
                        transaction.delete_elements(&set, [*address]);
                    }
                }
            }
            Ok(())
        })
    }

    /// Takes out whatever is of attachments with these tags. It looks at all.
    pub(crate) fn sweep(&self, gone: &BTreeSet<String>) -> Result<(), Failure> {
        self.change(|transaction| {
            for set in [MASQUERADE, INGRESS, APART].into_iter().flatten() {
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
        for set in [MASQUERADE, INGRESS, APART].into_iter().flatten() {
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
        for chain in chains(config, addresses) {
            if !self.has_chain(&chain.name)? {
                return missing(format!("chain `{TABLE} {}` is missing", chain.name));
            }
            let there = self.table.chain(&chain.name)?.rules()?;
            let is_there = |wanted: &&Rule| there.iter().any(|(_, rule)| rule == *wanted);
            if let Some(rule) = chain.rules.iter().find(|rule| !is_there(rule)) {
                return missing(format!(
                    "rule `{rule}` of chain `{TABLE} {}` is missing",
                    chain.name
                ));
            }
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
    let addresses = [Type::Ipv4, Type::Ipv6];
    let sources = [Field::Ip4Source, Field::Ip6Source];
    let destinations = [Field::Ip4Destination, Field::Ip6Destination];
    let mut postrouting = Chain::new("postrouting")
        .kind(ChainKind::Nat)
        .hook(Hook::Postrouting, Priority::SOURCE_NAT);
    let mut forward = Chain::new("forward")
        .hook(Hook::Forward, Priority::FILTER)
        .policy(Policy::Accept)
        .rule(Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept())
        // Published ports are for everybody.
        .rule(Rule::new().ct_status(CtStatus::DESTINATION_NAT).accept());
    let mut table = Table::new(Family::Inet, TABLE).persistent(TABLE);
    for family in 0..2 {
        table = table
            .map(Map::verdicts(MASQUERADE[family], addresses[family]))
            .map(Map::verdicts(INGRESS[family], addresses[family]))
            .set(Set::new(APART[family], addresses[family]));
        postrouting =
            postrouting.rule(Rule::new().verdict_map([sources[family]], MASQUERADE[family]));
        forward = forward.rule(Rule::new().verdict_map([destinations[family]], INGRESS[family]));
    }
    table.chain(postrouting).chain(forward)
}

fn chains(config: &Config, addresses: &[IpNet]) -> Vec<NetworkChain> {
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
            chains.push(NetworkChain { name: masquerade_chain(network), rules });
        }
    }
    if config.ingress != IngressPolicy::Open {
        let mut rules = Vec::new();
        if config.ingress == IngressPolicy::SameBridge {
            rules.push(Rule::new().in_link(config.bridge.as_str()).back());
        }
        for (field, set) in [Field::Ip4Source, Field::Ip6Source].into_iter().zip(APART) {
            rules.push(Rule::new().in_set([field], set).counter().drop());
        }
        chains.push(NetworkChain { name: ingress_chain(config), rules });
    }
    chains
}

fn masquerade_chain(network: IpNet) -> String {
    format!("masquerade.{}", network.to_string().replace(':', "_"))
}

/// A link's name may have what no chain's may: that becomes hexadecimal.
fn ingress_chain(config: &Config) -> String {
    let kind = if config.ingress == IngressPolicy::Isolated { "isolated" } else { "ingress" };
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        byte => format!(".{byte:02x}"),
    };
    format!("{kind}.{}", config.bridge.bytes().map(byte).collect::<String>())
}

fn entries(config: &Config, addresses: &[IpNet], tag: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut entry = |set, element: Element| {
        entries.push(Entry { set, element: element.comment(tag) });
    };
    for address in addresses {
        let (ip, family) = (address.addr(), family(address.addr()));
        let leads_to = |chain| Element::new(ip).verdict(Verdict::Goto(chain));
        if config.masquerade {
            entry(MASQUERADE[family], leads_to(masquerade_chain(address.trunc())));
        }
        if config.ingress != IngressPolicy::Open {
            entry(INGRESS[family], leads_to(ingress_chain(config)));
            entry(APART[family], Element::new(ip));
        }
    }
    entries
}
