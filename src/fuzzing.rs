//! Entry points for fuzz targets and tests: scripts that replace the kernel, and round trips of
//! encodings. Other builds leave this module out, and it is not part of the API.

#[cfg(test)]
mod mutated_seeds;

use std::fmt::Debug;

use crate::netlink::script;
use crate::wire::attribute::{Attribute, Attributes, Writer};
use crate::wire::message::messages;
use crate::wire::nft::codec::{Codec, Field, NFTA_LIST_ELEM};
use crate::wire::nft::element::{self, Element, ElementsOf};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::message::{Message, MessageType};
use crate::wire::nft::{chain, flowtable, generation, object, rule, set, table};

/// Runs `ask`, and answers its requests with the datagrams of `script` instead of the kernel's. In
/// the script, each datagram follows its length in two bytes.
pub fn answered_by<T>(script: &[u8], ask: impl FnOnce() -> T) -> T {
    script::play(script, ask)
}

/// Runs `ask`, and returns the kernel's answers as a script.
pub fn recorded<T>(ask: impl FnOnce() -> T) -> (T, Vec<u8>) {
    script::record(ask)
}

/// Returns the messages of a script as one sequence, without the lengths of the datagrams.
pub fn messages_of(script: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = script;
    while let [low, high, behind @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        all.extend_from_slice(&behind[..length]);
        rest = &behind[length..];
    }
    all
}

/// Reads `nf_tables` objects and writes each one. The written object must read back the same.
pub fn nf_tables_objects(datagram: &[u8]) {
    for message in messages(datagram) {
        let Some(message) = Message::decode(message.kind, message.payload) else { continue };
        let attributes = message.attributes;
        match message.kind {
            MessageType::NewTable => reads_back::<table::Table>(attributes),
            MessageType::NewChain => reads_back::<chain::Chain>(attributes),
            MessageType::NewRule => reads_back::<rule::Rule>(attributes),
            MessageType::NewSet => reads_back::<set::Set>(attributes),
            MessageType::NewObject => reads_back::<object::Object>(attributes),
            MessageType::NewFlowtable => reads_back::<flowtable::Flowtable>(attributes),
            MessageType::NewGeneration => reads_back::<generation::Generation>(attributes),
            MessageType::NewElement => {
                reads_back::<ElementsOf<'_>>(attributes);
                elements(attributes);
            }
            _ => {}
        }
    }
}

/// Reads a list of expressions and writes it. The list must come out unchanged: a partly understood
/// expression may not be lost.
pub fn nf_tables_expressions(list: &[u8]) {
    let decode_list = |list| Vec::<Expr>::read(Attribute::of(list));
    let read = decode_list(list);
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    read.iter().flatten().for_each(|expr| expr.write(&mut writer, NFTA_LIST_ELEM));
    if !writer.overflowed() {
        assert_eq!(decode_list(&out), read);
    }
}

fn elements(attributes: Attributes<'_>) {
    let read: Vec<Element> = element::decode_list(attributes).collect();
    let mut out = Vec::new();
    let of = ElementsOf::default();
    let mut writer = Writer::new(&mut out);
    let written = element::encode_list(&of, &mut read.iter().peekable(), &mut writer);
    if !writer.overflowed() {
        let again: Vec<Element> = element::decode_list(Attributes::new(&out)).collect();
        assert_eq!(again, read[..written]);
    }
}

fn reads_back<T: Codec + Debug + PartialEq>(attributes: Attributes<'_>) {
    let Some(read) = T::decode(attributes) else { return };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    read.encode(&mut writer);
    if !writer.overflowed() {
        assert_eq!(T::decode(Attributes::new(&out)), Some(read));
    }
}
