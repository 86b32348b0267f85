//! The ruleset of a table of published ports: its maps, its chains and their rules.

use std::net::{IpAddr, Ipv6Addr};

use super::table::{ADDRESSED, ANY, HAIRPIN, LOCAL, MARK, PortTable};
use crate::nat::chains::NatChain;
use crate::nft::{Transaction, Type};
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::chain::{Chain, ChainKind};
use crate::wire::nft::data::{Value, Verdict};
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::fib::{Fib, FibFlags, FibResult};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::nat::{Nat, NatType};
use crate::wire::nft::expr::payload::{Payload, PayloadBase};
use crate::wire::nft::hook::{ChainHook, Hook, Priority};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::object::ObjectKind;
use crate::wire::nft::register::Register::{self, R1};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::set::{Description, Set, SetFlags};
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::{ByteOrder, UserData};

/// The rows of the persistent table: its tags, each with its mappings.
pub(super) const TAGS: &str = "tags";
const LOOPBACK: &str = "loopback";
const PORTS: &str = "ports";

/// The size of a map, declared so that the kernel need not grow it.
pub(super) const SIZE: u32 = 65_536;

/// A chain with the expressions of its rules.
type ChainWithRules = (Chain, Vec<Vec<Expr>>);

/// Creates a table with everything but elements.
pub(super) fn push_create(table: &PortTable, transaction: &mut Transaction) {
    let create = NLM_F_CREATE | NLM_F_EXCL;
    let family = table.family();
    let (flags, userdata) = if table.is_held() {
        (TableFlags::OWNER, None)
    } else {
        (TableFlags::empty(), UserData::comment(MARK))
    };
    let message = Table { flags: Some(flags), userdata, ..Table::by_name(&table.name) };
    transaction.begin("add", "a table for ports");
    transaction.push(MessageType::NewTable, create, family, &message);
    transaction.begin("add", "a map of ports");
    for set in sets(table) {
        transaction.push(MessageType::NewSet, create, family, &set);
    }
    transaction.begin("add", "a chain for ports");
    push_chains(table, transaction);
}

/// Restores a table from which another program deleted sets, chains or rules, and wakes a dormant
/// table. Does not restore elements.
pub(super) fn push_repair(table: &PortTable, transaction: &mut Transaction) {
    let all = Rule { table: table.name.to_string(), ..Rule::default() };
    transaction.begin("restore", "the rules for ports");
    let awake = Table { flags: Some(TableFlags::empty()), ..Table::by_name(&table.name) };
    transaction.push(MessageType::NewTable, 0, table.family(), &awake);
    transaction.push(MessageType::DeleteRule, 0, table.family(), &all);
    for set in sets(table) {
        transaction.push(MessageType::NewSet, NLM_F_CREATE, table.family(), &set);
    }
    push_chains(table, transaction);
}

/// Returns whether a table has all its sets and maps.
pub(super) fn has_sets(table: &PortTable, listed: &[Set]) -> bool {
    sets(table).iter().all(|wanted| listed.iter().any(|set| set.name == wanted.name))
}

/// Returns whether a table has all its rules. Ignores rules of other programs in between.
pub(super) fn has_rules(table: &PortTable, rules: &[Rule]) -> bool {
    let has = |(chain, wanted): ChainWithRules| {
        let mut listed = rules.iter().filter(|rule| rule.chain == chain.name);
        wanted.iter().all(|wanted| listed.any(|rule| are_equal(&rule.expressions, wanted)))
    };
    chains(table).into_iter().all(has)
}

fn push_chains(table: &PortTable, transaction: &mut Transaction) {
    let (family, chains) = (table.family(), chains(table));
    for (chain, _) in &chains {
        transaction.push(MessageType::NewChain, NLM_F_CREATE, family, chain);
    }
    for (chain, rules) in chains {
        for expressions in rules {
            let chain = chain.name.as_deref().unwrap_or_default();
            let rule = Rule::new(&table.name, chain, expressions);
            transaction.push(MessageType::NewRule, NLM_F_CREATE | NLM_F_APPEND, family, &rule);
        }
    }
}

fn sets(table: &PortTable) -> Vec<Set> {
    let (address, length) = if table.is_ipv4 { (Type::Ipv4, 4) } else { (Type::Ipv6, 16) };
    let (protocol, port) = (Type::Protocol, Type::Port);
    let link = Type::LinkIndex;
    let concat = |types: &[Type]| DataType::concat(types.iter().map(|one| one.data_type()));
    let set = |id, name, fields: &[Type], key_len, size| Set {
        id: Some(id),
        flags: Some(SetFlags::empty()),
        key_type: concat(fields),
        key_len: Some(key_len),
        desc: Description { size, ..Description::default() },
        userdata: Some(UserData::of_set(ByteOrder::Invalid)),
        ..Set::by_name(&table.name, name)
    };
    let map = |id, name, fields: &[Type], key_len| Set {
        flags: Some(SetFlags::MAP),
        data_type: concat(&[address, port]),
        data_len: Some(length + 4),
        userdata: Some(UserData::of_map(ByteOrder::Invalid, ByteOrder::Invalid, false)),
        ..set(id, name, fields, key_len, Some(SIZE))
    };
    let mut sets = vec![
        map(1, ADDRESSED, &[protocol, address, port], 8 + length),
        map(2, ANY, &[protocol, port], 8),
        set(3, HAIRPIN, &[link, link], 8, None),
        Set {
            userdata: Some(UserData::of_set(ByteOrder::Host)),
            ..set(4, LOCAL, &[link], 4, None)
        },
    ];
    if !table.is_held() {
        sets.push(Set {
            flags: Some(SetFlags::OBJECT),
            object_type: Some(ObjectKind::Counter),
            userdata: Some(UserData::of_map(ByteOrder::Invalid, ByteOrder::Invalid, false)),
            ..set(5, TAGS, &[Type::Ipv6, port], 20, Some(3 * SIZE))
        });
    }
    sets
}

/// Returns the chains with their rules. Each chain follows those it jumps to.
fn chains(table: &PortTable) -> Vec<ChainWithRules> {
    let jump = vec![Immediate::verdict(Verdict::Jump(PORTS.into())).into()];
    let nat = |chain: NatChain, rule| (chain.in_table(&table.name, table.family()), vec![rule]);
    let mut ports = vec![only_to_local(), forward(table, true), forward(table, false)];
    if !table.is_ipv4 {
        // The kernel lets no packet from ::1 out.
        ports.insert(0, not_to(Ipv6Addr::LOCALHOST, [0xff; 16]));
        ports.insert(1, not_to(LINK_LOCAL, LINK_LOCAL_MASK));
    }
    let mut chains = vec![
        (Chain::by_name(&table.name, PORTS), ports),
        nat(NatChain::Prerouting, jump.clone()),
        nat(NatChain::Output, jump),
        nat(NatChain::Postrouting, masquerade()),
    ];
    if table.is_ipv4 {
        let chain = loopback_chain(&table.name, LOOPBACK);
        chains.insert(0, (chain, vec![drop_loopback_from_links()]));
    }
    chains
}

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
const LINK_LOCAL_MASK: [u8; 16] = [0xff, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Returns a base chain that sees packets before their routes are looked up.
pub(super) fn loopback_chain(table: &str, name: &str) -> Chain {
    Chain {
        kind: Some(ChainKind::Filter),
        hook: ChainHook::new(Family::Ip, Hook::Prerouting, Priority::RAW),
        ..Chain::by_name(table, name)
    }
}

fn destination(dreg: Register, is_ipv4: bool) -> Expr {
    let (offset, length) = if is_ipv4 { (16, 4) } else { (24, 16) };
    Payload::load(dreg, PayloadBase::Network, offset, length).into()
}

/// `dnat to meta l4proto . ip daddr . th dport map @addressed`, or without the address `map @any`.
fn forward(table: &PortTable, is_addressed: bool) -> Vec<Expr> {
    let address_slots = table.address_length() / 4;
    let slot = |at| Register::at_slot(at).unwrap_or(Register::Slot15);
    let mut list = vec![Meta::Load { dreg: R1, key: MetaKey::Layer4Protocol }.into()];
    let port = if is_addressed {
        list.push(destination(Register::Slot1, table.is_ipv4));
        slot(1 + address_slots)
    } else {
        Register::Slot1
    };
    list.push(Payload::load(port, PayloadBase::Transport, 2, 2).into());
    list.push(Lookup::map(R1, R1, if is_addressed { ADDRESSED } else { ANY }).into());
    let nat = Nat::to_address(NatType::Destination, table.family(), R1);
    list.push(Nat { port_min: Some(slot(address_slots)), ..nat }.into());
    list
}

/// `ip6 daddr ADDRESS/MASK return`: these addresses keep their ports.
fn not_to(address: Ipv6Addr, mask: [u8; 16]) -> Vec<Expr> {
    let mut list = vec![destination(R1, false)];
    if mask != [0xff; 16] {
        list.push(Bitwise::mask(R1, Value::from(IpAddr::from(mask))).into());
    }
    list.push(compare(Comparison::Equal, IpAddr::from(address).into()));
    list.push(Immediate::verdict(Verdict::Return).into());
    list
}

/// `fib daddr type != local return`: packets to other machines pass.
fn only_to_local() -> Vec<Expr> {
    const RTN_LOCAL: u32 = 2;
    vec![
        Fib { dreg: R1, result: FibResult::AddressType, flags: FibFlags::DESTINATION }.into(),
        compare(Comparison::NotEqual, Value::host_u32(RTN_LOCAL)),
        Immediate::verdict(Verdict::Return).into(),
    ]
}

/// `ct status dnat meta iif . meta oif @hairpin masquerade`.
fn masquerade() -> Vec<Expr> {
    const IPS_DST_NAT: u32 = 1 << 5;
    let status = Value::host_u32(IPS_DST_NAT);
    vec![
        Ct::Load { dreg: R1, key: CtKey::Status, direction: None }.into(),
        Bitwise::mask(R1, status).into(),
        compare(Comparison::NotEqual, status.zeroed()),
        Meta::Load { dreg: R1, key: MetaKey::InputIndex }.into(),
        Meta::Load { dreg: Register::Slot1, key: MetaKey::OutputIndex }.into(),
        Lookup::is_in(R1, HAIRPIN).into(),
        Masq::default().into(),
    ]
}

/// `iifname != "lo" ip daddr 127.0.0.0/8 drop`.
pub(super) fn drop_loopback_from_links() -> Vec<Expr> {
    let lo = Value::interface("lo").unwrap_or(Value::from(0_u8));
    vec![
        Meta::Load { dreg: R1, key: MetaKey::InputName }.into(),
        compare(Comparison::NotEqual, lo),
        Payload::load(R1, PayloadBase::Network, 16, 1).into(),
        compare(Comparison::Equal, Value::from(127_u8)),
        Immediate::verdict(Verdict::Drop).into(),
    ]
}

fn compare(op: Comparison, data: Value) -> Expr {
    Cmp { sreg: R1, op, data }.into()
}

/// Returns whether listed expressions are these. The kernel adds flags to a translation.
fn are_equal(listed: &[Expr], wanted: &[Expr]) -> bool {
    let is_equal = |listed: &Expr, wanted: &Expr| match (listed, wanted) {
        (Expr::Nat(listed), Expr::Nat(wanted)) => {
            let of = |nat: &Nat| (nat.kind, nat.family, nat.address_min, nat.port_min);
            of(listed) == of(wanted)
        }
        _ => listed == wanted,
    };
    listed.len() == wanted.len()
        && listed.iter().zip(wanted).all(|(one, other)| is_equal(one, other))
}
