//! What is there: the generation, a table, its rules.

use netlink_packet_core::NLM_F_DUMP;
use nix::errno::Errno;

use crate::error::Cause;
use crate::netlink::{Batch, Socket};
use crate::wire::attribute::Attributes;
use crate::wire::message::Message as Answer;
use crate::wire::nft::chain::Chain;
use crate::wire::nft::codec::Codec;
use crate::wire::nft::generation::Generation;
use crate::wire::nft::message::{Family, Message, MessageType, append};
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

/// The rule with this number, if there is one.
pub(crate) fn rule(
    socket: &mut Socket,
    family: Family,
    (table, chain, handle): (&str, &str, u64),
) -> Result<Option<Rule>, Cause> {
    one(socket, MessageType::GetRule, family, &Rule::by_handle(table, chain, handle))
}

/// All rules of a table, in order; none where it is not there.
pub(crate) fn rules(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<Rule>, Cause> {
    let of_table = Rule { table: table.to_owned(), ..Rule::default() };
    let mut batch = request(MessageType::GetRule, NLM_F_DUMP, family, &of_table)?;
    socket.dump_batch(&mut batch, |answer| read(answer).filter(|rule: &Rule| rule.table == table))
}

/// All chains of the namespace, each with its table's family.
pub(crate) fn chains(socket: &mut Socket) -> Result<Vec<(Family, Chain)>, Cause> {
    let mut batch = request(MessageType::GetChain, NLM_F_DUMP, Family::Unspecified, &Nothing)?;
    socket.dump_batch(&mut batch, |answer| {
        let message = Message::decode(answer.kind, answer.payload)?;
        Some((message.family, Chain::decode(message.attributes)?))
    })
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
    let mut fits = true;
    batch.append(|out| {
        fits = append(out, kind, flags, 0, family, |attributes| which.encode(attributes)).is_ok();
    });
    if fits { Ok(batch) } else { Err(Cause::Invalid("a name in it is too long".into())) }
}

fn read<T: Codec>(answer: Answer<'_>) -> Option<T> {
    T::decode(Message::decode(answer.kind, answer.payload)?.attributes)
}

/// A request that says nothing more.
struct Nothing;

impl Codec for Nothing {
    fn encode(&self, _: &mut crate::wire::attribute::Writer<'_>) {}

    fn decode(_: Attributes<'_>) -> Option<Self> {
        Some(Self)
    }
}
