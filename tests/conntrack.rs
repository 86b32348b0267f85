//! Connections of real flows: listed, filtered and deleted.
#![allow(clippy::unwrap_used, let_underscore_drop)] // tests fail by them

mod support;
mod traffic;

use std::time::Duration;

use netloom::{ConntrackEntry, ConntrackFilter, Forwarding, Namespace, NatRule, Protocol, Sysctl};
use traffic::{Net, PATIENCE, Server, ask, tcp, udp_socket};

fn only(entries: Vec<ConntrackEntry>) -> ConntrackEntry {
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.into_iter().next().unwrap()
}

#[test]
fn flows_of_both_protocols_and_families_are_listed_and_filtered() {
    support::isolated(|| {
        let net = Net::new();
        let _forwarding = [Forwarding::ipv4(), Forwarding::ipv6()].map(|on| on.create(&net.host));
        let _accounting = Sysctl::new("net.netfilter.nf_conntrack_acct", 1).create(&net.host);
        let _nat = NatRule::masquerade().oifname("out0").create(&net.host).unwrap();
        let _servers = ["198.51.100.1:53", "[2001:db8::1]:53"]
            .map(|address| Server::start(&net.server, address));

        let seen = tcp(&net.client, "198.51.100.1:53", PATIENCE).unwrap();
        assert_eq!(seen.ip().to_string(), "198.51.100.2");
        let v4 = udp_socket(&net.client, "198.51.100.1:53").unwrap();
        let v6 = udp_socket(&net.client, "[2001:db8::1]:53").unwrap();
        assert_eq!(ask(&v4, PATIENCE).unwrap().ip().to_string(), "198.51.100.2");
        assert_eq!(ask(&v6, PATIENCE).unwrap().ip().to_string(), "2001:db8::2");

        let all = net.host.conntrack().unwrap();
        let of = |protocol, v4| {
            let is_it = |entry: &&ConntrackEntry| {
                entry.protocol == protocol && entry.original.source.is_ipv4() == v4
            };
            all.iter().filter(is_it).count()
        };
        assert_eq!((of(Protocol::TCP, true), of(Protocol::UDP, true)), (1, 1), "{all:?}");
        assert_eq!((of(Protocol::TCP, false), of(Protocol::UDP, false)), (0, 1), "{all:?}");

        let list = |filter: ConntrackFilter| filter.list(&net.host).unwrap();
        let filter = ConntrackFilter::new;
        let entry = only(list(filter().udp().original_destination("198.51.100.1")));
        assert_eq!(entry.original.source.to_string(), "10.0.0.2");
        assert_eq!(entry.original.source_port, Some(v4.local_addr().unwrap().port()));
        assert_eq!(entry.original.destination_port, Some(53));
        assert_eq!(entry.reply.destination.to_string(), "198.51.100.2");
        assert!(entry.is_replied() && entry.is_source_nat() && !entry.is_destination_nat());
        assert!(entry.timeout.is_some_and(|left| left > Duration::from_secs(5)), "{entry:?}");
        assert_eq!((entry.mark, entry.zone), (0, 0));
        let counter = entry.original_counter.unwrap();
        assert_eq!((counter.packets, counter.bytes), (1, 28 + 9));

        assert_eq!(list(filter().udp()).len(), 2);
        assert_eq!(list(filter().tcp().original_destination_port(53)).len(), 1);
        assert_eq!(list(filter().original_destination_port(53)).len(), 3);
        assert_eq!(list(filter().original_source("fd00::2")).len(), 1);
        assert_eq!(list(filter().reply_destination("198.51.100.2")).len(), 2);
        assert_eq!(list(filter().udp().reply_source_port(53)).len(), 2);
        assert_eq!(list(filter().reply_source("2001:db8::1").reply_source_port(53)).len(), 1);
        assert_eq!(list(filter().protocol(Protocol::SCTP)), []);
        assert_eq!(list(filter().udp().original_destination_port(54)), []);
        assert_eq!(list(filter().udp().original_destination("198.51.100.2")), []);
        assert_eq!(list(filter().mark(1)), []);
        assert_eq!(
            list(filter().mark_bits(0xff00, 0xff)).len(),
            3 + list(filter().protocol(Protocol::ICMPV6)).len()
        );
        assert_eq!(list(filter().zone(1)), []);
        assert!(list(filter().zone(0)).len() >= 3);

        // The tool `conntrack` must list the same addresses and ports.
        let place = support::Place::of_fd(&*net.host);
        if let Some(text) = support::tools::run(&place, "conntrack", &["-L", "-p", "udp"]) {
            let line = text.lines().find(|line| line.contains("src=10.0.0.2")).unwrap();
            let ports = |text: &str| -> Vec<String> {
                let words = text.split_whitespace().map(str::to_owned);
                words.filter(|word| word.contains("src=") || word.contains("port=")).collect()
            };
            assert_eq!(ports(line), ports(&entry.to_string()));
        }
        // Compares everything that `conntrack` prints but the use count and the numbers, because
        // the remaining time changes.
        let words = |text: &str| -> Vec<String> {
            let number = |word: &str| word.parse::<u64>().is_ok();
            let words = text.split_whitespace().filter(|word| !word.starts_with("use="));
            words.filter(|word| !number(word)).map(str::to_owned).collect()
        };
        for (protocol, entries) in [("tcp", list(filter().tcp())), ("udp", list(filter().udp()))] {
            let Some(text) = support::tools::run(&place, "conntrack", &["-L", "-p", protocol])
            else {
                continue;
            };
            let mut theirs: Vec<_> = text.lines().map(words).collect();
            theirs.retain(|line| line.iter().any(|word| word == "src=10.0.0.2"));
            let ours: Vec<_> = entries.iter().filter(|one| one.original.source.is_ipv4()).collect();
            assert_eq!((theirs.len(), ours.len()), (1, 1));
            assert_eq!(words(&ours[0].to_string()), theirs[0]);
        }
    });
}

#[test]
fn what_is_forgotten_is_exactly_what_was_meant() {
    support::isolated(|| {
        let net = Net::new();
        let _forwarding = [Forwarding::ipv4(), Forwarding::ipv6()].map(|on| on.create(&net.host));
        let _nat = NatRule::masquerade().oifname("out0").create(&net.host).unwrap();
        let _servers = ["198.51.100.1:53", "198.51.100.1:54", "[2001:db8::1]:53"]
            .map(|address| Server::start(&net.server, address));
        let [dns, other, v6] = ["198.51.100.1:53", "198.51.100.1:54", "[2001:db8::1]:53"]
            .map(|address| udp_socket(&net.client, address).unwrap());
        let ports = [&dns, &other, &v6].map(|socket| ask(socket, PATIENCE).unwrap().port());

        let udp = ConntrackFilter::new().udp();
        let meant = udp.clone().original_destination("198.51.100.1").original_destination_port(53);
        assert_eq!(meant.delete(&net.host).unwrap(), 1);
        assert_eq!(meant.list(&net.host).unwrap(), []);
        assert_eq!(meant.delete(&net.host).unwrap(), 0);
        assert_eq!(udp.list(&net.host).unwrap().len(), 2);

        // The next packet creates the entry again; the other connections are unaffected.
        let again = [&dns, &other, &v6].map(|socket| ask(socket, PATIENCE).unwrap().port());
        assert_eq!(ports[1..], again[1..]);
        assert_eq!(udp.list(&net.host).unwrap().len(), 3);
        assert_eq!(udp.original_source("fd00::2").delete(&net.host).unwrap(), 1);
        assert_eq!(ConntrackFilter::new().udp().delete(&net.host).unwrap(), 2);
    });
}

#[test]
fn hundreds_are_forgotten_at_once() {
    support::isolated(|| {
        let net = Net::new();
        let _forwarding = Forwarding::ipv4().create(&net.host).unwrap();
        let _nat = NatRule::masquerade().oifname("out0").create(&net.host).unwrap();
        let socket = udp_socket(&net.client, "198.51.100.1:1").unwrap();
        for port in 1000..1500 {
            socket.connect(("198.51.100.1", port)).unwrap();
            // The ICMP error for the previous packet may make this send fail.
            let _ = socket.send(b"x").or_else(|_| socket.send(b"x"));
        }
        let udp = ConntrackFilter::new().udp();
        assert_eq!(udp.list(&net.host).unwrap().len(), 500);
        assert_eq!(udp.delete(&net.host).unwrap(), 500);
        assert_eq!(udp.list(&net.host).unwrap(), []);
    });
}

#[test]
fn what_can_never_be_is_refused_before_any_system_call() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let mixed = ConntrackFilter::new().original_source("10.0.0.1").reply_source("fd00::1");
        let error = mixed.list(&host).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        let bad = ConntrackFilter::new().original_destination("10.0.0.256");
        let error = bad.delete(&host).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert!(error.to_string().contains("original_destination(\"10.0.0.256\")"), "{error}");
    });
}
