//! Objects that outlive their process: kept objects, objects with a tag, and changes to the objects
//! of others.

use netloom::nft::{Family, Table};
use netloom::{
    Address, Bridge, Firewall, Forwarding, Namespace, NatRule, Netns, Owned, PortForward, Route,
    Setting, Sysctl, VethEnd, VethPair,
};

use super::support;
use super::{helper, is_helper, kill, ready, wait_to_be_killed};

/// Creates objects that must survive, in a process that is killed.
#[test]
#[ignore = "started by another test, to be killed"]
fn keeper() {
    if !is_helper("kept::keeper") {
        return;
    }
    let host = Netns::current().unwrap();
    let bridge = Bridge::new("br0").address("10.7.0.1/24").up().create(&host).unwrap().keep();
    let red = Namespace::named("red").create().unwrap().keep();
    Namespace::named("alias").attach(&Namespace::anonymous().create().unwrap()).unwrap().keep();
    VethPair::new("v1", VethEnd::new("v2")).create_between(&host, &red).unwrap().keep();
    NatRule::masquerade().persistent("lab").create(&host).unwrap().keep();
    let web = PortForward::new(80, "10.7.0.2").host_address("10.7.0.1").link(&bridge);
    web.persistent("lab").create(&host).unwrap().keep();
    Table::new(Family::Ip, "mine").persistent("lab").create(&host).unwrap().keep();
    Firewall::new().network(&bridge).persistent("lab").create(&host).unwrap().keep();
    // The tag makes the rule persistent, whether it is kept or not.
    std::mem::forget(NatRule::masquerade().source("10.9.0.0/24").persistent("lab").create(&host));
    let another = Firewall::new().name("another").network(&bridge).persistent("lab");
    std::mem::forget(another.create(&host));
    wait_to_be_killed();
}

#[test]
fn what_is_persistent_and_what_was_kept_outlives_who_made_it() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        kill(ready(helper("kept::keeper", 0).spawn().unwrap()));
        let done = netloom::reap().unwrap();
        assert!(done.failures.is_empty() && done.removed.is_empty(), "{done:?}");
        drop(done);
        let host = Netns::current().unwrap();
        let (red, alias) = (Netns::open("red").unwrap(), Netns::open("alias").unwrap());
        let nat = host.nat_rules_with_tag("lab").unwrap();
        let ports = host.port_forwards_with_tag("lab").unwrap();
        let tables = host.nft_tables_with_tag("lab").unwrap();
        let firewalls = host.firewalls_with_tag("lab").unwrap();
        assert_eq!((nat.len(), ports.len(), firewalls.len()), (2, 1, 2));
        assert_eq!(tables.iter().filter(|table| table.name() == "mine").count(), 1);
        red.link("v2").unwrap();
        drop(nat.into_iter().map(|rule| Owned::adopt(rule.handle().clone())).collect::<Vec<_>>());
        drop(ports.into_iter().map(Owned::adopt).collect::<Vec<_>>());
        drop(firewalls.into_iter().map(Owned::adopt).collect::<Vec<_>>());
        drop(tables.into_iter().map(Owned::adopt).collect::<Vec<_>>());
        for link in ["v1", "br0"] {
            Owned::adopt(host.link(link).unwrap()).delete().unwrap();
        }
        drop((Owned::adopt(red), Owned::adopt(alias)));
    });
}

#[test]
fn what_is_foreign_or_kept_is_left_alone() {
    support::isolated(|| {
        let host = Netns::current().unwrap();
        drop(Namespace::named("first").create().unwrap());
        // Objects as other programs create them: a link in another group, and a reserved file.
        let foreign = Bridge::new("foreign").group(7).create(&host).unwrap();
        std::fs::write("/run/netns/stale", "").unwrap();
        // A kept link, whose creator dropped its handle of the namespace.
        let kept = Bridge::new("kept0").create(&Netns::current().unwrap()).unwrap().keep();
        assert_eq!(host.link("kept0").unwrap().info().unwrap().group, 0);
        drop(kept);
        let name = Namespace::named("kept").create().unwrap().keep();
        drop(name);
        let left = netloom::leftovers().unwrap();
        assert!(left.found().is_empty(), "{:?}", left.found());
        foreign.delete().unwrap();
        std::fs::remove_file("/run/netns/stale").unwrap();
        drop(Owned::adopt(host.link("kept0").unwrap()));
        drop(Owned::adopt(Netns::open("kept").unwrap()));
    });
}

const FILTER: &str = "net.ipv4.conf.theirs.rp_filter";
const FORWARD: &str = "net.ipv4.ip_forward";

/// Owns settings and addresses of objects of other programs.
#[test]
#[ignore = "started by another test, to be killed"]
fn guest() {
    if !is_helper("kept::guest") {
        return;
    }
    let host = Netns::current().unwrap();
    let theirs = host.link("theirs").unwrap();
    let _address = Address::new("10.0.9.1/24").create(&theirs).unwrap();
    let _route = Route::new("10.8.0.0/16").dev(&theirs).create(&host).unwrap();
    let many = ["10.9.0.0/24", "10.9.1.0/24"].map(|network| Route::new(network).dev(&theirs));
    let _many = Route::create_all(&many, &host).unwrap();
    let _sysctl = Sysctl::new(FILTER, 1).create(&host).unwrap();
    let _setting = Setting::proxy_arp(&theirs).to(true).create(&theirs.namespace()).unwrap();
    let _forwarding = Forwarding::ipv4().create(&host).unwrap();
    wait_to_be_killed();
}

#[test]
fn what_a_killed_process_did_to_a_strangers_link_stays() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let host = Netns::current().unwrap();
        let theirs = Bridge::new("theirs").group(7).up().create(&host).unwrap();
        let state = || {
            let addresses = theirs.addresses().unwrap().into_iter().map(|one| one.prefix);
            let addresses = addresses.filter(|prefix| prefix.to_string().starts_with("10."));
            let routes = host.routes().unwrap().into_iter().map(|one| one.destination);
            let routes = routes.map(|one| one.to_string());
            let routes = routes.filter(|one| one.starts_with("10.8.") || one.starts_with("10.9."));
            let settings = [FILTER, FORWARD, "net.ipv4.conf.theirs.proxy_arp"];
            let settings = settings.map(|name| host.sysctl(name).unwrap());
            (addresses.count(), routes.count(), settings)
        };
        assert_eq!(state(), (0, 0, ["0", "0", "0"].map(str::to_owned)));
        kill(ready(helper("kept::guest", 0).spawn().unwrap()));
        let stays = (1, 3, ["1", "1", "1"].map(str::to_owned));
        assert_eq!(state(), stays);
        let done = netloom::reap().unwrap();
        assert!(done.failures.is_empty() && done.removed.is_empty(), "{done:?}");
        drop(done);
        assert_eq!(state(), stays);
        // The other changes are gone with the link.
        drop(Sysctl::new(FORWARD, 0).create(&host).unwrap().keep());
        theirs.delete().unwrap();
    });
}
