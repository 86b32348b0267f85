//! The setting `route_localnet` of a link, and a note that netloom turned it on. The note is an
//! alternative name of the link: it survives a flushed ruleset, is visible from every mount
//! namespace, and disappears with its link.

use std::collections::BTreeSet;

use nix::errno::Errno;

use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::wire::attribute::Writer;
use crate::wire::link::{LinkView, WhichLink};

/// The note of `lo`, which says that other links may have notes, and the prefix of those notes.
const NOTE: &str = "netloom-localnet";
/// Every network namespace has its `lo` at this index (`include/net/flow.h`, `LOOPBACK_IFINDEX`).
pub(super) const LO: u32 = 1;

const ROUTE_LOCALNET: u16 = 26;
const RTM_NEWLINKPROP: u16 = 108;
const RTM_DELLINKPROP: u16 = 109;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

/// The setting and the notes of a link.
#[derive(Debug)]
pub(super) struct Switch<'n> {
    netns: &'n Netns,
    link: u32,
    pub(super) is_on: bool,
    notes: Vec<String>,
}

impl<'n> Switch<'n> {
    /// Reads the state of a link. Returns `None` if the link is gone.
    pub(super) fn read(netns: &'n Netns, link: u32) -> Result<Option<Self>, Error> {
        let read = |view: LinkView<'_>| {
            let is_on = view.ipv4_setting(ROUTE_LOCALNET.into()).is_some_and(|value| value != 0);
            let notes = view.alternative_names().filter(|name| name.starts_with(NOTE));
            let notes = notes.map(std::borrow::Cow::into_owned).collect();
            Some(Self { netns, link, is_on, notes })
        };
        match netns.look_up_link(WhichLink::At(link), read) {
            Ok(switch) => Ok(Some(switch)),
            Err(cause) if cause.errno() == Some(Errno::ENODEV) => Ok(None),
            Err(cause) => Err(cause.doing("find link", link).in_namespace(netns)),
        }
    }

    pub(super) fn has_note(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Notes on a link that netloom turns its setting on, or on `lo` that other links may have
    /// notes.
    pub(super) fn add_note(&self) -> Result<(), Error> {
        let name = if self.link == LO { NOTE.to_owned() } else { format!("{NOTE}-{}", self.link) };
        self.alternative_name(RTM_NEWLINKPROP, "add a note to link", &name)
    }

    /// Deletes the note.
    pub(super) fn delete_note(&self) -> Result<(), Error> {
        let mut notes = self.notes.iter();
        notes.try_for_each(|name| {
            self.alternative_name(RTM_DELLINKPROP, "delete the note of link", name)
        })
    }

    /// Turns the setting on. If another program has turned it on before, netloom adds no note and
    /// never turns it off.
    pub(super) fn turn_on(&self) -> Result<(), Error> {
        if self.is_on {
            return Ok(());
        }
        if !self.has_note() {
            self.add_note()?;
        }
        self.set(1)
    }

    /// Turns the setting off if netloom turned it on.
    pub(super) fn turn_off(&self) -> Result<(), Error> {
        if !self.has_note() {
            return Ok(());
        }
        self.set(0)?;
        self.delete_note()
    }

    fn set(&self, value: u32) -> Result<(), Error> {
        self.netns.link_at(self.link)?.set_ipv4_setting(ROUTE_LOCALNET, value)
    }

    fn alternative_name(&self, kind: u16, what: &'static str, name: &str) -> Result<(), Error> {
        let mut batch = Batch::default();
        batch.request(kind, 0, |out| {
            WhichLink::At(self.link).write(out);
            let mut attributes = Writer::new(out);
            attributes.nested(IFLA_PROP_LIST, |list| list.string(IFLA_ALT_IFNAME, name));
        });
        let refusals = self.netns.rtnetlink(|socket| socket.exchange(&mut batch, |_, _| ()));
        let refused = refusals.and_then(|refusals| match refusals.into_iter().next() {
            Some((_, refusal)) => Err(Cause::from(refusal)),
            None => Ok(()),
        });
        refused.map_err(|cause| cause.doing(what, self.link).in_namespace(self.netns))
    }
}

/// Lists all links of the namespace, and returns those that have a note.
pub(super) fn noted(netns: &Netns) -> Result<BTreeSet<u32>, Error> {
    netns.fold_links(BTreeSet::new, |noted, link| {
        let is_noted = link.alternative_names().any(|name| name.starts_with(NOTE));
        if is_noted && link.index() != LO {
            noted.insert(link.index().into());
        }
    })
}
