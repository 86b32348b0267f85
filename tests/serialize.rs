//! The feature `serde`: lists as JSON.
#![cfg(feature = "serde")]

use netloom::nft::{Chain, Family, Rule, Set, Table, Type};
use netloom::{Bridge, LinkInfo, Namespace, NatRule, Netns, PortForward, Route};
use serde_json::{Value, json};

mod support;

fn value(listed: impl serde::Serialize) -> Value {
    serde_json::to_value(listed).unwrap()
}

fn with_bridge(test: impl FnOnce(&Netns)) {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").mac("02:00:00:00:00:09").address("10.0.0.1/24").up();
        let _bridge = bridge.create(&host).unwrap();
        test(&host);
    });
}

#[test]
fn a_link_is_written_by_the_names_of_its_fields() {
    with_bridge(|host| {
        let link: LinkInfo = host.link("br0").unwrap().info().unwrap();
        let json = value(&link);
        assert_eq!(json["name"], "br0");
        assert_eq!(json["index"], link.index.get());
        assert_eq!(json["kind"], "bridge");
        assert_eq!(json["mac"], "02:00:00:00:00:09");
        assert!(json["flags"].as_array().unwrap().contains(&json!("UP")), "{json}");
    });
}

#[test]
fn an_address_and_a_route_are_written_by_their_texts() {
    with_bridge(|host| {
        let _route = Route::new("10.9.0.0/16").via("10.0.0.2").create(host).unwrap();
        let addresses = value(host.addresses().unwrap());
        let address =
            addresses.as_array().unwrap().iter().find(|one| one["prefix"] == "10.0.0.1/24");
        assert_eq!(address.unwrap()["scope"], "global");
        let routes = value(host.routes().unwrap());
        let route =
            routes.as_array().unwrap().iter().find(|one| one["destination"] == "10.9.0.0/16");
        assert_eq!(route.unwrap()["kind"], "unicast", "{routes}");
    });
}

#[test]
fn nat_and_ports_are_written_with_their_tags() {
    with_bridge(|host| {
        let nat = NatRule::masquerade().source("10.0.0.0/24").persistent("web");
        let _nat = nat.create(host).unwrap();
        let port = PortForward::new(8080, "10.0.0.2").target_port(80).persistent("web");
        let _port = port.create(host).unwrap();
        let json = value(host.nat_rules().unwrap());
        assert_eq!(json[0]["tag"], "web");
        assert!(json[0]["rule"].as_str().unwrap().contains("masquerade"), "{json}");
        let json = value(host.port_forwards().unwrap());
        assert_eq!(
            (&json[0]["host_ports"], &json[0]["target"]),
            (&json!("8080"), &json!("10.0.0.2"))
        );
    });
}

#[test]
fn a_table_is_written_with_its_rules_in_the_words_of_nft() {
    with_bridge(|host| {
        let _table = Table::new(Family::Inet, "filter")
            .set(Set::new("blocked", Type::Ipv4).element("192.0.2.7"))
            .chain(Chain::new("input").rule(Rule::new().tcp().dport(22).accept()))
            .create(host)
            .unwrap();
        let json = value(host.nft_ruleset().unwrap());
        let table = json.as_array().unwrap().iter().find(|one| one["name"] == "filter").unwrap();
        assert_eq!(table["family"], "inet");
        assert_eq!(table["chains"][0]["rules"][0]["rule"], "meta l4proto tcp th dport 22 accept");
        assert_eq!(table["sets"][0]["elements"], json!(["192.0.2.7"]));
    });
}

#[test]
fn names_listeners_persistent_objects_and_the_doctors_report_are_written() {
    with_bridge(|host| {
        let red = Namespace::named("red").create().unwrap();
        let listener = red.tcp_listen("0.0.0.0:80").unwrap();
        assert_eq!(value(Netns::list().unwrap())[0]["name"], "red");
        assert_eq!(value(red.listeners().unwrap())[0]["address"], "0.0.0.0:80");
        drop(listener);
        let _nat = NatRule::masquerade().persistent("web").create(host).unwrap();
        let json = value(netloom::persistent(host).unwrap());
        assert!(json[0].as_str().unwrap().contains("NAT rule"), "{json}");
        let report = value(netloom::doctor::examine());
        assert_eq!(report["findings"][0][1]["verdict"], "can", "{report}");
    });
}
