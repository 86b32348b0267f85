//! Expressions: the steps of a rule, one file each.
//!
//! ```text
//! NFTA_LIST_ELEM 1, for each
//!   NFTA_EXPR_NAME  1  string
//!   NFTA_EXPR_DATA  2  nest     the attributes of this expression; `notrack` has none
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_expr_attributes`.

pub(crate) mod bitwise;
pub(crate) mod byteorder;
pub(crate) mod cmp;
pub(crate) mod connlimit;
pub(crate) mod counter;
pub(crate) mod ct;
pub(crate) mod dup;
pub(crate) mod dynset;
pub(crate) mod exthdr;
pub(crate) mod fib;
pub(crate) mod flow_offload;
pub(crate) mod fwd;
pub(crate) mod hash;
pub(crate) mod immediate;
pub(crate) mod limit;
mod listed;
pub(crate) mod log;
pub(crate) mod lookup;
pub(crate) mod masq;
pub(crate) mod meta;
pub(crate) mod nat;
pub(crate) mod notrack;
pub(crate) mod numgen;
pub(crate) mod objref;
pub(crate) mod payload;
pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod range;
pub(crate) mod redir;
pub(crate) mod reject;
pub(crate) mod rt;
pub(crate) mod socket;
pub(crate) mod synproxy;
pub(crate) mod tproxy;

use self::{
    bitwise::Bitwise, byteorder::Byteorder, cmp::Cmp, connlimit::Connlimit, counter::Counter,
    ct::Ct, dup::Dup, dynset::Dynset, exthdr::Exthdr, fib::Fib, flow_offload::FlowOffload,
    fwd::Fwd, hash::Hash, immediate::Immediate, limit::Limit, log::Log, lookup::Lookup, masq::Masq,
    meta::Meta, nat::Nat, notrack::Notrack, numgen::Numgen, objref::Objref, payload::Payload,
    queue::Queue, quota::Quota, range::Range, redir::Redir, reject::Reject, rt::Rt, socket::Socket,
    synproxy::Synproxy, tproxy::Tproxy,
};
use super::codec::{self, Codec, Fields};
use crate::wire::attribute::{Attribute, Attributes, Writer};

pub(crate) const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

/// The only expression that holds others.
const DYNSET: &str = "dynset";

macro_rules! expressions {
    ($($variant:ident = $name:literal),* $(,)?) => {
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Expr {
            $($variant($variant),)*
            Unknown(Unknown),
        }

        $(impl From<$variant> for Expr {
            fn from(expr: $variant) -> Self {
                Self::$variant(expr)
            }
        })*

        impl Expr {
            /// As the kernel calls it.
            pub(crate) fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown(unknown) => &unknown.name,
                }
            }

            fn encode_data(&self, out: &mut Writer<'_>) {
                match self {
                    $(Self::$variant(expr) => expr.encode(out),)*
                    Self::Unknown(_) => {}
                }
            }

            fn decode_data(name: &str, data: Attributes<'_>) -> Option<Self> {
                match name {
                    $($name => $variant::decode(data).map(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

expressions! {
    Bitwise = "bitwise",
    Byteorder = "byteorder",
    Cmp = "cmp",
    Connlimit = "connlimit",
    Counter = "counter",
    Ct = "ct",
    Dup = "dup",
    Dynset = "dynset",
    Exthdr = "exthdr",
    Fib = "fib",
    FlowOffload = "flow_offload",
    Fwd = "fwd",
    Hash = "hash",
    Immediate = "immediate",
    Limit = "limit",
    Log = "log",
    Lookup = "lookup",
    Masq = "masq",
    Meta = "meta",
    Nat = "nat",
    Notrack = "notrack",
    Numgen = "numgen",
    Objref = "objref",
    Payload = "payload",
    Queue = "queue",
    Quota = "quota",
    Range = "range",
    Redir = "redir",
    Reject = "reject",
    Rt = "rt",
    Socket = "socket",
    Synproxy = "synproxy",
    Tproxy = "tproxy",
}

/// An expression that says something not understood here; it is written as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// As far as it can be read.
    pub(crate) name: String,
    /// All of it, the name included.
    pub(crate) bytes: Vec<u8>,
}

impl Expr {
    /// As an attribute of this type: [`NFTA_LIST_ELEM`] in a list.
    pub(crate) fn encode_as(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |element| {
            if let Self::Unknown(unknown) = self {
                element.raw(&unknown.bytes);
            } else {
                element.string(NFTA_EXPR_NAME, self.name());
                if !matches!(self, Self::Notrack(_)) {
                    element.nested(NFTA_EXPR_DATA, |data| self.encode_data(data));
                }
            }
        });
    }

    pub(crate) fn decode(element: Attribute<'_>) -> Self {
        let known = Parts::read(element.nested()).and_then(Parts::decode);
        known.unwrap_or_else(|| Self::unknown(element))
    }

    /// One that a set element has. None of those holds further ones: here the nesting ends, whatever
    /// the bytes say.
    fn decode_of_element(element: Attribute<'_>) -> Self {
        let parts = Parts::read(element.nested()).filter(|parts| parts.name != DYNSET);
        parts.and_then(Parts::decode).unwrap_or_else(|| Self::unknown(element))
    }

    fn unknown(element: Attribute<'_>) -> Self {
        let name = element.nested().get(NFTA_EXPR_NAME);
        Self::Unknown(Unknown {
            name: name.map(Attribute::string).unwrap_or_default(),
            bytes: element.value.to_vec(),
        })
    }
}

struct Parts<'a> {
    name: &'a str,
    data: Attributes<'a>,
}

impl<'a> Parts<'a> {
    fn read(element: Attributes<'a>) -> Option<Self> {
        Fields::up_to(element, NFTA_EXPR_DATA)?;
        let name = codec::name(element.get(NFTA_EXPR_NAME)?)?;
        let data = element.get(NFTA_EXPR_DATA).map(Attribute::nested).unwrap_or_default();
        Some(Self { name, data })
    }

    fn decode(self) -> Option<Expr> {
        Expr::decode_data(self.name, self.data)
    }
}

pub(crate) fn encode_list(list: &[Expr], out: &mut Writer<'_>) {
    for expr in list {
        expr.encode_as(out, NFTA_LIST_ELEM);
    }
}

pub(crate) fn decode_list(list: Attributes<'_>) -> Vec<Expr> {
    list.iter().map(Expr::decode).collect()
}

/// The expressions of a set or an element: one has an attribute of its own, which is older.
pub(crate) fn encode_one_or_several(exprs: &[Expr], out: &mut Writer<'_>, one: u16, several: u16) {
    match exprs {
        [] => {}
        [expr] => expr.encode_as(out, one),
        _ => out.nested(several, |list| encode_list(exprs, list)),
    }
}

pub(crate) fn decode_one_or_several(
    one: Option<Attribute<'_>>,
    several: Option<Attribute<'_>>,
) -> Vec<Expr> {
    let several = several.map(|list| list.nested().iter().map(Expr::decode_of_element).collect());
    several.or_else(|| one.map(|one| vec![Expr::decode_of_element(one)])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{hex, listed};
    use std::collections::BTreeSet;

    fn unchanged(sent: &str, name: &str) {
        let bytes = hex(sent);
        let read = decode_list(Attributes::new(&bytes));
        assert!(matches!(read.as_slice(), [Expr::Unknown(unknown)] if unknown.name == name));
        let mut out = Vec::new();
        encode_list(&read, &mut Writer::new(&mut out));
        assert_eq!(out, bytes);
    }

    /// Of testdata/ruleset.nft, which says how these were made.
    pub(super) fn of_the_ruleset(lines: &str) -> impl Iterator<Item = (Vec<u8>, Expr)> {
        lines.lines().map(|line| {
            let bytes = hex(line);
            let mut read = decode_list(Attributes::new(&bytes));
            let expr = read.remove(0);
            assert!(read.is_empty() && !matches!(expr, Expr::Unknown(_)), "{line}");
            (bytes, expr)
        })
    }

    #[test]
    fn what_nft_sends_is_written_as_nft_sends_it() {
        for (sent, expr) in of_the_ruleset(include_str!("../testdata/sent.hex")) {
            let written = listed(&expr);
            // A mask may say its operation, or not.
            if expr.name() == "bitwise" && written != sent {
                assert_eq!(decode_list(Attributes::new(&written)), [expr]);
            } else {
                assert_eq!(written, sent, "{expr:?}");
            }
        }
    }

    #[test]
    fn what_the_kernel_lists_is_understood() {
        let mut names = BTreeSet::new();
        for (_, expr) in of_the_ruleset(include_str!("../testdata/listed.hex")) {
            names.insert(expr.name().to_owned());
            assert_eq!(decode_list(Attributes::new(&listed(&expr))), [expr]);
        }
        // All but flow_offload and queue, which this kernel was built without.
        assert_eq!(names.len(), 31);
    }

    #[test]
    fn expressions_in_expressions_do_not_exhaust_the_stack() {
        const DYNSET_WITHOUT_ITS_EXPRESSION: &str =
            "08000400 00000001 08000300 00000000 06000100 73000000";
        let mut out = Vec::new();
        let inner = hex(DYNSET_WITHOUT_ITS_EXPRESSION);
        let mut bytes = inner.clone();
        while bytes.len() < 60_000 {
            out.clear();
            let mut list = Writer::new(&mut out);
            list.raw(&inner);
            list.nested(7, |expr| {
                expr.string(NFTA_EXPR_NAME, DYNSET);
                expr.nested(NFTA_EXPR_DATA, |data| data.raw(&bytes));
            });
            std::mem::swap(&mut bytes, &mut out);
        }
        let outermost = Dynset::decode(Attributes::new(&bytes)).unwrap();
        assert!(matches!(outermost.expressions.as_slice(), [Expr::Unknown(_)]));
    }

    #[test]
    fn what_is_not_understood_is_written_as_it_was_read() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c osf name "Linux"'
        unchanged("20000180 08000100 6f736600 14000280 08000100 00000001 05000200 00000000", "osf");
        // A comparison that does not exist.
        unchanged(
            "2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000063
             0c000380 08000100 0a000001",
            "cmp",
        );
        // A comparison with an attribute more than we know.
        unchanged(
            "34000180 08000100 636d7000 28000280 08000100 00000001 08000200 00000000
             0c000380 08000100 0a000001 08000900 00000001",
            "cmp",
        );
        // An expression without a name.
        unchanged("08000180 04000280", "");
    }
}
