//! A port that is published already is refused, whichever program published it, held or persistent.

use netloom::nft::{Chain, Family, Hook, Policy, Priority, Rule, Table};
use netloom::{Netns, Owned, PortForward, PortForwardHandle};

use crate::lab::{another, host, of_both_kinds, of_kind};
use crate::support::{self, kernel::tables_besides_settings, unchanged};

const KINDS: [Option<&str>; 2] = [None, Some("net1/web")];

#[track_caller]
fn is_taken(forward: &PortForward, netns: &Netns, holder: &str) {
    let error = forward.create(netns).unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    assert!(error.to_string().contains(&format!("{holder} has the port")), "{error}");
}

/// Every combination of a held or persistent port with a held or persistent request. A second
/// handle acts as another process.
#[test]
fn whoever_has_a_port_is_named_to_whoever_wants_it() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let other = another(&host);
        // Keeps the tables alive: the kernel is slow to create and delete tables.
        let lasting: Vec<_> = [&*host, &other]
            .into_iter()
            .zip([1, 2])
            .flat_map(|(netns, number)| [(netns, number, KINDS[0]), (netns, number + 2, KINDS[1])])
            .flat_map(|(netns, number, tag)| {
                ["10.0.0.9", "fd00::9"].map(|target| {
                    of_kind(tag, PortForward::new(number, target).sctp()).create(netns).unwrap()
                })
            })
            .collect();
        for (held_by, target, host_address) in [
            (KINDS[0], "10.0.0.2", None),
            (KINDS[1], "10.0.0.2", None),
            (KINDS[0], "fd00::2", None),
            (KINDS[1], "fd00::2", None),
            (KINDS[0], "10.0.0.2", Some("127.0.0.1")),
            (KINDS[1], "fd00::2", Some("fd00::1")),
        ] {
            let port = |tag: Option<&'static str>, target: &str| {
                let forward = of_kind(tag, PortForward::new(8080, target).target_port(80));
                host_address.iter().fold(forward, |forward, at| forward.host_address(*at))
            };
            let holder = port(held_by, target).create(&host).unwrap();
            let name = match held_by {
                Some(tag) => format!("`{tag}`"),
                None => holder.to_string(),
            };
            unchanged(&[&host], || refused(&port, target, &name, [&*host, &other]));
            holder.delete().unwrap();
            // The port is free again after the deletion, despite cached knowledge of the port.
            for wanted_by in KINDS {
                for netns in [&*host, &other] {
                    port(wanted_by, target).create(netns).unwrap().delete().unwrap();
                }
            }
        }
        drop(lasting);
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
    });
}

fn refused(
    port: &dyn Fn(Option<&'static str>, &str) -> PortForward,
    target: &str,
    name: &str,
    by: [&Netns; 2],
) {
    let elsewhere = if target == "fd00::2" { "fd00::3" } else { "10.0.0.3" };
    for wanted_by in [None, Some("net1/other")] {
        let wanted = port(wanted_by, elsewhere);
        for netns in by {
            is_taken(&wanted, netns, name);
            // A single port in use fails the whole call.
            let free = of_kind(wanted_by, PortForward::new(9090, target));
            let both = PortForward::create_all(&[free, wanted.clone()], netns);
            assert!(both.unwrap_err().is_already_exists());
        }
        // Ports of different protocols do not conflict.
        wanted.udp().create(by[1]).unwrap().delete().unwrap();
    }
}

/// Each handle detects the others' changes only by the ruleset's generation.
#[test]
fn what_others_change_meanwhile_is_seen() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let handles = [another(&host), another(&host), another(&host)];
        let port = |tag, number| of_kind(tag, PortForward::new(number, "10.0.0.2"));
        let mut made: Vec<Owned<PortForwardHandle>> = Vec::new();
        for round in 0..60_usize {
            let tag = KINDS[round / 3 % 2];
            let number = 1000 + u16::try_from(round).unwrap();
            made.push(port(tag, number).create(&handles[round % 3]).unwrap());
            for (tag, netns) in
                KINDS.iter().flat_map(|tag| handles.iter().map(move |one| (tag, one)))
            {
                let error = port(*tag, number).create(netns).unwrap_err();
                assert!(error.is_already_exists(), "{error}");
            }
            if round % 4 == 3 {
                made.swap_remove(round / 3 % made.len()).delete().unwrap();
            }
        }
        assert!(made.iter().all(|port| port.is_in_force().unwrap()));
        drop(made);
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
        assert_eq!(host.sysctl("net.ipv4.conf.br0.route_localnet").unwrap(), "0");
    });
}

/// An accept in netloom's table does not override a drop in another program's chain.
#[test]
fn a_foreign_chain_that_drops_is_told() {
    of_both_kinds(|tag| {
        let (host, _bridge) = host();
        let port = of_kind(tag, PortForward::new(80, "10.0.0.2")).create(&host).unwrap();
        assert_eq!(port.obstacles().unwrap(), []);
        let other = another(&host);
        let chain = || Chain::new("FORWARD").hook(Hook::Forward, Priority::FILTER);
        let dropping = [chain().policy(Policy::Drop), chain().rule(Rule::new().counter().drop())];
        for (chain, families) in dropping.iter().flat_map(|chain| {
            [(Family::Ip, 1), (Family::Inet, 1), (Family::Ip6, 0)].map(|family| (chain, family))
        }) {
            let (family, count) = families;
            let _theirs = Table::new(family, "theirs").chain(chain.clone()).create(&other).unwrap();
            let told: Vec<_> = port.obstacles().unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), count, "{told:?}");
            let name = format!("`{family} theirs FORWARD`");
            assert!(told.iter().all(|one| one.contains(&name)), "{told:?}");
        }
    });
}

/// Another program deletes the tag's own element in the set `tags`.
#[test]
fn a_port_whose_tag_has_no_row_is_deleted_alone() {
    support::isolated(|| {
        let (host, _bridge) = host();
        let forward = |port, tag| PortForward::new(port, "10.0.0.2").persistent(tag);
        let port = forward(8080, "a").create(&host).unwrap();
        let other = forward(8081, "b").create(&host).unwrap();
        let hash_of_a = "d228:cb69:6f1a:8caf:7891:2b70:4e4a:8964";
        let line = format!("nft delete element ip netloom-ports tags {{ {hash_of_a} . 0 }}");
        if !support::by_hand(&host, &line) {
            return;
        }
        assert!(port.is_in_force().unwrap());
        let handle = port.handle().clone();
        port.delete().unwrap();
        assert!(!handle.is_in_force().unwrap());
        assert!(other.is_in_force().unwrap());
        forward(8080, "a").create(&host).unwrap().delete().unwrap();
        other.delete().unwrap();
        assert_eq!(tables_besides_settings(&host), Vec::<String>::new());
    });
}
