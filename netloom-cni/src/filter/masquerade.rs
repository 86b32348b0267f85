//! The masquerading of containers. Each address of a container is an element of a map. The
//! element's comment names the attachment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom::Netns;
use netloom::nft::{Element, SetHandle, Verdict};

use super::rules::masquerade_chain;
use super::{Entry, Filter, TABLE};
use crate::attachment::Attachment;
use crate::config::Config;
use crate::failure::{Code, Failure};

/// The maps from a masquerading container's address to its network's chain.
pub(super) const MASQUERADE: [&str; 2] = ["masquerade4", "masquerade6"];

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

impl Filter {
    /// Adds the elements. If an address still belongs to a container whose DEL is pending, the new
    /// attachment takes the element over.
    pub(super) fn put(&self, entries: &[Entry], tag: &str) -> Result<(), Failure> {
        self.change(|transaction| {
            for Entry { set, element } in entries {
                let set = self.table.set(set)?;
                let before = set.get(element.clone())?;
                if before.as_ref().is_some_and(|before| before.comment_of() == Some(tag)) {
                    continue;
                }
                if let Some(before) = before {
                    if self.is_of_another_network(&before, tag)? {
                        continue;
                    }
                    transaction.delete_elements(&set, [keyed(element)]);
                }
                transaction.add_elements(&set, [element.clone()]);
            }
            Ok(())
        })
    }

    /// Returns whether an element belongs to a connected container of another network with the same
    /// subnet. The element then masquerades for both containers.
    fn is_of_another_network(&self, element: &Element, tag: &str) -> Result<bool, Failure> {
        let network = |tag: &str| tag.rsplit_once('.').map(|(network, _)| network.to_owned());
        let Some(holder) = element.comment_of().filter(|one| network(one) != network(tag)) else {
            return Ok(false);
        };
        let Some(link) = Attachment::link_of(holder) else { return Ok(false) };
        match self.table.namespace().link(&link) {
            Err(error) if error.is_not_found() => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }

    /// Removes elements at these addresses, which may still belong to a container whose DEL is
    /// pending.
    pub(crate) fn vacate(netns: &Netns, addresses: &[IpNet], tag: &str) -> Result<(), Failure> {
        let Some(filter) = Self::find(netns)? else { return Ok(()) };
        filter.change(|transaction| {
            for address in addresses.iter().map(IpNet::addr) {
                let Some(set) = filter.map_of(address)? else { continue };
                let Some(before) = set.get(address)? else { continue };
                if !filter.is_of_another_network(&before, tag)? {
                    transaction.delete_elements(&set, [address]);
                }
            }
            Ok(())
        })
    }

    /// Removes the attachment's elements at these addresses. If another attachment has taken over
    /// an address, that element stays.
    pub(crate) fn remove(&self, tag: &str, addresses: &[IpAddr]) -> Result<(), Failure> {
        self.change(|transaction| {
            for address in addresses {
                let Some(set) = self.map_of(*address)? else { continue };
                let found = set.get(*address)?;
                if found.is_some_and(|found| found.comment_of() == Some(tag)) {
                    transaction.delete_elements(&set, [*address]);
                }
            }
            Ok(())
        })
    }

    /// Removes all elements of the attachments with these tags. Lists the whole maps.
    pub(crate) fn sweep(&self, gone: &BTreeSet<String>) -> Result<(), Failure> {
        self.change(|transaction| {
            for set in MASQUERADE {
                let Some(set) = self.find_set(set)? else { continue };
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

    /// Returns the wanted tags among those of all elements.
    pub(crate) fn tags(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut tags = BTreeSet::new();
        for set in MASQUERADE {
            let Some(set) = self.find_set(set)? else { continue };
            let elements = set.elements()?;
            let comments = elements.iter().filter_map(Element::comment_of);
            tags.extend(comments.filter(|tag| is_wanted(tag)).map(str::to_owned));
        }
        Ok(tags)
    }

    /// Returns the map for an address, unless another program deleted the map.
    fn map_of(&self, address: IpAddr) -> Result<Option<SetHandle>, Failure> {
        self.find_set(MASQUERADE[family(address)])
    }

    pub(super) fn check_entries(&self, entries: &[Entry]) -> Result<(), Failure> {
        for Entry { set, element } in entries {
            let found = self.table.set(set)?.get(element.clone())?;
            let is_shared = |found: &Element| -> Result<bool, Failure> {
                let tag = element.comment_of().unwrap_or_default();
                Ok(found.verdict_of() == element.verdict_of()
                    && self.is_of_another_network(found, tag)?)
            };
            let is_there = match &found {
                Some(found) => found == element || is_shared(found)?,
                None => false,
            };
            if !is_there {
                let problem = format!("rule for {}: not in `{TABLE} {set}`", keyed(element));
                return Err(Failure::new(Code::Missing, problem));
            }
        }
        Ok(())
    }
}

/// Returns an element with only its key.
fn keyed(element: &Element) -> Element {
    match element.key() {
        [one] => Element::new(one.clone()),
        _ => element.clone(),
    }
}

/// Returns the elements of a container with these addresses.
pub(super) fn entries(config: &Config, addresses: &[IpNet], tag: &str) -> Vec<Entry> {
    if !config.masquerade {
        return Vec::new();
    }
    let entry = |address: &IpNet| {
        let verdict = Verdict::Goto(masquerade_chain(address.trunc()));
        let element = Element::new(address.addr()).verdict(verdict).comment(tag);
        Entry { set: MASQUERADE[family(address.addr())], element }
    };
    addresses.iter().map(entry).collect()
}
