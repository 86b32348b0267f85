//! Expressions: the steps of a rule, one file each.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`.

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
mod frame;
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
pub(crate) mod stateful;
pub(crate) mod synproxy;
pub(crate) mod tproxy;

use self::{
    bitwise::Bitwise, byteorder::Byteorder, cmp::Cmp, connlimit::Connlimit, counter::Counter,
    ct::Ct, dup::Dup, dynset::Dynset, exthdr::Exthdr, fib::Fib, flow_offload::FlowOffload,
    frame::expressions, fwd::Fwd, hash::Hash, immediate::Immediate, limit::Limit, log::Log,
    lookup::Lookup, masq::Masq, meta::Meta, nat::Nat, notrack::Notrack, numgen::Numgen,
    objref::Objref, payload::Payload, queue::Queue, quota::Quota, range::Range, redir::Redir,
    reject::Reject, rt::Rt, socket::Socket, stateful::Stateful, synproxy::Synproxy, tproxy::Tproxy,
};

expressions! {
    /// An expression of a rule.
    Expr {
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
}}

impl From<Stateful> for Expr {
    fn from(expr: Stateful) -> Self {
        match expr {
            Stateful::Connlimit(connlimit) => connlimit.into(),
            Stateful::Counter(counter) => counter.into(),
            Stateful::Limit(limit) => limit.into(),
            Stateful::Quota(quota) => quota.into(),
            Stateful::Unknown(unknown) => Self::Unknown(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attribute::{Attributes, Writer};
    use crate::wire::nft::codec::Codec;
    use crate::wire::nft::testing::{expressions, hex, listed};
    use std::collections::BTreeSet;

    fn unchanged(sent: &str, name: &str) {
        let bytes = hex(sent);
        let read = expressions(&bytes);
        assert!(matches!(read.as_slice(), [Expr::Unknown(unknown)] if unknown.name == name));
        assert_eq!(listed(&read[0]), bytes);
    }

    /// Reads lines made from testdata/ruleset.nft, which says how.
    pub(super) fn of_the_ruleset(lines: &str) -> impl Iterator<Item = (Vec<u8>, Expr)> {
        lines.lines().map(|line| {
            let bytes = hex(line);
            let mut read = expressions(&bytes);
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
                assert_eq!(expressions(&written), [expr]);
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
            assert_eq!(expressions(&listed(&expr)), [expr]);
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
                expr.string(1, "dynset");
                expr.nested(2, |data| data.raw(&bytes));
            });
            std::mem::swap(&mut bytes, &mut out);
        }
        let outermost = Dynset::decode(Attributes::new(&bytes)).unwrap();
        assert!(matches!(outermost.expressions.as_slice(), [Stateful::Unknown(_)]));
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
