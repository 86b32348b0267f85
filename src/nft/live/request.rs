//! Questions to the kernel: of one thing, or of all.

use super::generation::Generation;
use super::table::TableHandle;
use crate::error::{Cause, Error};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::nft::model::family::Family;
use crate::wire::message::{NLM_F_DUMP, NLM_F_REQUEST};
use crate::wire::nft::codec::Codec;
use crate::wire::nft::generation as wire_generation;
use crate::wire::nft::message as wire;
use crate::wire::nft::message::{Message, MessageType};

pub(crate) fn dump<T: Codec>(
    netns: &Netns,
    only: Option<&TableHandle>,
    kind: MessageType,
    of: &T,
) -> Result<Vec<(wire::Family, T)>, Error> {
    let family = only.map_or(wire::Family::Unspecified, |table| table.family.wire());
    dump_with(netns, family, kind, of, |message| {
        T::decode(message.attributes).map(|one| (message.family, one))
    })
}

pub(crate) fn dump_in<T: Codec>(
    netns: &Netns,
    family: Family,
    kind: MessageType,
    of: &T,
) -> Result<Vec<(wire::Family, T)>, Error> {
    dump_with(netns, family.wire(), kind, of, |message| {
        T::decode(message.attributes).map(|one| (message.family, one))
    })
}

pub(crate) fn dump_with<T>(
    netns: &Netns,
    family: wire::Family,
    kind: MessageType,
    of: &impl Codec,
    mut read: impl FnMut(Message<'_>) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let mut batch = request(kind, NLM_F_DUMP, family, of);
    netns
        .nf_tables(|nf_tables| {
            nf_tables.socket.dump_batch(&mut batch, |answer| {
                Message::decode(answer.kind, answer.payload).and_then(&mut read)
            })
        })
        .map_err(|cause| cause.doing("read", "the ruleset").in_namespace(netns))
}

/// Asks for one thing.
pub(crate) fn get<T>(
    netns: &Netns,
    family: wire::Family,
    kind: MessageType,
    of: &impl Codec,
    mut read: impl FnMut(Message<'_>) -> Option<T>,
) -> Result<Option<T>, Cause> {
    let batch = request(kind, 0, family, of);
    get_batch(netns, batch, &mut read)
}

pub(crate) fn get_batch<T>(
    netns: &Netns,
    mut batch: Batch,
    read: &mut dyn FnMut(Message<'_>) -> Option<T>,
) -> Result<Option<T>, Cause> {
    netns.nf_tables(|nf_tables| {
        let mut found = None;
        let refusals = nf_tables.socket.exchange(&mut batch, |_, answer| {
            if let Some(message) = Message::decode(answer.kind, answer.payload) {
                found = read(message).or(found.take());
            }
        })?;
        match refusals.into_iter().next() {
            Some((_, refusal)) => Err(refusal.into()),
            None => Ok(found),
        }
    })
}

fn request(kind: MessageType, flags: u16, family: wire::Family, of: &impl Codec) -> Batch {
    let mut batch = Batch::default();
    let flags = flags | NLM_F_REQUEST;
    batch.append(|out| drop(wire::append(out, kind, flags, 0, family, |out| of.encode(out))));
    batch
}

pub(crate) fn generation(netns: &Netns) -> Result<Generation, Error> {
    let mut batch = Batch::default();
    let unspecified = wire::Family::Unspecified;
    batch.append(|out| {
        drop(wire::append(out, MessageType::GetGeneration, 0, 0, unspecified, |_| ()));
    });
    let mut read = |message: Message<'_>| wire_generation::Generation::decode(message.attributes);
    let doing = |cause: Cause| cause.doing("read", "the ruleset's generation").in_namespace(netns);
    match get_batch(netns, batch, &mut read).map_err(doing)? {
        Some(generation) => Ok(Generation(generation.id)),
        None => Err(doing(Cause::Malformed("no generation in it"))),
    }
}
