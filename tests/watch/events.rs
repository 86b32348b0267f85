//! Each kind of event, with its old and its new value.

use std::collections::BTreeSet;

use netloom::{
    Address, Bridge, Change, Event, LinkInfo, Namespace, NeighborState, VethEnd, VethPair,
};

use super::{drain, lines, support};

#[test]
fn what_exists_comes_first() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").no_ipv6_address().up();
        let _cable = VethPair::new(near, VethEnd::new("veth2").up()).create(&red).unwrap();
        support::by_hand(&red, "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev veth1");
        let mut watcher = red.watch().links().addresses().routes().neighbors().start().unwrap();
        let mut seen = [const { Vec::new() }; 4];
        for event in drain(&mut watcher) {
            let (place, text, is_existing) = match &event {
                Event::Link(c) => (0, format!("{:?}", c.value()), matches!(c, Change::Existing(_))),
                Event::Address(c) => {
                    (1, format!("{:?}", c.value()), matches!(c, Change::Existing(_)))
                }
                Event::Route(c) => {
                    (2, format!("{:?}", c.value()), matches!(c, Change::Existing(_)))
                }
                Event::Neighbor(c) => {
                    (3, format!("{:?}", c.value()), matches!(c, Change::Existing(_)))
                }
                event => panic!("{event}"),
            };
            // Later events are ignored: the kernel still reports carriers and IPv6 addresses.
            if is_existing {
                seen[place].push(text);
            }
        }
        let [links, addresses, routes, neighbors] = seen;
        assert_eq!(links.len(), 3);
        assert!(addresses.iter().any(|line| line.contains("10.0.0.1/24")), "{addresses:?}");
        let listed: BTreeSet<_> =
            red.routes().unwrap().iter().map(|route| format!("{route:?}")).collect();
        assert!(routes.iter().all(|route| listed.contains(route)), "{routes:#?} {listed:#?}");
        assert!(routes.iter().any(|route| route.contains("10.0.0.0/24")), "{routes:?}");
        assert!(neighbors.iter().any(|line| line.contains("10.0.0.9")), "{neighbors:?}");
    });
}

fn only_link(events: &[Event]) -> &Change<LinkInfo> {
    match events {
        [Event::Link(change)] => change,
        events => panic!("not one change of a link: {events:#?}"),
    }
}

#[test]
fn a_link_is_new_changes_and_is_removed() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().start().unwrap();
        drain(&mut watcher);
        let bridge = Bridge::new("br0").create(&red).unwrap();
        let events = drain(&mut watcher);
        let Change::New(born) = only_link(&events) else { panic!("{events:?}") };
        assert_eq!(*born, bridge.info().unwrap());

        bridge.set_mtu(1400).unwrap();
        let events = drain(&mut watcher);
        let Change::Changed { old, new } = only_link(&events) else { panic!("{events:?}") };
        assert_eq!((old, new.mtu), (born, 1400));
        assert_eq!(*new, bridge.info().unwrap());

        bridge.rename("br1").unwrap();
        let events = drain(&mut watcher);
        let change = only_link(&events);
        let names = [change.before(), change.after()].map(|link| link.unwrap().name.as_str());
        assert_eq!(names, ["br0", "br1"]);

        // A change and its reversal are two events. Setting the current value is none.
        bridge.set_mtu(1300).unwrap();
        bridge.set_mtu(1300).unwrap();
        bridge.set_mtu(1400).unwrap();
        assert_eq!(drain(&mut watcher).len(), 2);

        let last = bridge.info().unwrap();
        bridge.delete().unwrap();
        let events = drain(&mut watcher);
        let Change::Removed(gone) = only_link(&events) else { panic!("{events:?}") };
        assert_eq!(*gone, last);
        assert!(events[0].to_string().starts_with("Deleted "), "{}", events[0]);
    });
}

/// For a port that leaves its bridge, the kernel sends a deletion in the bridge's family.
#[test]
fn a_port_that_leaves_its_bridge_is_not_removed() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").create(&red).unwrap();
        let cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        let mut watcher = red.watch().links().on_link(cable.near().index()).start().unwrap();
        drain(&mut watcher);
        cable.near().set_master(&bridge).unwrap();
        let master = |event: &Event| match event {
            Event::Link(change) => change.after().unwrap().master,
            event => panic!("{event}"),
        };
        assert_eq!(drain(&mut watcher).last().and_then(master), Some(bridge.index()));
        cable.near().release().unwrap();
        let events = drain(&mut watcher);
        assert!(!events.is_empty() && events.last().and_then(master).is_none(), "{events:?}");
    });
}

#[test]
fn an_address_is_new_changes_and_is_removed() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").create(&red).unwrap();
        let mut watcher = red.watch().addresses().start().unwrap();
        assert_eq!(lines(&mut watcher), [""; 0]);
        let address = Address::new("10.0.0.1/24").create(&bridge).unwrap();
        let [Event::Address(Change::New(born))] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!(*born, bridge.addresses().unwrap()[0]);
        let change = "ip address change 10.0.0.1/24 dev br0 valid_lft 1000 preferred_lft 900";
        if support::by_hand(&red, change) {
            let [Event::Address(Change::Changed { old, new })] = &drain(&mut watcher)[..] else {
                panic!()
            };
            assert_eq!((old, new.valid.is_some(), new.permanent), (born, true, false));
        }
        address.delete().unwrap();
        let [Event::Address(Change::Removed(gone))] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!(gone.prefix, born.prefix);
    });
}

#[test]
fn a_neighbor_is_new_changes_and_is_removed() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let near = VethEnd::new("veth1").address("10.0.0.1/24").no_ipv6_address().up();
        let peer = VethEnd::new("veth2").no_ipv6_address().up();
        let cable = VethPair::new(near, peer).create(&red).unwrap();
        let index = cable.near().index();
        let mut watcher = red.watch().neighbors().only_ipv4().on_link(index).start().unwrap();
        drain(&mut watcher);
        let line = "neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev veth1 nud permanent";
        if !support::by_hand(&red, &format!("ip {line}")) {
            return;
        }
        let [Event::Neighbor(Change::New(born))] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!(born.state, NeighborState::Permanent);
        support::by_hand(&red, "ip neighbour change 10.0.0.9 dev veth1 lladdr 02:00:00:00:00:0a");
        let events = drain(&mut watcher);
        let [Event::Neighbor(Change::Changed { old, new })] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((old, new.mac.unwrap().to_string().as_str()), (born, "02:00:00:00:00:0a"));
        // A proxy entry is not a neighbour.
        support::by_hand(&red, "ip neighbour add proxy 10.0.0.9 dev veth1");
        support::by_hand(&red, "ip neighbour delete proxy 10.0.0.9 dev veth1");
        assert_eq!(lines(&mut watcher), [""; 0]);
        support::by_hand(&red, "ip neighbour delete 10.0.0.9 dev veth1");
        let events = drain(&mut watcher);
        let removed = Event::Neighbor(Change::Removed(new.clone()));
        assert_eq!(
            events.last().map(ToString::to_string),
            Some(removed.to_string()).map(|line| {
                // The kernel sets an entry to FAILED before it deletes the entry.
                line.replace("lladdr 02:00:00:00:00:0a PERMANENT", "FAILED")
            }),
            "{events:?}"
        );
    });
}

#[test]
fn filters_leave_out_the_rest() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let one = Bridge::new("br1").address("10.1.0.1/24").up().create(&red).unwrap();
        let _other = Bridge::new("br2").address("10.2.0.1/24").up().create(&red).unwrap();
        let watch = red.watch().links().addresses().routes();
        let told = |watch: netloom::Watch| lines(&mut watch.start().unwrap());
        let on_link = told(watch.clone().on_link(one.index()));
        assert!(on_link.iter().any(|line| line.contains("10.1.0.0/24")), "{on_link:?}");
        assert!(!on_link.iter().any(|line| line.contains("10.2.0")), "{on_link:?}");
        let ipv6 = told(watch.clone().only_ipv6());
        assert!(!ipv6.iter().any(|line| line.contains("10.")), "{ipv6:?}");
        let local = told(red.watch().routes().only_ipv4().table(255));
        assert!(local.iter().all(|line| line.contains("table 255")), "{local:?}");
        assert!(local.iter().any(|line| line.contains("10.1.0.1")), "{local:?}");
    });
}

#[test]
fn nothing_to_watch_is_refused() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let error = support::refused(red.watch().start(), &["watch nothing", "was chosen"]);
        assert!(error.is_invalid_input(), "{error}");
    });
}
