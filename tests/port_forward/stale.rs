//! UDP connections whose conntrack entry a new or deleted mapping makes stale.

use std::net::SocketAddr;

use netloom::{ConntrackFilter, PortForward, Route};

use crate::lab::{Lab, address, of_both_kinds, of_kind};
use crate::support;
use crate::traffic::{PATIENCE, SHORT, Server, ask, udp_socket};

#[test]
fn stale_udp_connections_go_with_what_made_them_stale() {
    of_both_kinds(|tag| {
        stale(tag, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "198.51.100.2"]);
        stale(tag, ["fd00::1", "fd00::2", "fd00::3", "2001:db8::2"]);
    });
}

fn stale(tag: Option<&str>, [inside, web, neighbor, outside]: [&str; 4]) {
    let lab = Lab::new(false);
    let at = |address: &str, port: u16| SocketAddr::new(self::address(address), port).to_string();
    let _web = Server::start(&lab.web, &at(web, 53));
    let _neighbor = Server::start(&lab.neighbor, &at(neighbor, 53));
    let port_of_web = || of_kind(tag, PortForward::new(53, web).udp());
    let other =
        of_kind(tag, PortForward::new(54, web).target_port(53).udp()).create(&lab.host).unwrap();

    // The clients start to send before the mapping exists, and never stop.
    let client = udp_socket(&lab.outside, &at(outside, 53)).unwrap();
    let bystander = udp_socket(&lab.outside, &at(outside, 54)).unwrap();
    assert!(ask(&client, SHORT).is_err());
    ask(&bystander, PATIENCE).unwrap();
    let entry = |port| {
        let filter = ConntrackFilter::new().udp().original_destination_port(port);
        filter.list(&lab.host).unwrap()
    };
    let untouched = entry(54);
    assert_eq!((entry(53).len(), untouched.len()), (1, 1));

    let first = port_of_web().create(&lab.host).unwrap();
    ask(&client, PATIENCE).unwrap();
    assert_eq!(entry(53)[0].reply.source, address(web));
    first.delete().unwrap();
    assert_eq!(entry(53), []);
    assert!(ask(&client, SHORT).is_err());

    let second = of_kind(tag, PortForward::new(53, neighbor).udp().host_address(outside));
    let second = second.create(&lab.host).unwrap();
    ask(&client, PATIENCE).unwrap();
    assert_eq!(entry(53)[0].reply.source, address(neighbor));
    // A mapping at another address leaves this connection alone.
    let _elsewhere = port_of_web().host_address(inside).create(&lab.host).unwrap();
    assert_eq!(entry(53).len(), 1);
    // Nor does creating or deleting a mapping at all addresses change this connection.
    let kept = entry(53);
    let all = port_of_web().create(&lab.host).unwrap();
    assert_eq!((entry(53)[0].original, entry(53)[0].reply), (kept[0].original, kept[0].reply));
    drop(all);
    assert_eq!(entry(53).len(), 1);
    drop(second);
    assert_eq!(entry(53), []);
    assert_eq!(entry(54).len(), 1);
    assert_eq!(entry(54)[0].original, untouched[0].original);
    drop(other);
    assert_eq!(entry(54), []);
}

/// A mapping at all addresses also covers addresses that a route makes local (`AnyIP`). It does not
/// cover the addresses of forwarded packets.
#[test]
fn a_mapping_at_all_addresses_is_at_those_of_local_routes_and_at_no_others() {
    of_both_kinds(|tag| {
        any_ip(tag, ["203.0.113.0/24", "203.0.113.7", "198.51.100.1", "198.51.100.2", "10.0.0.2"]);
        any_ip(tag, ["2001:db8:7::/64", "2001:db8:7::7", "2001:db8::1", "2001:db8::2", "fd00::2"]);
    });
}

fn any_ip(tag: Option<&str>, [network, any, outside, host, web]: [&str; 5]) {
    let lab = Lab::new(false);
    let at = |address: &str, port: u16| SocketAddr::new(self::address(address), port).to_string();
    if !support::by_hand(&lab.host, &format!("ip route add local {network} dev lo")) {
        return;
    }
    let own = if network.contains(':') { "fd00::/64" } else { "10.0.0.0/24" };
    let _ways = [network, own].map(|to| Route::new(to).via(host).create(&lab.outside).unwrap());
    let _web = Server::start(&lab.web, &at(web, 53));
    let _elsewhere = Server::start(&lab.outside, &at(outside, 53));

    // Connections are tracked only if a rule needs it, such as a mapping's.
    let _tracked = of_kind(tag, PortForward::new(54, web).udp()).create(&lab.host).unwrap();
    let to_any = udp_socket(&lab.outside, &at(any, 53)).unwrap();
    assert!(ask(&to_any, SHORT).is_err());
    let through = udp_socket(&lab.web, &at(outside, 53)).unwrap();
    ask(&through, PATIENCE).unwrap();
    let entries = |address: &str| {
        let filter = ConntrackFilter::new().udp().original_destination_port(53);
        let mut all = filter.list(&lab.host).unwrap();
        all.retain(|entry| entry.original.destination == self::address(address));
        all
    };
    let untouched = entries(outside);
    assert_eq!((entries(any).len(), untouched.len()), (1, 1));

    let all = of_kind(tag, PortForward::new(53, web).udp()).create(&lab.host).unwrap();
    assert_eq!(entries(any), []);
    ask(&to_any, PATIENCE).unwrap();
    assert_eq!(entries(any)[0].reply.source, address(web));
    let other = of_kind(tag, PortForward::new(53, web).udp().host_address(host));
    drop(other.create(&lab.host).unwrap());
    assert_eq!(entries(any).len(), 1, "exactly that address");
    // The entry is deleted even if the address is no longer local.
    support::by_hand(&lab.host, &format!("ip route del local {network} dev lo"));
    all.delete().unwrap();
    assert_eq!(entries(any), []);
    let left = entries(outside);
    assert_eq!((left.len(), left[0].original), (1, untouched[0].original));
}
