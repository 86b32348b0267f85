//! Reads from the kernel: the generation, a table, its rules, elements of its sets.

use nix::errno::Errno;

use crate::error::Cause;
use crate::netlink::{Batch, Socket};
use crate::wire::attribute::{Attributes, Writer};
use crate::wire::message::{Message as Answer, NLM_F_DUMP};
use crate::wire::nft::chain::Chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::data::Value;
use crate::wire::nft::element::{Element, ElementsOf, decode_list, encode_list};
use crate::wire::nft::generation::Generation;
use crate::wire::nft::message::{Family, Message, MessageType, append};
use crate::wire::nft::object::Object;
use crate::wire::nft::rule::Rule;
use crate::wire::nft::table::Table;

/// The number that changes with each transaction in the namespace.
pub(crate) fn generation(socket: &mut Socket) -> Result<u32, Cause> {
    let all = Nothing;
    let generation: Option<Generation> =
        one(socket, MessageType::GetGeneration, Family::Unspecified, &all)?;
    generation.map(|generation| generation.id).ok_or(Cause::Malformed("no generation"))
}

/// The table of this name, if there is one.
pub(crate) fn table(
    socket: &mut Socket,
    family: Family,
    name: &str,
) -> Result<Option<Table>, Cause> {
    one(socket, MessageType::GetTable, family, &Table::by_name(name))
}

/// The chain of this name in a table, if there is one.
pub(crate) fn chain(
    socket: &mut Socket,
    family: Family,
    (table, name): (&str, &str),
) -> Result<Option<Chain>, Cause> {
    one(socket, MessageType::GetChain, family, &Chain::by_name(table, name))
}

/// The rule with this number, if there is one.
pub(crate) fn rule(
    socket: &mut Socket,
    family: Family,
    (table, chain, handle): (&str, &str, u64),
) -> Result<Option<Rule>, Cause> {
    one(socket, MessageType::GetRule, family, &Rule::by_handle(table, chain, handle))
}

/// The object that this names, if there is one.
pub(crate) fn object(
    socket: &mut Socket,
    family: Family,
    which: &Object,
) -> Result<Option<Object>, Cause> {
    one(socket, MessageType::GetObject, family, which)
}

/// All rules of a table, in order; none where it is not there.
pub(crate) fn rules(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Rule>, Cause> {
    let of_table = Rule { table: table.to_owned(), ..Rule::default() };
    let mut batch = request(MessageType::GetRule, NLM_F_DUMP, family, &of_table)?;
    socket.dump_batch(&mut batch, |answer| read(answer).filter(|rule: &Rule| rule.table == table))
}

/// All chains of the namespace, each with its table's family.
pub(crate) fn chains(socket: &mut Socket) -> Result<Vec<(Family, Chain)>, Cause> {
    all(socket, MessageType::GetChain)
}

/// All tables of the namespace, each with its family.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<(Family, Table)>, Cause> {
    all(socket, MessageType::GetTable)
}

fn all<T: Codec>(socket: &mut Socket, kind: MessageType) -> Result<Vec<(Family, T)>, Cause> {
    let mut batch = request(kind, NLM_F_DUMP, Family::Unspecified, &Nothing)?;
    socket.dump_batch(&mut batch, |answer| {
        let message = Message::decode(answer.kind, answer.payload)?;
        Some((message.family, T::decode(message.attributes)?))
    })
}

/// The kernel sends each answer in a datagram of its own, of some 4 KiB by its bookkeeping: as many as a
/// socket's default buffer holds with ease.
const AT_ONCE: usize = 16;

/// The elements with these keys, each at its place, where there is one.
pub(crate) fn elements(
    socket: &mut Socket,
    family: Family,
    keys: &[(&ElementsOf<'_>, Value)],
) -> Result<Vec<Option<Element>>, Cause> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for (of, key) in keys {
            let fits = append_to(&mut batch, MessageType::GetElement, 0, family, |out| {
                encode_list(of, &mut std::iter::once(Element::new(*key)).peekable(), out);
            });
            if !fits {
                return Err(Cause::Invalid("a name in it is too long".into()));
            }
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
            return Err(Cause::Malformed("what was asked for did not come"));
        }
    }
    Ok(found)
}

/// All elements of a set.
pub(crate) fn all_elements(
    socket: &mut Socket,
    family: Family,
    of: &ElementsOf<'_>,
) -> Result<Vec<Element>, Cause> {
    let mut batch = request(MessageType::GetElement, NLM_F_DUMP, family, of)?;
    let lists = socket.dump_batch(&mut batch, |answer| {
        let message = Message::decode(answer.kind, answer.payload)?;
        Some(decode_list(message.attributes).collect::<Vec<_>>())
    })?;
    Ok(lists.into_iter().flatten().collect())
}

fn one<T: Codec>(
    socket: &mut Socket,
    kind: MessageType,
    family: Family,
    which: &impl Codec,
) -> Result<Option<T>, Cause> {
    let mut batch = request(kind, 0, family, which)?;
    for _ in 0..2 {
        let mut found = None;
        let refusals = socket.exchange(&mut batch, |_, answer| found = read(answer))?;
        match refusals.into_iter().next() {
            Some((_, refusal)) if refusal.errno == Errno::ENOENT => return Ok(None),
            Some((_, refusal)) => return Err(refusal.into()),
            None if found.is_some() => return Ok(found),
            // The answer may have been longer than the buffer, which has grown since.
            None => {}
        }
    }
    Err(Cause::Malformed("what was asked for did not come"))
}

fn request(
    kind: MessageType,
    flags: u16,
    family: Family,
    which: &impl Codec,
) -> Result<Batch, Cause> {
    let mut batch = Batch::default();
    let fits = append_to(&mut batch, kind, flags, family, |attributes| which.encode(attributes));
    if fits { Ok(batch) } else { Err(Cause::Invalid("a name in it is too long".into())) }
}

fn append_to(
    batch: &mut Batch,
    kind: MessageType,
    flags: u16,
    family: Family,
    fill: impl FnOnce(&mut Writer<'_>),
) -> bool {
    let mut fits = true;
    batch.append(|out| fits = append(out, kind, flags, 0, family, fill).is_ok());
    fits
}

fn read<T: Codec>(answer: Answer<'_>) -> Option<T> {
    T::decode(Message::decode(answer.kind, answer.payload)?.attributes)
}

/// A request that says nothing more.
struct Nothing;

impl Codec for Nothing {
    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(_: Attributes<'_>) -> Option<Self> {
        Some(Self)
    }
}
