//! Routes: replaced, appended, with several next hops, and removed without a notification.

use netloom::{Change, Event, Namespace, Netns, Owned, Route, Veth, VethEnd, VethPair, Watcher};

use super::model::Model;
use super::{drain, lines, support};

fn place() -> (Owned<Netns>, Owned<Veth>) {
    let red = Namespace::anonymous().create().unwrap();
    let near = VethEnd::new("veth1").address("10.0.0.1/24").address("10.0.0.2/24").up();
    let peer = VethEnd::new("veth2").address("10.9.0.1/24").up();
    let cable = VethPair::new(near, peer).create(&red).unwrap();
    (red, cable)
}

fn watch(red: &Netns) -> (Watcher, Model) {
    let mut watcher = red.watch().links().addresses().routes().start().unwrap();
    let mut model = Model::default();
    model.assert_equal(&mut watcher, red);
    (watcher, model)
}

#[test]
fn a_route_is_new_and_removed() {
    support::isolated(|| {
        let (red, _cable) = place();
        let mut watcher = red.watch().routes().only_ipv4().start().unwrap();
        drain(&mut watcher);
        let route = Route::new("10.1.0.0/16").via("10.0.0.9").metric(7).create(&red).unwrap();
        let [Event::Route(Change::New(born))] = &drain(&mut watcher)[..] else { panic!() };
        assert!(red.routes().unwrap().contains(born));
        route.delete().unwrap();
        let [Event::Route(Change::Removed(gone))] = &drain(&mut watcher)[..] else { panic!() };
        assert_eq!(gone, born);
    });
}

#[test]
fn a_replaced_route_has_changed() {
    support::isolated(|| {
        let (red, _cable) = place();
        if !support::by_hand(&red, "ip route add 10.1.0.0/16 via 10.0.0.9") {
            return;
        }
        let mut watcher = red.watch().routes().only_ipv4().start().unwrap();
        drain(&mut watcher);
        support::by_hand(&red, "ip route replace 10.1.0.0/16 via 10.0.0.8");
        let events = drain(&mut watcher);
        let [Event::Route(Change::Changed { old, new })] = &events[..] else {
            panic!("{events:?}")
        };
        let gateways = [old, new].map(|route| route.gateway().unwrap().to_string());
        assert_eq!(gateways, ["10.0.0.9", "10.0.0.8"]);
    });
}

/// `ip route replace` replaces the first listed route of a key, not the oldest.
#[test]
fn commands_by_hand_lead_to_what_the_kernel_has() {
    support::isolated(|| {
        let (red, _cable) = place();
        let (mut watcher, mut model) = watch(&red);
        for line in [
            "ip route add 10.1.0.0/16 via 10.0.0.3",
            "ip route append 10.1.0.0/16 via 10.0.0.4",
            "ip route prepend 10.1.0.0/16 via 10.0.0.5",
            "ip route replace 10.1.0.0/16 via 10.0.0.6",
            "ip route delete 10.1.0.0/16 via 10.0.0.3",
            "ip route replace 10.1.0.0/16 via 10.0.0.7",
            "ip route add 10.2.0.0/16 nexthop via 10.0.0.3 nexthop via 10.0.0.4 weight 3",
            "ip route change 10.2.0.0/16 nexthop via 10.0.0.3 nexthop via 10.0.0.5",
            "ip route add blackhole 10.3.0.0/16",
            "ip route add 10.4.0.0/16 dev veth1 tos 0x10 metric 3",
            "ip route add 10.4.0.0/16 dev veth1",
            "ip -6 address add fd00::1/64 dev veth1 nodad",
            "ip -6 route add fd01::/64 via fd00::3",
            "ip -6 route append fd01::/64 via fd00::4",
            "ip -6 route append fd01::/64 via fd00::5",
            "ip -6 route delete fd01::/64 via fd00::4",
            "ip -6 route replace fd01::/64 via fd00::6",
            "ip -6 route add fd02::/64 nexthop via fd00::3 nexthop via fd00::4",
            "ip -6 route replace fd02::/64 nexthop via fd00::4 nexthop via fd00::5",
            "ip -6 route delete fd02::/64",
            "ip -6 route add fd03::/64 dev veth1 metric 5",
            "ip -6 route append fd03::/64 dev veth2 metric 5",
            "ip -6 route delete fd03::/64 dev veth1 metric 5",
            "ip nexthop add id 7 via 10.0.0.8 dev veth1",
            "ip route add 10.5.0.0/16 nhid 7",
            "ip nexthop replace id 7 via 10.0.0.9 dev veth1",
            "ip nexthop delete id 7",
            "ip address delete 10.0.0.2/24 dev veth1",
            "ip link set veth1 down",
            "ip link set veth1 up",
        ] {
            if !support::by_hand(&red, line) {
                return;
            }
            model.assert_equal(&mut watcher, &red);
        }
    });
}

/// Asserts that a command removes routes for which the kernel sends no notification.
#[track_caller]
fn removes_in_silence(line: &str, gone: &[&str]) {
    let (red, _cable) = place();
    let add = |line: &str| support::by_hand(&red, &format!("ip route add {line}"));
    if !add("10.1.0.0/16 via 10.0.0.9") {
        return;
    }
    add("10.2.0.0/16 dev veth1 src 10.0.0.2");
    add("10.3.0.0/16 dev veth2");
    let (mut watcher, mut model) = watch(&red);
    let mut routes = red.watch().routes().only_ipv4().table(254).start().unwrap();
    lines(&mut routes);
    support::by_hand(&red, line);
    model.assert_equal(&mut watcher, &red);
    let told = lines(&mut routes);
    for route in gone {
        let is_told = |told: &&String| told.starts_with(&format!("Deleted {route}"));
        assert_eq!(told.iter().filter(is_told).count(), 1, "{route} in {told:?}");
    }
}

#[test]
fn routes_that_go_with_their_link_are_removed() {
    support::isolated(|| {
        removes_in_silence("ip link set veth1 down", &["10.1.0.0/16", "10.2.0.0/16"]);
        removes_in_silence("ip link delete veth1", &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
    });
}

#[test]
fn routes_that_go_with_an_address_are_removed() {
    support::isolated(|| {
        removes_in_silence("ip address delete 10.0.0.2/24 dev veth1", &["10.2.0.0/16"]);
        removes_in_silence(
            "ip -4 address flush dev veth1",
            &["10.1.0.0/16", "10.2.0.0/16", "10.0.0.0/24"],
        );
    });
}
