//! Lists of persistent published ports, and whether a published port works.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::handle::{Identity, Persistent, PortForwardHandle};
use super::loopback;
use super::mapping::{Mapping, Step};
use super::record::Record;
use super::route::link_to;
use super::rows::{self, TagHash};
use super::ruleset::TAGS;
use super::state::{Known, change, unchanged};
use super::switch::Switch;
use super::table::{HAIRPIN, PortTable, link_pair};
use super::withdraw::own_ports;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::{Family, reader};
use crate::obstacle::{self, Obstacle};
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::userdata::UserData;

/// A persistent published port, as the kernel lists it.
///
/// It derefs to its handle, which has the getters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortForwardInfo(PortForwardHandle);

impl PortForwardInfo {
    /// Returns the handle. [`Owned::adopt`](crate::Owned::adopt) takes over the duty to delete the port.
    pub fn handle(&self) -> &PortForwardHandle {
        &self.0
    }
}

impl Deref for PortForwardInfo {
    type Target = PortForwardHandle;

    fn deref(&self) -> &PortForwardHandle {
        &self.0
    }
}

impl Netns {
    /// Lists the persistent published ports, whatever their tags, in the order of these.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn port_forwards(&self) -> Result<Vec<PortForwardInfo>, Error> {
        let step: Step<'_> = ("list", &"persistent published ports");
        list(self, step, |socket, _, table| all(socket, table))
    }

    /// Lists the persistent published ports with this tag. The cost depends on their number alone.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn port_forwards_with_tag(&self, tag: &str) -> Result<Vec<PortForwardInfo>, Error> {
        let step: Step<'_> = ("list ports published for", &tag);
        list(self, step, |socket, known, table| with_tag(socket, known, table, tag))
    }
}

type Listed = (Arc<str>, u16, Record);

/// Lists both families, at one generation of the ruleset.
fn list(
    netns: &Netns,
    step: Step<'_>,
    mut of_table: impl FnMut(&mut Socket, &mut Known, &PortTable) -> Result<Vec<Listed>, Cause>,
) -> Result<Vec<PortForwardInfo>, Error> {
    let listed = change(netns, step, |socket, ports, generation| {
        let mut found = Vec::new();
        for table in [true, false].map(|is_ipv4| PortTable::new(None, is_ipv4)) {
            if ports.known.has(&table) {
                let listed = of_table(socket, &mut ports.known, &table);
                found.extend(listed.map_err(|cause| cause.doing(step.0, step.1))?);
            }
        }
        unchanged(socket, generation, step)?;
        let info = |(tag, place, Record { mapping, number }): Listed| {
            let identity = Identity::Persistent(Box::new(Persistent { tag, number, place }));
            PortForwardInfo(PortForwardHandle { netns: netns.clone(), mapping, identity })
        };
        Ok(found.into_iter().map(info).collect())
    })?;
    loopback::check(netns, step)?;
    Ok(listed)
}

fn all(socket: &mut Socket, table: &PortTable) -> Result<Vec<Listed>, Cause> {
    let of = ElementsOf::new(&table.name, TAGS);
    let (mut tags, mut records) = (BTreeMap::<_, Arc<str>>::new(), Vec::new());
    for element in reader::all_elements(socket, table.family(), &of)? {
        let key = element.key.as_ref().and_then(|key| TagHash::of_key(key.as_slice()));
        let comment = element.userdata.as_ref().and_then(UserData::as_comment);
        let (Some((hash, place)), Some(comment)) = (key, comment) else { continue };
        match place {
            0 => drop(tags.insert(hash, comment.into())),
            _ => records.extend(Record::read(comment).map(|record| (hash, place, record))),
        }
    }
    // By a text of another hash nothing is found.
    tags.retain(|hash, tag| *hash == TagHash::of(tag));
    let listed = |(hash, place, record)| Some((Arc::clone(tags.get(&hash)?), place, record));
    let mut found: Vec<Listed> = records.into_iter().filter_map(listed).collect();
    found.sort_by(|(tag, place, _), (other, other_place, _)| {
        (tag, place).cmp(&(other, other_place))
    });
    Ok(found)
}

fn with_tag(
    socket: &mut Socket,
    known: &mut Known,
    table: &PortTable,
    tag: &str,
) -> Result<Vec<Listed>, Cause> {
    let hash = TagHash::of(tag);
    if rows::texts(socket, table, [(hash, 0)].into_iter())? != [Some(tag.to_owned())] {
        return Ok(Vec::new());
    }
    let (last, tag) = (known.row_count(socket, table, hash)?, Arc::from(tag));
    let texts = rows::texts(socket, table, (1..=last).map(|place| (hash, place)))?;
    let listed = |(place, text): (u16, Option<String>)| {
        Some((Arc::clone(&tag), place, Record::read(text?.as_str())?))
    };
    Ok((1..=last).zip(texts).filter_map(listed).collect())
}

impl PortForwardHandle {
    /// Returns whether the port works: the kernel has its elements and rules, and the route to the
    /// container uses the same link. If the port covers a loopback address, that link must also
    /// route loopback addresses. Any program can delete elements and rules of a persistent port, as
    /// `nft flush ruleset` does.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn is_in_force(&self) -> Result<bool, Error> {
        let step: Step<'_> = ("look at published port", self);
        let is_there = match &self.identity {
            Identity::Held(held) => held.exists(),
            Identity::Persistent(persistent) => self.is_complete(persistent, step)?,
        };
        loopback::check(&self.netns, step)?;
        let Mapping { link, target, .. } = self.mapping;
        if !is_there || link_to(&self.netns, target)? != Some(link) {
            return Ok(false);
        }
        let switch = Switch::read(&self.netns, link)?;
        Ok(switch.is_some_and(|switch| switch.is_on || !self.mapping.covers_loopback()))
    }

    /// Finds base chains of other programs that drop packets to the port.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn obstacles(&self) -> Result<Vec<Obstacle>, Error> {
        let other = if self.mapping.is_ipv4() { Family::Ip6 } else { Family::Ip };
        let mut found = obstacle::find(&self.netns, None)?;
        found.retain(|obstacle| obstacle.family != other);
        Ok(found)
    }

    /// Returns whether the table has all its rules and the elements of the mapping.
    fn is_complete(&self, persistent: &Persistent, step: Step<'_>) -> Result<bool, Error> {
        let table = PortTable::new(None, self.mapping.is_ipv4());
        change(&self.netns, step, |socket, ports, generation| {
            if !ports.known.has(&table) || ports.known.is_broken(&table) {
                return unchanged(socket, generation, step).map(|()| false);
            }
            let Mapping { link, host_ports, .. } = self.mapping;
            let of = ElementsOf::new(&table.name, HAIRPIN);
            let pairs = [(link, link), (0, link)].map(|(from, to)| (&of, link_pair(from, to)));
            let failed = |cause: Cause| cause.doing(step.0, step.1);
            let hairpin = reader::elements(socket, table.family(), &pairs).map_err(failed)?;
            let own = own_ports(socket, &table, &persistent.tag, &self.mapping).map_err(failed)?;
            unchanged(socket, generation, step)?;
            Ok(hairpin.iter().all(Option::is_some) && own.len() == host_ports.len())
        })
    }
}

impl From<PortForwardInfo> for PortForwardHandle {
    fn from(info: PortForwardInfo) -> Self {
        info.0
    }
}
