//! The ruleset of a table of published ports: its maps, its chains and their rules.

use std::net::Ipv6Addr;

use super::table::{ADDRESSED, ANY, HAIRPIN, LOCAL, MARK, PortTable};
use crate::nft::{
    Chain, ChainKind, CtStatus, Field, Hook, Map, ObjectKind, Priority, Rule, Set, Table, Type,
};

/// The rows of the persistent table: its tags, each with its mappings.
pub(super) const TAGS: &str = "tags";
const PORTS: &str = "ports";

/// The size of a map, declared so that the kernel need not grow it.
pub(super) const SIZE: u32 = 65_536;

/// Returns the table with everything but elements.
pub(super) fn ruleset(of: &PortTable) -> Table {
    let (address, destination) = if of.is_ipv4 {
        (Type::Ipv4, Field::Ip4Destination)
    } else {
        (Type::Ipv6, Field::Ip6Destination)
    };
    let target = [address, Type::Port];
    let mut table = Table::new(of.family(), &*of.name)
        .map(Map::new(ADDRESSED, [Type::Protocol, address, Type::Port], target).size(SIZE))
        .map(Map::new(ANY, [Type::Protocol, Type::Port], target).size(SIZE))
        .set(Set::new(HAIRPIN, [Type::LinkIndex; 2]))
        .set(Set::new(LOCAL, Type::LinkIndex));
    if !of.is_held() {
        let tags = Map::objects(TAGS, [Type::Ipv6, Type::Port], ObjectKind::Counter);
        table = table.with_comment(MARK).map(tags.size(3 * SIZE));
    }
    let mut ports = Chain::new(PORTS);
    if of.is_ipv4 {
        table = table.chain(loopback_chain("loopback"));
    } else {
        // The kernel lets no packet from ::1 out.
        ports = ports.rule(Rule::new().destination(Ipv6Addr::LOCALHOST).back());
        ports = ports.rule(Rule::new().destination("fe80::/10").back());
    }
    let by_address = [Field::Protocol, destination, Field::DestinationPort];
    let ports = ports
        .rule(Rule::new().not().to_this_machine().back())
        .rule(Rule::new().dnat_map_to_ports(by_address, ADDRESSED))
        .rule(Rule::new().dnat_map_to_ports([Field::Protocol, Field::DestinationPort], ANY));
    let hairpin = Rule::new().ct_status(CtStatus::DESTINATION_NAT);
    let hairpin = hairpin.in_set([Field::Iif, Field::Oif], HAIRPIN).masquerade();
    let nat = |name, hook, priority, rule| {
        Chain::new(name).hook(hook, priority).kind(ChainKind::Nat).rule(rule)
    };
    let jump = || Rule::new().jump(PORTS);
    table
        .chain(ports)
        .chain(nat("prerouting", Hook::Prerouting, Priority::DESTINATION_NAT, jump()))
        .chain(nat("output", Hook::Output, Priority::DESTINATION_NAT, jump()))
        .chain(nat("postrouting", Hook::Postrouting, Priority::SOURCE_NAT, hairpin))
}

/// Returns a chain that sees packets before their routes are looked up, and drops those from links
/// to 127.0.0.0/8.
pub(super) fn loopback_chain(name: &str) -> Chain {
    let from_links = Rule::new().not().iifname("lo").destination("127.0.0.0/8");
    Chain::new(name).hook(Hook::Prerouting, Priority::RAW).rule(from_links.drop())
}
