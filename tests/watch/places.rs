//! Watchers in forks, in namespaces that end, and in several namespaces at once.

use netloom::{Bridge, Event, Namespace, Netns, VethPair};

use super::model::Model;
use super::support::process::beside_a_fork;
use super::{drain, lines, support};

#[test]
fn a_fork_reads_with_a_socket_of_its_own() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let mut watcher = red.watch().links().start().unwrap();
        drain(&mut watcher);
        let _bridge = Bridge::new("br0").create(&red).unwrap();
        // The parent's socket, which the fork has as well.
        let ours = &mut watcher;
        let mut copy = None;
        beside_a_fork(
            || {
                let first = ours.try_next().unwrap();
                let Some(Event::Resynced(resynced)) = &first else { return false };
                let [Event::Link(change)] = &resynced.changes[..] else { return false };
                change.value().name == "br0" && ours.try_next().unwrap().is_none()
            },
            || copy = Some(()),
        );
        assert_eq!(copy, Some(()));
        // The parent loses no event.
        let events = lines(&mut watcher);
        assert!(events.len() == 1 && events[0].contains("br0"), "{events:?}");
    });
}

#[test]
fn a_namespace_lives_as_long_as_its_watcher() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let cable = VethPair::new("veth1", "veth2").create_between(&host, &red).unwrap().keep();
        let mut watcher = red.watch().links().routes().start().unwrap();
        drain(&mut watcher);
        red.delete().unwrap();
        cable.peer().set_mtu(1400).unwrap();
        let events = lines(&mut watcher);
        assert!(events.iter().any(|line| line.contains("mtu 1400")), "{events:?}");

        let mut outside = host.watch().links().start().unwrap();
        drain(&mut outside);
        drop(cable);
        assert_eq!(lines(&mut outside), [""; 0]);
        drop(watcher);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let is_gone = |event: &Event| event.to_string().starts_with("Deleted");
        assert!(outside.until(end).map(Result::unwrap).any(|event| is_gone(&event)));
    });
}

#[test]
fn a_link_that_leaves_the_namespace_is_removed() {
    support::isolated(|| {
        let (red, blue) = (Namespace::anonymous().create(), Namespace::anonymous().create());
        let (red, blue) = (red.unwrap(), blue.unwrap());
        let cable = VethPair::new("veth1", "veth2").create(&red).unwrap();
        let mut watchers = [&red, &blue].map(|netns| {
            let mut watcher = netns.watch().links().addresses().routes().start().unwrap();
            let mut model = Model::default();
            model.assert_equal(&mut watcher, netns);
            (watcher, model)
        });
        cable.peer().move_to(&blue).unwrap();
        for ((watcher, model), netns) in watchers.iter_mut().zip([&red, &blue]) {
            let events = drain(watcher);
            assert!(!events.is_empty());
            for event in events {
                model.apply(event);
            }
            model.assert_equal(watcher, netns);
        }
    });
}
