//! Generated rules that divert packets, as in `generated.rs`: to programs, into flowtables, out of
//! other links, and as copies.

use std::net::IpAddr;

use netloom::nft::{
    Chain, CtState, Family, Flowtable, Hook, Policy, Priority, Queue, Rule, Table, TableHandle,
};
use netloom::{Bridge, Error, Namespace, Netns, Owned};
use proptest::prelude::*;

use crate::generated::{address, address6};
use crate::said::{Said, is_the_same, runner};
use crate::support;
use crate::support::features::supported;

const LINKS: [&str; 2] = ["p", "q"];

/// Generates no match, or a match on a source address.
fn from(ip4: bool, ip6: bool) -> impl Strategy<Value = Said> {
    prop_oneof![address().prop_map(|a| (true, a)), address6().prop_map(|a| (false, a))].prop_map(
        move |(is_ip4, address)| match is_ip4 {
            true if ip4 => {
                let words = format!("ip saddr {address}");
                Said::nothing().and(|rule| rule.source(address), words).ip4()
            }
            false if ip6 => {
                let words = format!("ip6 saddr {address}");
                Said::nothing().and(|rule| rule.source(address), words).ip6()
            }
            _ => Said::nothing(),
        },
    )
}

fn copy(to: IpAddr) -> impl Strategy<Value = Said> {
    (from(to.is_ipv4(), to.is_ipv6()), any::<bool>()).prop_map(move |(said, by_link)| {
        if by_link {
            said.and(|rule| rule.dup_by(to, "q"), format!("dup to {to} device \"q\""))
        } else {
            said.and(|rule| rule.dup(to), format!("dup to {to}"))
        }
    })
}

fn copy4() -> impl Strategy<Value = Said> {
    any::<[u8; 4]>().prop_flat_map(|to| copy(to.into()))
}

fn copy6() -> impl Strategy<Value = Said> {
    any::<[u8; 16]>().prop_flat_map(|to| copy(to.into()))
}

fn out_of_a_link() -> impl Strategy<Value = Said> {
    let neighbor4 = (from(true, false), any::<[u8; 4]>()).prop_map(|(said, to)| {
        let to = IpAddr::from(to);
        said.and(|rule| rule.fwd_to(to, "q"), format!("fwd ip to {to} device \"q\""))
    });
    let neighbor6 = (from(false, true), any::<[u8; 16]>()).prop_map(|(said, to)| {
        let to = IpAddr::from(to);
        said.and(|rule| rule.fwd_to(to, "q"), format!("fwd ip6 to {to} device \"q\""))
    });
    prop_oneof![
        from(true, true)
            .prop_map(|said| said.and(|rule| rule.dup_to_link("q").accept(), "dup to \"q\" accept")),
        from(true, true).prop_map(|said| said.and(|rule| rule.fwd("q"), "fwd to \"q\"")),
        neighbor4,
        neighbor6,
    ]
}

fn to_programs() -> impl Strategy<Value = Said> {
    let numbers =
        (any::<u16>(), 0..9_u16).prop_map(|(first, more)| (first, first.saturating_add(more)));
    (from(true, true), numbers, any::<bool>(), any::<bool>()).prop_map(
        |(said, (first, last), bypass, fanout)| {
            let queue = Queue::range(first..=last);
            let queue = if bypass { queue.bypass() } else { queue };
            // `fanout` needs more than one queue.
            let fanout = fanout && first != last;
            let queue = if fanout { queue.fanout() } else { queue };
            let flags = match (bypass, fanout) {
                (true, true) => " flags bypass,fanout",
                (true, false) => " flags bypass",
                (false, true) => " flags fanout",
                (false, false) => "",
            };
            let to = if first == last { first.to_string() } else { format!("{first}-{last}") };
            said.and(|rule| rule.queue(queue), format!("queue{flags} to {to}"))
        },
    )
}

fn past_the_rules() -> impl Strategy<Value = Said> {
    (from(true, true), any::<bool>()).prop_map(|(said, counted)| {
        let said = said.and(|rule| rule.ct_state(CtState::ESTABLISHED), "ct state established");
        let said = if counted { said.and(Rule::counter, "counter") } else { said };
        said.and(|rule| rule.flow_add("fast"), "flow add @fast")
    })
}

/// Checks generated rulesets of such rules. Without the feature in the kernel, reports that and
/// checks nothing.
fn check(
    needed: Option<(&str, Said)>,
    rule: impl Strategy<Value = Said>,
    table: impl Fn() -> Table,
    chain: impl Fn() -> Chain,
    written: &str,
) {
    let made = |said: &[Said]| -> Result<(Owned<Netns>, Owned<TableHandle>), Error> {
        let netns = Namespace::anonymous().create()?;
        for link in LINKS {
            Bridge::new(link).create(&netns)?.keep();
        }
        let chain = said.iter().fold(chain(), |chain, said| chain.rule(said.rule.clone()));
        let table = table().chain(chain).create(&netns)?;
        Ok((netns, table))
    };
    let rulesets = prop::collection::vec(rule, 1..9);
    if let Some((feature, one)) = needed
        && supported(feature, made(std::slice::from_ref(&one))).is_none()
    {
        return;
    }
    let checked = runner(10).run(&rulesets, |said| {
        let (netns, _table) = made(&said).unwrap();
        is_the_same(&netns, &LINKS, written, &said)
    });
    checked.unwrap();
}

fn of(family: Family) -> impl Fn() -> Table {
    move || Table::new(family, "t")
}

fn plain() -> Chain {
    Chain::new("generated")
}

#[test]
fn copies() {
    support::isolated(|| {
        let written = "table ip t {\n chain generated {\n RULES\n }\n}";
        check(None, copy4(), of(Family::Ip), plain, written);
        let written = "table ip6 t {\n chain generated {\n RULES\n }\n}";
        check(None, copy6(), of(Family::Ip6), plain, written);
    });
}

#[test]
fn other_links() {
    support::isolated(|| {
        let chain = || plain().hook(Hook::Ingress, Priority(-5)).dev("p").policy(Policy::Drop);
        let written = "table netdev t {
            chain generated {
                type filter hook ingress device \"p\" priority -5; policy drop;
                RULES
            }
        }";
        check(None, out_of_a_link(), of(Family::Netdev), chain, written);
    });
}

#[test]
fn programs() {
    support::isolated(|| {
        let written = "table inet t {\n chain generated {\n RULES\n }\n}";
        let one = Said::nothing().and(|rule| rule.queue(Queue::new(1)), "queue to 1");
        check(Some(("nft-queue", one)), to_programs(), of(Family::Inet), plain, written);
    });
}

#[test]
fn flowtables() {
    support::isolated(|| {
        let table = || {
            let fast = Flowtable::new("fast").priority(7).dev("p").dev("q");
            Table::new(Family::Inet, "t").flowtable(fast)
        };
        let chain = || plain().hook(Hook::Forward, Priority::FILTER);
        let written = "table inet t {
            flowtable fast {
                hook ingress priority 7
                devices = { q, p }
            }
            chain generated {
                type filter hook forward priority filter; policy accept;
                RULES
            }
        }";
        let one = Said::nothing().and(|rule| rule.flow_add("fast"), "flow add @fast");
        check(Some(("nft-flowtable", one)), past_the_rules(), table, chain, written);
    });
}
