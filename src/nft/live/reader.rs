//! Requests for one object, for elements, or for a list.

use nix::errno::Errno;

use crate::error::Cause;
use crate::netlink::{Batch, Socket};
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::message::{Message as Answer, NLM_F_DUMP};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ElementsOf, decode_list, encode_list};
use crate::wire::nft::message::{Family, Message, MessageType, append};
use crate::wire::nft::object::Object;
use crate::wire::nft::rule::Rule;
use crate::wire::nft::set::Set;
use crate::wire::nft::table::Table;

/// A request without attributes, which lists all objects of a type.
pub(crate) struct Everything;

impl Codec for Everything {
    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(_: Attributes<'_>) -> Option<Self> {
        Some(Self)
    }
}

/// Reads one object. Returns `None` if the kernel has none.
pub(crate) fn get<T: Codec>(
    socket: &mut Socket,
    kind: MessageType,
    family: impl Into<Option<Family>>,
    which: &impl Codec,
) -> Result<Option<T>, Cause> {
    let request = |batch: &mut Batch| request(batch, kind, 0, family, |out| which.encode(out));
    match socket.get(request, decode) {
        Ok(None) => Err(Cause::Malformed("the requested object is missing")),
        Err(cause) if cause.errno() == Some(Errno::ENOENT) => Ok(None),
        found => found,
    }
}

/// Reads a list, each object with its family.
pub(crate) fn list<T: Codec>(
    socket: &mut Socket,
    kind: MessageType,
    family: impl Into<Option<Family>>,
    which: &impl Codec,
) -> Result<Vec<(Family, T)>, Cause> {
    let mut batch = Batch::default();
    request(&mut batch, kind, NLM_F_DUMP, family, |out| which.encode(out));
    socket.dump(&mut batch, |answer| {
        let message = Message::decode(answer.kind, answer.payload)?;
        Some((message.family?, T::decode(message.attributes)?))
    })
}

/// Reads the named object that `object` identifies. Returns `None` if the kernel has none.
pub(crate) fn object(
    socket: &mut Socket,
    family: Family,
    which: &Object,
) -> Result<Option<Object>, Cause> {
    get(socket, MessageType::GetObject, family, which)
}

/// Reads the rules of a table, in order. Returns no rules if the table is missing.
pub(crate) fn rules(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Rule>, Cause> {
    let of_table = Rule { table: table.to_owned(), ..Rule::default() };
    let rules = list(socket, MessageType::GetRule, family, &of_table)?.into_iter();
    Ok(rules.map(|(_, rule): (_, Rule)| rule).filter(|rule| rule.table == table).collect())
}

/// Reads the sets of a table. Returns no sets if the table is missing.
pub(crate) fn sets(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Set>, Cause> {
    let of_table = Set { table: table.to_owned(), ..Set::default() };
    let sets = list(socket, MessageType::GetSet, family, &of_table)?.into_iter();
    Ok(sets.map(|(_, set): (_, Set)| set).filter(|set| set.table == table).collect())
}

/// Reads all tables of the namespace, each with its family.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<(Family, Table)>, Cause> {
    list(socket, MessageType::GetTable, None, &Everything)
}

/// The number of requests for elements in one datagram. The kernel answers each in its own
/// datagram, which takes some 4 KiB of the receive buffer; a default buffer holds 16 of them.
const AT_ONCE: usize = 16;

/// Reads the elements with these keys. Returns them in the order of the keys.
pub(crate) fn elements(
    socket: &mut Socket,
    family: Family,
    keys: &[(&ElementsOf<'_>, Value)],
) -> Result<Vec<Option<Element>>, Cause> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for (of, key) in keys {
            request(&mut batch, MessageType::GetElement, 0, family, |out| {
                encode_list(of, &mut std::iter::once(Element::new(*key)).peekable(), out);
            });
        }
        let start = found.len();
        found.resize(start + keys.len(), None);
        let refusals = socket.exchange(&mut batch, |place, answer| {
            let message = Message::decode(answer.kind, answer.payload);
            if let (Some(found), Some(message)) = (found.get_mut(start + place), message) {
                *found = decode_list(message.attributes).next();
            }
        })?;
        let answered = found.get(start..).unwrap_or_default().iter().flatten().count();
        if let Some((_, refusal)) = refusals.iter().find(|(_, one)| one.errno != Errno::ENOENT) {
            return Err(refusal.clone().into());
        }
        if answered + refusals.len() != keys.len() {
            return Err(Cause::Malformed("a requested element is missing"));
        }
    }
    Ok(found)
}

/// Reads the elements that contain one key. `key` has one element, or two (start and end) in a set
/// with intervals.
pub(crate) fn element(
    socket: &mut Socket,
    family: Family,
    of: &ElementsOf<'_>,
    key: &[Element],
) -> Result<Vec<Element>, Cause> {
    let (mut batch, mut found) = (Batch::default(), Vec::new());
    request(&mut batch, MessageType::GetElement, 0, family, |out| {
        encode_list(of, &mut key.iter().peekable(), out);
    });
    let refusals = socket.exchange(&mut batch, |_, answer| {
        if let Some(message) = Message::decode(answer.kind, answer.payload) {
            found.extend(decode_list(message.attributes));
        }
    })?;
    match refusals.into_iter().next() {
        None => Ok(found),
        Some((_, refusal)) if refusal.errno == Errno::ENOENT => Ok(Vec::new()),
        Some((_, refusal)) => Err(refusal.into()),
    }
}

/// Reads all elements of a set.
pub(crate) fn all_elements(
    socket: &mut Socket,
    family: Family,
    of: &ElementsOf<'_>,
) -> Result<Vec<Element>, Cause> {
    let mut batch = Batch::default();
    request(&mut batch, MessageType::GetElement, NLM_F_DUMP, family, |out| of.encode(out));
    socket.fold(&mut batch, Vec::new, |list, answer| {
        if let Some(message) = Message::decode(answer.kind, answer.payload) {
            list.extend(decode_list(message.attributes));
        }
    })
}

/// Appends a request. If a name is too long for a message, requests the object with no name
/// instead.
fn request(
    batch: &mut Batch,
    kind: MessageType,
    flags: u16,
    family: impl Into<Option<Family>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> usize {
    let family = family.into();
    batch.append(|out| {
        if append(out, kind, flags, 0, family, fill).is_err() {
            drop(append(out, kind, flags, 0, family, |_| ()));
        }
    })
}

fn decode<T: Codec>(answer: Answer<'_>) -> Option<T> {
    T::decode(Message::decode(answer.kind, answer.payload)?.attributes)
}
