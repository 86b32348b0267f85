//! Namespace ids, tracked connections and the ruleset.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netloom::nft::{Family, Table};
use netloom::{
    Bridge, Change, ConntrackEvent, ConntrackFilter, Event, Namespace, NatRule, Netns, Watcher,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{drain, support};

#[test]
fn a_namespace_id_is_new_and_removed() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let (blue, green) = (Namespace::anonymous().create(), Namespace::anonymous().create());
        let (blue, green) = (blue.unwrap(), green.unwrap());
        red.assign_peer_id(&blue, 7).unwrap();
        let mut watcher = red.watch().namespace_ids().start().unwrap();
        assert_eq!(drain(&mut watcher), [Event::NamespaceId(Change::Existing(7))]);
        red.assign_peer_id(&green, 9).unwrap();
        assert_eq!(drain(&mut watcher), [Event::NamespaceId(Change::New(9))]);
        drop(green);
        let end = Instant::now() + Duration::from_secs(10);
        let removed = watcher.next_until(end).unwrap();
        assert_eq!(removed, Some(Event::NamespaceId(Change::Removed(9))));
    });
}

/// Creates a namespace that tracks the connections of its loopback link.
fn tracking() -> (netloom::Owned<Netns>, netloom::Owned<netloom::NatRuleHandle>) {
    let red = Namespace::anonymous().create().unwrap();
    red.link("lo").unwrap().set_up().unwrap();
    let nat = NatRule::masquerade().source("192.0.2.0/24").create(&red).unwrap();
    (red, nat)
}

fn send(red: &Netns, port: u16) -> UdpSocket {
    let socket = red.udp_bind("127.0.0.1:0").unwrap();
    socket.send_to(b"hello", ("127.0.0.1", port)).ok();
    socket
}

fn conntrack(events: &[Event]) -> Vec<&ConntrackEvent> {
    let mut found = Vec::new();
    for event in events {
        if let Event::Conntrack(event) = event {
            found.push(event);
        }
    }
    found
}

#[test]
fn a_connection_exists_starts_and_ends() {
    support::isolated(|| {
        let (red, _nat) = tracking();
        let _server = red.udp_bind("127.0.0.1:54").unwrap();
        let old = send(&red, 54);
        let filter = ConntrackFilter::new().udp().original_destination_port(54);
        let mut watcher = red.watch().conntrack(filter.clone()).start().unwrap();
        let events = drain(&mut watcher);
        let [ConntrackEvent::Existing(entry)] = conntrack(&events)[..] else {
            panic!("{events:?}")
        };
        assert_eq!(entry.original.source_port, Some(old.local_addr().unwrap().port()));

        let new = send(&red, 54);
        drop(send(&red, 55));
        let events = drain(&mut watcher);
        let all = conntrack(&events);
        let ConntrackEvent::New(entry) = all[0] else { panic!("{events:?}") };
        assert_eq!(entry.original.source_port, Some(new.local_addr().unwrap().port()));
        let is_ours = |event: &Event| event.to_string().contains("dport=54");
        assert!(events.iter().all(is_ours), "{events:?}");

        let source = new.local_addr().unwrap().port();
        filter.original_source_port(source).delete(&red).unwrap();
        let events = drain(&mut watcher);
        let [ConntrackEvent::Ended(ended)] = conntrack(&events)[..] else { panic!("{events:?}") };
        assert_eq!(ended.original, entry.original);
        assert!(events[0].to_string().starts_with("[DESTROY] udp"), "{}", events[0]);
    });
}

#[test]
fn lost_events_of_connections_are_told() {
    support::isolated(|| {
        let (red, _nat) = tracking();
        let watch = red.watch().conntrack(ConntrackFilter::new()).ruleset().buffer(4096);
        let mut watcher = watch.start().unwrap();
        drain(&mut watcher);
        let sockets: Vec<_> = (0..100).map(|n| send(&red, 1000 + n)).collect();
        let events = drain(&mut watcher);
        assert!(events.contains(&Event::Lost), "{events:?}");
        // The ruleset did not change.
        let is_empty = |event: &Event| match event {
            Event::Resynced(resynced) => resynced.changes.is_empty(),
            _ => true,
        };
        assert!(events.iter().all(is_empty), "{events:?}");
        drop(sockets);
        let _socket = send(&red, 2000);
        let is_new = |event: &Event| event.to_string().contains("dport=2000");
        assert!(drain(&mut watcher).iter().any(is_new));
    });
}

#[test]
fn a_transaction_is_one_event_with_both_generations() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let before = red.nft_generation().unwrap();
        let mut watcher = red.watch().ruleset().start().unwrap();
        let [Event::Ruleset(start)] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!((start.old, start.new), (None, before));
        let table = Table::new(Family::Inet, "t").create(&red).unwrap();
        let [Event::Ruleset(change)] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!((change.old, change.new), (Some(before), red.nft_generation().unwrap()));
        assert!(change.process_name.is_some(), "{change:?}");
        table.delete().unwrap();
        assert_eq!(drain(&mut watcher).len(), 1);
    });
}

/// A watcher with an rtnetlink and a netfilter socket still has one descriptor.
#[test]
fn one_descriptor_stands_for_both_sockets() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().ruleset().start().unwrap();
        drain(&mut watcher);
        let is_readable = |watcher: &Watcher| {
            let mut fds = [PollFd::new(watcher.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
        };
        assert!(!is_readable(&watcher));
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        assert!(is_readable(&watcher));
        assert!(matches!(drain(&mut watcher)[..], [Event::Link(Change::New(_))]));
        let _table = Table::new(Family::Inet, "t").create(&red).unwrap();
        assert!(is_readable(&watcher));
        assert!(matches!(drain(&mut watcher)[..], [Event::Ruleset(_)]));
        assert!(!is_readable(&watcher));
    });
}
