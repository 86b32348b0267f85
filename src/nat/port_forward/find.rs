//! Lists of persistent published ports, and checks whether a published port works.

use std::collections::BTreeMap;
use std::sync::Arc;

use nix::errno::Errno;

use super::handle::{Flag, Persistent, PortForwardHandle};
use super::loopback;
use super::record::Record;
use super::ruleset::TAGS;
use super::state::{Turn, look};
use super::table::PortTable;
use super::tag::TagHash;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{Family, Step, reader};
use crate::obstacle::{self, Obstacle};
use crate::wire::nft::element::ElementsOf;
use crate::wire::nft::userdata::UserData;

impl Netns {
    /// Lists the persistent published ports of all tags, sorted by tag. To delete one, adopt it
    /// with [`Owned::adopt`](crate::Owned::adopt).
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn port_forwards(&self) -> Result<Vec<PortForwardHandle>, Error> {
        list(self, ("list", &"persistent published ports"), all)
    }

    /// Lists the persistent published ports with this tag. The cost depends only on how many ports
    /// have the tag.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn port_forwards_with_tag(&self, tag: &str) -> Result<Vec<PortForwardHandle>, Error> {
        let step: Step<'_> = ("list ports published for", &tag);
        list(self, step, |turn, table| with_tag(turn, table, tag))
    }
}

type Listed = (Arc<str>, u16, Record);

/// Lists both families, at one generation of the ruleset.
fn list(
    netns: &Netns,
    step: Step<'_>,
    of_table: impl Fn(&mut Turn<'_>, &PortTable) -> Result<Vec<Listed>, Error>,
) -> Result<Vec<PortForwardHandle>, Error> {
    let listed = look(netns, step, |turn| {
        let mut found = Vec::new();
        for table in [true, false].map(|is_ipv4| PortTable::new(None, is_ipv4)) {
            if turn.ports.known.has(&table) {
                found.extend(of_table(turn, &table)?);
            }
        }
        Ok(found)
    })?;
    loopback::check(netns, step)?;
    let info = |(flag, (tag, place, Record { mapping, number })): (Flag, Listed)| {
        let persistent = Some(Box::new(Persistent { tag, number, place, since: None }));
        PortForwardHandle { netns: netns.clone(), mapping, flag, persistent }
    };
    Ok(Flag::many(listed.len()).zip(listed).map(info).collect())
}

fn all(turn: &mut Turn<'_>, table: &PortTable) -> Result<Vec<Listed>, Error> {
    let of = ElementsOf::new(&table.name, TAGS);
    let (mut tags, mut records) = (BTreeMap::<_, Arc<str>>::new(), Vec::new());
    let elements = match reader::all_elements(turn.socket, table.family(), &of) {
        // Another program deleted the map of rows.
        Err(cause) if cause.errno() == Some(Errno::ENOENT) => Vec::new(),
        elements => elements.map_err(|cause| turn.failed(cause))?,
    };
    for element in elements {
        let key = element.key.as_ref().and_then(|key| TagHash::of_key(key.as_slice()));
        let comment = element.userdata.as_ref().and_then(UserData::as_comment);
        let (Some((hash, place)), Some(comment)) = (key, comment) else { continue };
        match place {
            0 => drop(tags.insert(hash, comment.into())),
            _ => records.extend(Record::read(comment).map(|record| (hash, place, record))),
        }
    }
    // Skips a tag whose text does not match its hash: `with_tag` could not find it.
    tags.retain(|hash, tag| *hash == TagHash::of(tag));
    let listed = |(hash, place, record)| Some((Arc::clone(tags.get(&hash)?), place, record));
    let mut found: Vec<Listed> = records.into_iter().filter_map(listed).collect();
    found.sort_by(|(tag, place, _), (other, other_place, _)| {
        (tag, place).cmp(&(other, other_place))
    });
    Ok(found)
}

fn with_tag(turn: &mut Turn<'_>, table: &PortTable, tag: &str) -> Result<Vec<Listed>, Error> {
    let hash = TagHash::of(tag);
    if turn.texts(table, [(hash, 0)].into_iter())? != [Some(tag.to_owned())] {
        return Ok(Vec::new());
    }
    let (last, tag) = (turn.row_count(table, hash)?, Arc::from(tag));
    let texts = turn.texts(table, (1..=last).map(|place| (hash, place)))?;
    let listed = |(place, text): (u16, Option<String>)| {
        Some((Arc::clone(&tag), place, Record::read(text?.as_str())?))
    };
    Ok((1..=last).zip(texts).filter_map(listed).collect())
}

impl PortForwardHandle {
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
}
