//! Frames between a bridge's ports: a table of the bridge family for all networks. It drops a
//! container's frames whose source is another hardware address (`macspoofchk`). It also drops
//! frames between isolated ports, where the kernel's own isolation would break published ports.
//!
//! A container is an element of sets, keyed by the name of its port on the host.

use netloom::nft::{
    Chain, Constant, Element, Family, Field, Hook, Priority, Rule, Set, SetHandle, Table,
    TableHandle, Transaction, Type,
};
use netloom::{MacAddr, Netns, Owned};

use crate::attachment::Attachment;
use crate::bridge::keep_all;
use crate::config::{Config, Isolation};
use crate::failure::{Code, Failure};
use crate::host::Host;

const TABLE: &str = "netloom-cni-frames";
/// The ports whose containers may send from one hardware address only.
const GUARDED: &str = "guarded";
/// The ports with their containers' hardware addresses.
const SOURCES: &str = "sources";
/// The isolated ports.
const ISOLATED: &str = "isolated";
/// The bit of a packet's mark that the IP hook sets for a published port, and the bridge hook reads
/// and clears.
pub(crate) const PUBLISHED: u32 = 0x1000;

/// The rules for frames of one port. Removed on drop unless kept.
#[derive(Debug)]
pub(crate) struct Guarded {
    host: Netns,
    port: String,
    is_kept: bool,
    /// The table, if this ADD created it. Dropped last.
    made: Option<Owned<TableHandle>>,
}

impl Guarded {
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        keep_all(self.made.take());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.is_kept && self.made.is_none() {
            // Only the first failure is reported.
            remove(&self.host, &self.port).ok();
        }
    }
}

fn sets() -> [Set; 3] {
    [
        Set::new(GUARDED, Type::LinkName),
        Set::new(SOURCES, [Type::LinkName, Type::Mac]),
        Set::new(ISOLATED, Type::LinkName),
    ]
}

/// Returns the base chains, each with its rules.
fn chains() -> [(Chain, Vec<Rule>); 2] {
    let [from, to, source] = [Field::Iifname, Field::Oifname, Field::MacSource];
    let is_other = Rule::new().in_set([from], GUARDED).not().in_set([from, source], SOURCES);
    let between = || Rule::new().in_set([from], ISOLATED).in_set([to], ISOLATED);
    // After the hook in which a bridge calls the IP rules (br_netfilter).
    let behind = Priority(10);
    [
        (
            Chain::new("prerouting").hook(Hook::Prerouting, Priority::BRIDGE_DESTINATION_NAT),
            vec![is_other.counter().drop()],
        ),
        (
            Chain::new("forward").hook(Hook::Forward, behind),
            vec![
                between().mark_bits(0, PUBLISHED).counter().drop(),
                between().set_mark_bits(0, PUBLISHED),
            ],
        ),
    ]
}

fn whole((chain, rules): (Chain, Vec<Rule>)) -> Chain {
    rules.into_iter().fold(chain, Chain::rule)
}

fn find(host: &Netns) -> Result<Option<TableHandle>, Failure> {
    let tables = host.nft_tables_with_tag(TABLE)?;
    Ok(tables.into_iter().find(|table| table.name() == TABLE))
}

/// Returns the table, after restoring what another program deleted. Also returns the owner of a
/// table that was missing.
fn ensure(host: &mut Host) -> Result<(TableHandle, Option<Owned<TableHandle>>), Failure> {
    let mut found = find(&host.netns)?;
    if let Some(table) = &found
        && is_whole(table)?
    {
        return Ok((table.clone(), None));
    }
    if host.alone()? {
        found = find(&host.netns)?;
    }
    let Some(table) = found else {
        let table = Table::new(Family::Bridge, TABLE).persistent(TABLE);
        let table = sets().into_iter().fold(table, Table::set);
        let table = chains().into_iter().map(whole).fold(table, Table::chain);
        let made = table.create(&host.netns)?;
        return Ok(((*made).clone(), Some(made)));
    };
    if is_whole(&table)? {
        return Ok((table, None));
    }
    table.set_dormant(false)?;
    let there = table.read_terse()?;
    let mut transaction = Transaction::new(&host.netns);
    for set in sets() {
        if !there.sets.iter().any(|one| one.set.name() == set.name()) {
            transaction.create_set(&table, &set);
        }
    }
    for (chain, rules) in chains() {
        if there.chains.iter().any(|one| one.chain.name() == chain.name()) {
            let chain = table.chain(chain.name())?;
            transaction.flush_chain(&chain);
            for rule in &rules {
                transaction.add_rule(&chain, rule);
            }
        } else {
            transaction.create_chain(&table, &whole((chain, rules)));
        }
    }
    transaction.commit().map_err(netloom::Error::from)?;
    Ok((table, None))
}

/// Returns whether the table is complete.
fn is_whole(table: &TableHandle) -> Result<bool, Failure> {
    match check_table(table) {
        Err(failure) if failure.code() == Code::Missing as u32 => Ok(false),
        checked => checked.map(|()| true),
    }
}

/// Fails with the name of the part that the table lacks.
fn check_table(table: &TableHandle) -> Result<(), Failure> {
    let there = table.read_terse()?;
    let lacks = |what: &str| {
        let problem = format!("the table `bridge {TABLE}` {what}");
        Err(Failure::new(Code::Missing, problem))
    };
    if there.is_dormant {
        return lacks("is dormant");
    }
    for set in sets() {
        if !there.sets.iter().any(|one| one.set.name() == set.name()) {
            return lacks(&format!("lacks the set `{}`", set.name()));
        }
    }
    for (chain, wanted) in chains() {
        let found = there.chains.iter().find(|one| one.chain == chain);
        let mut rules = found.into_iter().flat_map(|one| &one.rules);
        if let Some(rule) = wanted.iter().find(|rule| !rules.any(|one| one.rule == **rule)) {
            return lacks(&format!("lacks the rule `{rule}` of its chain `{}`", chain.name()));
        }
    }
    Ok(())
}

/// The rules that a port needs: the only source of its frames, and isolation by this table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) source: Option<MacAddr>,
    pub(crate) isolation: bool,
}

impl Wanted {
    /// Returns the rules for a container with this hardware address.
    pub(crate) fn of(config: &Config, mac: Option<MacAddr>) -> Self {
        let isolation = config.isolation == Isolation::Rules;
        Self { source: mac.filter(|_| config.mac_spoof_check), isolation }
    }

    fn elements(self, attachment: &Attachment) -> Vec<(&'static str, Element)> {
        let port = Constant::Name(attachment.link_name());
        let mut elements = Vec::new();
        if let Some(mac) = self.source {
            // This element is added first, because its comment holds the rest of the other
            // element's key.
            let guarded =
                Element::from(port.clone()).comment(format!("{} {mac}", attachment.tag()));
            elements.push((GUARDED, guarded));
            elements.push((SOURCES, Element::from((port.clone(), mac)).comment(attachment.tag())));
        }
        if self.isolation {
            elements.push((ISOLATED, Element::from(port).comment(attachment.tag())));
        }
        elements
    }
}

/// Adds the rules for a port's frames.
pub(crate) fn guard(
    host: &mut Host,
    attachment: &Attachment,
    wanted: Wanted,
) -> Result<Option<Guarded>, Failure> {
    let elements = wanted.elements(attachment);
    if elements.is_empty() {
        return Ok(None);
    }
    let (table, made) = ensure(host)?;
    let port = attachment.link_name();
    // A killed ADD may have left elements of this port.
    remove_from(&table, &port)?;
    let guarded = Guarded { host: host.netns.clone(), port, is_kept: false, made };
    for (set, element) in elements {
        table.set(set)?.add([element])?;
    }
    Ok(Some(guarded))
}

pub(crate) fn check(host: &Netns, attachment: &Attachment, wanted: Wanted) -> Result<(), Failure> {
    let elements = wanted.elements(attachment);
    if elements.is_empty() {
        return Ok(());
    }
    let missing = |problem: String| Failure::new(Code::Missing, problem);
    let gone = || missing(format!("the table `bridge {TABLE}` is missing"));
    let table = find(host)?.ok_or_else(gone)?;
    check_table(&table)?;
    for (set, element) in elements {
        if table.set(set)?.get(element.clone())?.is_none() {
            return Err(missing(format!("port {element} is not in `bridge {TABLE} {set}`")));
        }
    }
    Ok(())
}

/// Returns whether this table isolates the port with this name.
pub(crate) fn isolates(host: &Netns, port: &str) -> Result<bool, Failure> {
    match find(host)? {
        Some(table) if is_whole(&table)? => {
            Ok(table.set(ISOLATED)?.contains(Constant::Name(port.to_owned()))?)
        }
        _ => Ok(false),
    }
}

/// Removes the rules for the frames of a port with this name.
pub(crate) fn remove(host: &Netns, port: &str) -> Result<(), Failure> {
    let Some(table) = find(host)? else { return Ok(()) };
    remove_from(&table, port)
}

fn remove_from(table: &TableHandle, port: &str) -> Result<(), Failure> {
    let key = Constant::Name(port.to_owned());
    for name in [ISOLATED, GUARDED] {
        let Some(set) = find_set(table, name)? else { continue };
        let Some(found) = set.get(key.clone())? else { continue };
        let mac = found.comment_of().and_then(|text| text.split(' ').nth(1)?.parse().ok());
        if let (Some(mac), Some(sources)) = (mac, find_set(table, SOURCES)?) {
            let mac: MacAddr = mac;
            take(&sources, (key.clone(), mac).into())?;
        }
        take(&set, key.clone().into())?;
    }
    Ok(())
}

fn take(set: &SetHandle, element: Element) -> Result<(), Failure> {
    match set.remove([element]) {
        Err(error) if error.is_not_found() => Ok(()),
        removed => Ok(removed?),
    }
}

fn find_set(table: &TableHandle, name: &str) -> Result<Option<SetHandle>, Failure> {
    match table.set(name) {
        Err(error) if error.is_not_found() => Ok(None),
        set => Ok(Some(set?)),
    }
}

/// Removes the frame rules of attachments whose tags are unwanted.
pub(crate) fn sweep(host: &Netns, is_unwanted: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let Some(table) = find(host)? else { return Ok(()) };
    for name in [ISOLATED, GUARDED] {
        let Some(set) = find_set(&table, name)? else { continue };
        for element in set.elements()? {
            let tag = element.comment_of().and_then(|text| text.split(' ').next());
            let Some(port) = tag.filter(|tag| is_unwanted(tag)).and_then(Attachment::link_of)
            else {
                continue;
            };
            remove_from(&table, &port)?;
        }
    }
    Ok(())
}
