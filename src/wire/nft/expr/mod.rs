//! Expressions: the steps of a rule. Each is a file with the expression's kernel name.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`.

mod frame;
mod listed;
mod prelude;
pub(crate) mod stateful;

use self::frame::expressions;

expressions! {
    /// An expression of a rule.
    mod Expr {
        bitwise: Bitwise,
        byteorder: Byteorder,
        cmp: Cmp,
        connlimit: Connlimit,
        counter: Counter unless_default,
        ct: Ct,
        dup: Dup,
        dynset: Dynset,
        exthdr: Exthdr,
        fib: Fib,
        flow_offload: FlowOffload,
        fwd: Fwd,
        hash: Hash,
        immediate: Immediate,
        limit: Limit,
        log: Log,
        lookup: Lookup,
        masq: Masq,
        meta: Meta,
        nat: Nat,
        notrack: Notrack,
        numgen: Numgen,
        objref: Objref,
        payload: Payload,
        queue: Queue,
        quota: Quota,
        range: Range,
        redir: Redir,
        reject: Reject,
        rt: Rt,
        socket: Socket,
        synproxy: Synproxy,
        tproxy: Tproxy,
    }
}

#[cfg(test)]
mod tests {
    use super::stateful::Stateful;
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

    /// Decodes lines that were generated from testdata/ruleset.nft (the file says how).
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
            // `nft` may leave out the default operation.
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
        // All expressions except flow_offload and queue: the kernel that listed them lacks these.
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
        assert!(matches!(outermost.each.expressions.as_slice(), [Stateful::Unknown(_)]));
    }

    #[test]
    fn what_is_not_understood_is_written_as_it_was_read() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c osf name "Linux"'
        unchanged("20000180 08000100 6f736600 14000280 08000100 00000001 05000200 00000000", "osf");
        // An unknown comparison.
        unchanged(
            "2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000063
             0c000380 08000100 0a000001",
            "cmp",
        );
        // A comparison with an additional, unknown attribute.
        unchanged(
            "34000180 08000100 636d7000 28000280 08000100 00000001 08000200 00000000
             0c000380 08000100 0a000001 08000900 00000001",
            "cmp",
        );
        // An expression without a name.
        unchanged("08000180 04000280", "");
    }
}
