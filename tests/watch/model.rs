//! A model of a namespace, changed by events. An event that contradicts the model fails the test.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use netloom::{AddressInfo, Change, Event, LinkInfo, Netns, Resynced, RouteInfo, Watcher};

/// The objects that exist according to the events.
#[derive(Debug, Default)]
pub(super) struct Model {
    links: BTreeMap<u32, LinkInfo>,
    addresses: BTreeMap<String, AddressInfo>,
    routes: Vec<RouteInfo>,
    pub(super) overflows: u32,
    pub(super) overflows_in_resync: u32,
}

impl Model {
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Link(change) => keyed(&mut self.links, &change, |link| link.index.get()),
            Event::Address(change) => {
                keyed(&mut self.addresses, &change, |a| format!("{} {}", a.link, a.prefix));
            }
            Event::Route(change) => {
                if let Some(old) = change.before() {
                    let at = self.routes.iter().position(|known| known == old);
                    self.routes.remove(at.unwrap_or_else(|| panic!("unknown: {change:?}")));
                }
                if let Some(new) = change.after() {
                    assert!(!self.routes.contains(new), "known: {change:?}");
                    self.routes.push(new.clone());
                }
            }
            Event::Resynced(Resynced { changes, overflows, .. }) => {
                for change in changes {
                    self.apply(change);
                }
                self.overflows += overflows;
                self.overflows_in_resync += overflows - 1;
            }
            _ => {}
        }
    }

    /// Applies all events, and asserts that the model equals the kernel's lists.
    pub(super) fn assert_equal(&mut self, watcher: &mut Watcher, netns: &Netns) {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            while let Some(event) = watcher.try_next().unwrap() {
                self.apply(event);
            }
            let differences = self.differences(netns);
            if differences.is_empty() {
                return;
            }
            // The kernel notices a carrier late.
            assert!(Instant::now() < patience, "{differences:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn differences(&self, netns: &Netns) -> Vec<String> {
        let links = self.links.values().map(|link| format!("{link:?}"));
        let addresses = self.addresses.values().map(|address| format!("{address:?}"));
        let routes = self.routes.iter().map(|route| format!("{route:?}"));
        let mut model: Vec<_> = links.chain(addresses).chain(routes).collect();
        model.sort();
        let (links, addresses, routes) =
            (netns.links().unwrap(), netns.addresses().unwrap(), netns.routes().unwrap());
        let links = links.iter().map(|link| format!("{link:?}"));
        let addresses = addresses.iter().map(|address| format!("{address:?}"));
        let routes = routes.iter().map(|route| format!("{route:?}"));
        let mut kernel: Vec<_> = links.chain(addresses).chain(routes).collect();
        kernel.sort();
        let only = |side: &str, of: &[String], other: &[String]| -> Vec<String> {
            let missing = of.iter().filter(|line| !other.contains(line));
            missing.map(|line| format!("only {side}: {line}")).collect()
        };
        let mut differences = only("in the model", &model, &kernel);
        differences.extend(only("in the kernel", &kernel, &model));
        if differences.is_empty() && model.len() != kernel.len() {
            differences.push(format!("{} and {} things", model.len(), kernel.len()));
        }
        differences
    }
}

fn keyed<K: Ord, T: Debug + Clone + PartialEq>(
    known: &mut BTreeMap<K, T>,
    change: &Change<T>,
    key: impl Fn(&T) -> K,
) {
    let was = known.remove(&key(change.value()));
    assert_eq!(was.as_ref(), change.before(), "{change:?}");
    if let Change::Changed { old, new } = change {
        assert_ne!(old, new, "nothing changed");
    }
    if let Some(new) = change.after() {
        known.insert(key(new), new.clone());
    }
}
