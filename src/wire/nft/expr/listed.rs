//! Converts expressions to the form in which the kernel lists them, to compare a sent rule with a
//! listed one.
//!
//! The kernel fills in defaults, and drops numbers that are only valid within a batch.
//!
//! Source: `init` and `dump` of each expression in `net/netfilter/nft_*.c`, seen on Linux 6.18.

use super::Expr;
use super::counter::Counter;
use super::limit::{Limit, LimitType};
use super::masq::Masq;
use super::nat::NatFlags;
use super::objref::Objref;
use super::quota::Quota;
use super::redir::Redir;
use super::stateful::Stateful;
use crate::wire::nft::register::Register;

#[doc(alias = "NFT_LOGLEVEL_WARNING")]
const WARNING: u32 = 4;

impl Expr {
    /// Returns the expression as the kernel will list it. Names that the kernel chooses, and
    /// counts, differ.
    pub(crate) fn into_listed(mut self) -> Self {
        match &mut self {
            Self::Dynset(dynset) => {
                dynset.set_id = None;
                for each in &mut dynset.each.expressions {
                    if let Stateful::Limit(limit) = each {
                        list_limit(limit);
                    }
                }
            }
            Self::Limit(limit) => list_limit(limit),
            Self::Log(log) if log.group.is_none() => log.level = log.level.or(Some(WARNING)),
            Self::Lookup(lookup) => lookup.set_id = None,
            Self::Nat(nat) => {
                nat.address_max = nat.address_max.or(nat.address_min);
                nat.flags.set(NatFlags::MAP_ADDRESSES, nat.address_min.is_some());
                list_ports(&mut nat.flags, nat.port_min, &mut nat.port_max);
            }
            Self::Masq(Masq { flags, port_min, port_max })
            | Self::Redir(Redir { flags, port_min, port_max }) => {
                list_ports(flags, *port_min, port_max);
            }
            Self::Objref(Objref::Map { map_id, .. }) => *map_id = None,
            _ => {}
        }
        self
    }
}

impl Stateful {
    /// Sets the counts to 0.
    pub(crate) fn without_counts(self) -> Self {
        match self {
            Self::Counter(_) => Counter::default().into(),
            Self::Quota(quota) => Quota { consumed: 0, ..quota }.into(),
            same => same,
        }
    }
}

fn list_limit(limit: &mut Limit) {
    if limit.burst == 0 && limit.kind == LimitType::Packets {
        limit.burst = Limit::DEFAULT_BURST;
    }
}

fn list_ports(flags: &mut NatFlags, min: Option<Register>, max: &mut Option<Register>) {
    if min.is_some() {
        *flags |= NatFlags::PORT_SPECIFIED;
        *max = max.or(min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::expr::tests::of_the_ruleset;

    fn is_named_by_the_kernel(expr: &Expr) -> bool {
        matches!(expr, Expr::Lookup(lookup) if lookup.set.ends_with("%d"))
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
