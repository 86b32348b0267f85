//! What changes of the notes, sorted by where it is written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::note::{Note, Text};
use crate::nat::port_forward::elements::hairpin;
use crate::nat::port_forward::ruleset::{HAIRPIN, LOCAL, PortTable, TAGS};
use crate::nat::port_forward::tables::Step;
use crate::nft::Operations;
use crate::wire::attribute::Writer;
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::chain::Chain;
use crate::wire::nft::data::Verdict;
use crate::wire::nft::element::{ElementsOf, ListElement, PlainData, PlainElement};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::userdata::Comment;

/// What elements of notes lead to, each made but once.
#[derive(Debug)]
pub(super) struct Verdicts {
    mappings: Verdict,
    links: BTreeMap<u32, Verdict>,
}

impl Verdicts {
    /// Of all that these notes may need.
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a Text>) -> Self {
        let goto = |note: Note| Verdict::Goto(note.chain().unwrap_or_default().as_str().into());
        let mut links = BTreeMap::new();
        let mut last = None;
        for link in texts.filter_map(|text| text.local) {
            if last.replace(link) != Some(link) {
                links.entry(link).or_insert_with(|| goto(Note::Local(link)));
            }
        }
        Self { mappings: goto(Note::Whole), links }
    }

    fn of_note(&self, note: Note, text: &Text) -> Option<&Verdict> {
        match note {
            Note::Whole | Note::Container(..) => None,
            Note::Tag(_) | Note::Group(..) => Some(&Verdict::Return),
            Note::Local(_) => Some(&self.mappings),
            Note::Mapping(..) => match text.local {
                Some(link) => self.links.get(&link),
                None => Some(&self.mappings),
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Changes<'a> {
    verdicts: &'a Verdicts,
    tags: OfSet<'a>,
    hairpin: OfSet<'a>,
    local: OfSet<'a>,
    /// Of links.
    new_chains: Vec<String>,
    old_chains: Vec<String>,
}

#[derive(Debug, Default)]
struct OfSet<'a> {
    gone: Vec<Item<'a>>,
    new: Vec<Item<'a>>,
}

#[derive(Debug)]
enum Item<'a> {
    Gone(Note),
    New(Note, &'a Text, Option<&'a Verdict>),
    /// What comes to a container from here, too; see the module's page.
    FromHere(u32, IpAddr),
}

impl ListElement for Item<'_> {
    fn write(&self, out: &mut Writer<'_>) {
        let (key, data, comment) = match *self {
            Self::Gone(note) => (note.key(), None, None),
            Self::New(note, text, verdict) => (note.key(), verdict, text.comment(note)),
            Self::FromHere(link, address) => (Some(hairpin(0, link, address)), None, None),
        };
        // Every note that is pushed has one.
        let Some(key) = key else { return };
        let comment = comment.as_deref().and_then(Comment::new);
        let data = data.map(PlainData::Verdict);
        PlainElement { key: &key, data, comment }.write(out);
    }
}

impl<'a> Changes<'a> {
    pub(super) fn new(verdicts: &'a Verdicts) -> Self {
        let (tags, hairpin, local, new_chains, old_chains) = Default::default();
        Self { verdicts, tags, hairpin, local, new_chains, old_chains }
    }

    /// With room for so many mappings.
    pub(super) fn reserve(&mut self, mappings: usize) {
        self.tags.new.reserve(mappings);
    }

    /// One note's. `None`: it can't be put into an element.
    pub(super) fn add(
        &mut self,
        note: Note,
        before: Option<&Text>,
        now: Option<&'a Text>,
    ) -> Option<()> {
        if before == now || (note.is_counted() && before.is_some() && now.is_some()) {
            return Some(());
        }
        let of_set = match note {
            Note::Whole => return Some(()),
            Note::Tag(_) | Note::Mapping(..) | Note::Group(..) => &mut self.tags,
            Note::Container(..) => &mut self.hairpin,
            Note::Local(_) => &mut self.local,
        };
        if before.is_some() {
            of_set.gone.push(Item::Gone(note));
        }
        if let Some(text) = now {
            if let Some(comment) = text.comment(note) {
                Comment::new(&comment)?;
            }
            of_set.new.push(Item::New(note, text, self.verdicts.of_note(note, text)));
        }
        match (note, before, now) {
            (Note::Container(link, address), None, Some(_)) => {
                of_set.new.push(Item::FromHere(link, address));
            }
            (Note::Container(link, address), Some(_), None) => {
                of_set.gone.push(Item::FromHere(link, address));
            }
            (Note::Local(_), None, _) => self.new_chains.extend(note.chain()),
            (Note::Local(_), ..) => self.old_chains.extend(note.chain()),
            _ => {}
        }
        Some(())
    }

    /// What is to go first, as an element can't be changed.
    pub(super) fn push<'s>(
        &self,
        table: &PortTable,
        transaction: &mut Operations<'s>,
        step: Step<'s>,
    ) {
        let (create, family) = (NLM_F_CREATE | NLM_F_EXCL, table.family());
        let chain = |name: &String| Chain::by_name(&table.name, name);
        for name in &self.new_chains {
            transaction.push(step, MessageType::NewChain, create, family, &chain(name));
        }
        let sets = [(TAGS, &self.tags), (HAIRPIN, &self.hairpin), (LOCAL, &self.local)];
        for (set, OfSet { gone, new }) in sets {
            let of = ElementsOf::new(&table.name, set);
            let (delete, add) = (MessageType::DeleteElement, MessageType::NewElement);
            transaction.push_elements(step, delete, 0, family, (&of, gone));
            transaction.push_elements(step, add, create, family, (&of, new));
        }
        for name in &self.old_chains {
            transaction.push(step, MessageType::DeleteChain, 0, family, &chain(name));
        }
    }
}
