//! NAT rules, published ports, and the deletion of conntrack entries.

use super::{each_step_fails, every_step, ground, here, support};
use netloom::nft::{Family, Table};
use netloom::{ConntrackFilter, Error, Firewall, Namespace, NatRule, Netns, Owned, PortForward};

#[test]
fn nat_rules() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "add NAT rule ip saddr 10.0.0.0/24 masquerade",
                "add NAT rule ip saddr 10.1.0.0/24 masquerade",
                "add NAT rule ip saddr 10.2.0.0/24 masquerade",
            ],
            || {
                let host = Netns::current()?;
                let first = NatRule::masquerade().source("10.0.0.0/24").create(&host)?;
                let _second = NatRule::masquerade().source("10.1.0.0/24").create(&host)?;
                drop(first);
                NatRule::masquerade().source("10.2.0.0/24").create(&host).map(drop)
            },
        );
        // This handle keeps its socket after a fault.
        let host = here();
        drop(NatRule::masquerade().create(&host).unwrap());
        every_step(
            &["add NAT rule masquerade", "read counter of NAT rule 2 of table `netloom-N`"],
            || {
                let rule = NatRule::masquerade().create(&host)?;
                rule.counter()?;
                let _second = NatRule::masquerade().create(&host)?;
                drop(rule);
                Ok::<_, Error>(())
            },
        );
    });
}

/// Persistent rules that are not kept: their owners delete them on drop.
#[test]
fn persistent_nat_rules() {
    support::isolated(|| {
        every_step(
            &[
                "open the current namespace",
                "add NAT rule masquerade comment \"lab\"",
                "list persistent NAT rules",
                "read the ruleset",
            ],
            || {
                let host = Netns::current()?;
                let first = NatRule::masquerade().persistent("lab").create(&host)?;
                let _second = NatRule::masquerade().persistent("lab").create(&host)?;
                drop(first);
                host.nat_rules_with_tag("lab").map(drop)
            },
        );
    });
}

#[test]
fn published_ports() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        every_step(
            &[
                "open the current namespace",
                "publish port 0.0.0.0:8080->10.0.0.2:80/tcp",
                "open nf_tables for 0.0.0.0:8080->10.0.0.2:80/tcp",
                "create table `ip netloom-ports-N`",
                "find link N",
                "create table `ip netloom-loopback`",
                "add a note to link N",
                "change IPv4 settings of `veth1`",
                "read the ruleset",
                "bind a UDP socket to 10.0.0.1:0",
                "publish port 0.0.0.0:53->10.0.0.2:53/udp",
                "delete tracked connections -p udp --orig-port-dst 53",
                "delete tracked connections -p udp",
                "look for the route to 10.0.0.1",
                "look for a port",
            ],
            || {
                // A new handle has no cached tables, which would save steps.
                let host = Netns::current()?;
                let web = PortForward::new(8080, "10.0.0.2").target_port(80).create(&host)?;
                // Publishing port 53 must delete this connection's conntrack entry.
                let client = host.udp_bind("10.0.0.1:0")?;
                client.send_to(b"?", "10.0.0.1:53").unwrap();
                let _dns = PortForward::new(53, "10.0.0.2").udp().create(&host)?;
                web.delete().map_err(Error::from)
            },
        );
        // The handle's sockets are closed with it after each run.
        every_step(
            &[
                "open the current namespace",
                "publish port 0.0.0.0:80->10.0.0.2:80/tcp",
                "open nf_tables for 0.0.0.0:80->10.0.0.2:80/tcp",
                "create table `ip netloom-ports-N`",
                "find link N",
                "create table `ip netloom-loopback`",
                "add a note to link N",
                "change IPv4 settings of `veth1`",
                "read the ruleset",
            ],
            || {
                let host = Netns::current()?;
                let ports = [80, 443].map(|port| PortForward::new(port, "10.0.0.2"));
                PortForward::create_all(&ports, &host).map(drop)
            },
        );
    });
}

/// Deletes two ports in one call, while a third remains published. If the common deletion fails,
/// netloom deletes each port alone.
#[test]
fn published_ports_together() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        let _stays = PortForward::new(22, "10.0.0.2").create(&host).unwrap();
        let program = || {
            let ports = [80, 443].map(|port| PortForward::new(port, "10.0.0.2"));
            let ports = PortForward::create_all(&ports, &host)?;
            netloom::Together::new(ports).delete().map_err(Error::from)
        };
        // If the check of the lock is refused, netloom takes the lock without a lookup of the link.
        // So the errors of some faults do not name the link.
        each_step_fails(program, |fault, said| {
            let named = ["publish port 0.0.0.0:80->10.0.0.2:80/tcp", "find link N"];
            assert!(said.contains(named[0]), "{fault:?}: {said:?}");
            assert!(said.iter().all(|name| named.contains(&name.as_str())), "{fault:?}: {said:?}");
        });
    });
}

#[test]
fn persistent_ports() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        every_step(
            &[
                "open the current namespace",
                "publish port 0.0.0.0:8080->10.0.0.2:80/tcp",
                "open nf_tables for 0.0.0.0:8080->10.0.0.2:80/tcp",
                "create table `ip netloom-ports`",
                "find link N",
                "create table `ip netloom-loopback`",
                "add a note to link N",
                "change IPv4 settings of `veth1`",
                "read the ruleset",
                "publish port 0.0.0.0:53->10.0.0.2:53/udp",
                "list ports published for lab",
                "look at published port 0.0.0.0:53->10.0.0.2:53/udp",
                "look for the route to 10.0.0.2",
            ],
            || {
                let host = Netns::current()?;
                let web = PortForward::new(8080, "10.0.0.2").target_port(80).persistent("lab");
                let web = web.create(&host)?;
                let dns = PortForward::new(53, "10.0.0.2").udp().persistent("lab").create(&host)?;
                let found = host.port_forwards_with_tag("lab")?;
                assert!(found.len() == 2 && dns.is_in_force()?);
                drop(dns);
                web.delete().map_err(Error::from)
            },
        );
    });
}

/// Lists persistent objects with any tag, and deletes the listed ones.
#[test]
fn all_that_is_persistent() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        let table = Table::new(Family::Inet, "t").persistent("table").create(&host).unwrap();
        let firewall = Firewall::new().network("br0").persistent("lab").create(&host).unwrap();
        let rule = NatRule::masquerade().persistent("lab").create(&host).unwrap();
        let port = PortForward::new(8080, "10.0.0.2").persistent("lab").create(&host).unwrap();
        every_step(
            &[
                "open the current namespace",
                "list persistent objects",
                "read the ruleset",
                "list persistent NAT rules",
                "list persistent published ports",
            ],
            || {
                let host = Netns::current()?;
                assert_eq!(netloom::persistent(&host)?.len(), 4);
                Ok::<_, Error>(())
            },
        );
        drop((table, firewall, rule, port));
        every_step(
            &[
                "open the current namespace",
                "add NAT rule masquerade comment \"lab\"",
                "create table `inet t`",
                "publish port 0.0.0.0:80->10.0.0.2:80/tcp",
                "create table `ip netloom-ports`",
                "find link N",
                "create table `ip netloom-loopback`",
                "add a note to link N",
                "change IPv4 settings of `veth1`",
                "read the ruleset",
                "list persistent objects",
                "list persistent NAT rules",
                "list persistent published ports",
            ],
            || {
                let host = Netns::current()?;
                let rule = NatRule::masquerade().persistent("lab").create(&host)?;
                let table = Table::new(Family::Inet, "t").persistent("lab").create(&host)?;
                let port = PortForward::new(80, "10.0.0.2").persistent("lab").create(&host)?;
                for one in netloom::persistent(&host)? {
                    Owned::adopt(one).delete()?;
                }
                drop((rule, table, port));
                Ok::<_, Error>(())
            },
        );
    });
}

#[test]
fn connections_are_forgotten() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        // NAT rules make the kernel track connections.
        let _nat = NatRule::masquerade().source("10.0.0.0/24").create(&red).unwrap();
        every_step(
            &[
                "bind a UDP socket to 127.0.0.1:5300",
                "bind a UDP socket to 127.0.0.1:0",
                "list tracked connections -p udp --orig-port-dst 5300",
                "list tracked connections (all)",
                "delete tracked connections -p udp --orig-port-dst 5300",
            ],
            || {
                let _server = red.udp_bind("127.0.0.1:5300")?;
                red.udp_bind("127.0.0.1:0")?.send_to(b"hello", "127.0.0.1:5300").unwrap();
                let of_it = ConntrackFilter::new().udp().original_destination_port(5300);
                assert!(!of_it.list(&red)?.is_empty() && !red.conntrack()?.is_empty());
                of_it.delete(&red)?;
                Ok::<_, Error>(())
            },
        );
    });
}
