//! Expressions as the kernel lists them, to compare a sent rule with a listed one.
//!
//! The kernel fills in defaults, and drops the numbers that are valid only in a batch.
//!
//! Source: the `init` and `dump` of each expression in `net/netfilter/nft_*.c`; seen on Linux 6.18.

use super::Expr;
use super::counter::Counter;
use super::dynset::Dynset;
use super::limit::{Limit, LimitType};
use super::log::{Log, LogLevel};
use super::lookup::Lookup;
use super::masq::Masq;
use super::nat::{Nat, NatFlags};
use super::objref::Objref;
use super::quota::Quota;
use super::redir::Redir;
use super::stateful::Stateful;
use crate::wire::nft::register::Register;

#[doc(alias = "NFT_LIMIT_PKT_BURST_DEFAULT")]
const DEFAULT_BURST: u32 = 5;

impl Expr {
    /// Returns the expression as the kernel will list it, except for names that the kernel chooses and
    /// for counts.
    pub(crate) fn into_listed(self) -> Self {
        match self {
            Self::Dynset(dynset) => listed_dynset(dynset).into(),
            Self::Limit(limit) => listed_limit(limit).into(),
            Self::Log(log) => listed_log(log).into(),
            Self::Lookup(lookup) => Lookup { set_id: None, ..lookup }.into(),
            Self::Masq(masq) => listed_masq(masq).into(),
            Self::Nat(nat) => listed_nat(nat).into(),
            Self::Objref(Objref::Map { sreg, map, .. }) => {
                Objref::Map { sreg, map, map_id: None }.into()
            }
            Self::Redir(redir) => listed_redir(redir).into(),
            same => same,
        }
    }
}

impl Stateful {
    fn into_listed(self) -> Self {
        match self {
            Self::Limit(limit) => listed_limit(limit).into(),
            same => same,
        }
    }

    /// Resets what the kernel has counted.
    pub(crate) fn without_counts(self) -> Self {
        match self {
            Self::Counter(_) => Counter::default().into(),
            Self::Quota(quota) => Quota { consumed: 0, ..quota }.into(),
            same => same,
        }
    }
}

fn listed_dynset(dynset: Dynset) -> Dynset {
    let expressions = dynset.expressions.into_iter().map(Stateful::into_listed).collect();
    Dynset { set_id: None, expressions, ..dynset }
}

fn listed_limit(limit: Limit) -> Limit {
    let is_default = limit.burst == 0 && limit.kind == LimitType::Packets;
    Limit { burst: if is_default { DEFAULT_BURST } else { limit.burst }, ..limit }
}

fn listed_log(log: Log) -> Log {
    let goes_to_kernel_log = log.group.is_none();
    let level = log.level.or(goes_to_kernel_log.then_some(LogLevel::Warning));
    Log { level, ..log }
}

fn listed_masq(masq: Masq) -> Masq {
    let flags = masq.flags | port_flags(masq.port_min);
    Masq { flags, port_max: masq.port_max.or(masq.port_min), ..masq }
}

fn listed_redir(redir: Redir) -> Redir {
    let flags = redir.flags | port_flags(redir.port_min);
    Redir { flags, port_max: redir.port_max.or(redir.port_min), ..redir }
}

fn listed_nat(nat: Nat) -> Nat {
    let mut flags = nat.flags | port_flags(nat.port_min);
    flags.set(NatFlags::MAP_ADDRESSES, nat.address_min.is_some());
    Nat {
        address_max: nat.address_max.or(nat.address_min),
        port_max: nat.port_max.or(nat.port_min),
        flags,
        ..nat
    }
}

fn port_flags(port: Option<Register>) -> NatFlags {
    port.map_or(NatFlags::empty(), |_| NatFlags::PORT_SPECIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::data::{ChainRef, Data, Verdict};
    use crate::wire::nft::expr::tests::of_the_ruleset;

    fn is_named_by_the_kernel(expr: &Expr) -> bool {
        match expr {
            Expr::Lookup(lookup) => lookup.set.ends_with("%d"),
            Expr::Immediate(immediate) => {
                matches!(immediate.data, Data::Verdict(Verdict::Jump(ChainRef::Id(_))))
            }
            _ => false,
        }
    }

    #[test]
    fn what_nft_sends_becomes_what_the_kernel_lists() {
        let listed: Vec<_> =
            of_the_ruleset(include_str!("../testdata/listed.hex")).map(|(_, expr)| expr).collect();
        for (_, sent) in of_the_ruleset(include_str!("../testdata/sent.hex")) {
            if !is_named_by_the_kernel(&sent) {
                let expected = sent.into_listed();
                assert!(listed.contains(&expected), "{expected:?}");
            }
        }
        for expr in listed {
            assert_eq!(expr.clone().into_listed(), expr);
        }
    }
}
