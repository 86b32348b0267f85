//! Owners: deletion on drop, on `?` and on panic; kept and adopted objects; failures and their
//! reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use netloom::{
    Address, Bridge, Error, Forwarding, Namespace, NatRule, Netns, Owned, Route, Sysctl, VethEnd,
    VethPair, on_drop_failure,
};

use support::{refused, unchanged};

fn netns() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

/// Creates an object of each kind. Then a step fails.
fn network(host: &Netns, container: &Netns, last: &str) -> Result<(), Error> {
    let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(host)?;
    let port = VethEnd::new("port").master(&bridge).up();
    let end = VethEnd::new("eth0").address("10.0.0.2/24").up();
    let _cable = VethPair::new(port, end).create_between(host, container)?;
    let _more = Address::new("10.0.1.1/24").create(&bridge)?;
    let _route = Route::default_via("10.0.0.1").create(container)?;
    let _forwarding = Forwarding::ipv4().create(host)?;
    let _forwarding6 = Forwarding::ipv6().dev("port").create(host)?;
    let _nat = NatRule::masquerade().source("10.0.0.0/24").create(host)?;
    let _strict = Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(host)?;
    let _named = Namespace::named("lab").create()?;
    assert!(host.links()?.len() == 3 && container.ping("10.0.0.1").is_ok());
    assert!(last != "panic", "half-way");
    let _last = Bridge::new(last).create(host)?;
    Ok(())
}

#[test]
fn a_network_that_is_left_half_way_is_gone_as_a_whole() {
    support::isolated(|| {
        let (host, container) = (netns(), netns());
        let settings = ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"];
        let now = || settings.map(|name| host.sysctl(name).unwrap());
        let before = now();
        unchanged(&[&host, &container], || network(&host, &container, "br1").unwrap());
        unchanged(&[&host, &container], || {
            let result = network(&host, &container, "br0");
            assert!(refused(result, &["create bridge `br0`"]).is_already_exists());
        });
        unchanged(&[&host, &container], || {
            let work = AssertUnwindSafe(|| network(&host, &container, "panic"));
            catch_unwind(work).unwrap_err();
        });
        assert_eq!(now(), before);
        assert!(Netns::list().unwrap().is_empty());
    });
}

#[test]
fn an_owner_reads_and_compares_like_its_handle() {
    support::isolated(|| {
        let host = netns();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        assert_eq!(*bridge, host.link("br0").unwrap());
        assert_eq!(bridge.name(), "br0");
        assert!(format!("{bridge:?}").starts_with("Owned(Link"));
        bridge.rename("br1").unwrap();
        let shared: &Owned<_> = &bridge;
        std::thread::scope(|scope| scope.spawn(|| shared.set_up().unwrap()).join().unwrap());
        assert!(bridge.info().unwrap().is_up());
    });
}

#[test]
fn dropping_a_handle_or_leaving_a_builder_alone_does_nothing() {
    support::isolated(|| {
        let host = netns();
        host.link("lo").unwrap().set_up().unwrap();
        unchanged(&[&host], || {
            drop(host.link("lo").unwrap());
            let _builder = Bridge::new("br0").address("10.0.0.1/24").up();
            let _route = Route::new("10.0.0.0/8").dev("lo");
        });
    });
}

#[test]
fn builders_are_data_that_can_be_used_again() {
    support::isolated(|| {
        let (red, blue) = (netns(), netns());
        let bridge = Bridge::new("br0").mtu(1400).up();
        assert_eq!(bridge.clone(), bridge);
        assert_ne!(bridge.clone().mtu(1300), bridge);
        let first = bridge.create(&red).unwrap();
        let second = bridge.create(&blue).unwrap();
        assert_ne!(*first, *second);
        drop(first);
        drop(bridge.create(&red).unwrap());
        assert!(second.info().is_ok());
    });
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_failure_on_drop_is_told_to_the_hook_and_to_nobody_else() {
    support::isolated(|| {
        assert!(on_drop_failure(|error| TOLD.lock().unwrap().push(error.to_string())));
        assert!(!on_drop_failure(|_| panic!("the first one stays")));
        let told = || std::mem::take(&mut *TOLD.lock().unwrap());
        let host = netns();

        // Deleting an object that is gone already reports nothing.
        let bridge = Bridge::new("br0").create(&host).unwrap();
        Owned::adopt((*bridge).clone()).delete().unwrap();
        drop(bridge);
        assert_eq!(told(), [""; 0]);

        drop(Owned::adopt(host.link("lo").unwrap()));
        let said = told();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("delete link `lo` in namespace"), "{said:?}");

        // An explicit deletion returns its failure. Dropping the returned owner tries again, and
        // reports the failure.
        let failure = Owned::adopt(host.link("lo").unwrap()).delete().unwrap_err();
        assert_eq!(told(), [""; 0]);
        drop(failure);
        assert_eq!(told().len(), 1);
        Owned::adopt(host.link("lo").unwrap()).delete().unwrap_err().into_owned().keep();
        assert_eq!(told(), [""; 0]);
    });
}

#[test]
fn a_failure_to_delete_can_be_passed_on() {
    support::isolated(|| {
        fn delete(netns: &Netns) -> Result<(), Error> {
            Owned::adopt(netns.link("lo")?).delete()?;
            Ok(())
        }
        refused(delete(&netns()), &["delete link `lo`"]);
    });
}

/// A namespace that ends deletes everything in it, in whatever order owners are dropped.
#[test]
fn owners_go_in_any_order() {
    support::isolated(|| {
        let red = Namespace::named("red").create().unwrap();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&red).unwrap();
        let address = Address::new("10.0.1.1/24").create(&bridge).unwrap();
        let route = Route::new("10.9.0.0/16").via("10.0.1.2").create(&red).unwrap();
        let nat = NatRule::masquerade().create(&red).unwrap();
        red.delete().unwrap();
        bridge.delete().unwrap();
        address.delete().unwrap();
        route.delete().unwrap();
        nat.delete().unwrap();
    });
}
