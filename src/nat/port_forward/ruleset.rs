//! The table of a family: its maps, its chains, and the elements of a mapping.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use super::elements::{Bound, PortElement, Shared};
use super::mapping::{Mapping, Port};
use crate::nat::chains::NatChain;
use crate::nft::Operations;
use crate::wire::attribute::Attribute;
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use crate::wire::nft::chain::{Chain, ChainType};
use crate::wire::nft::data::{ChainRef, Data, Value, Verdict};
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::element::{Element, ElementsOf};
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
use crate::wire::nft::hook::{Hook, HookPoint, Priority};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::register::Register::{self, R1};
use crate::wire::nft::rule::Rule;
use crate::wire::nft::set::{Description, Set, SetFlags};
use crate::wire::nft::table::{Table, TableFlags};
use crate::wire::nft::userdata::{ByteOrder, UserData};

pub(super) const ADDRESSED: &str = "addressed";
pub(super) const ANY: &str = "any";
pub(super) const HAIRPIN: &str = "hairpin";
/// The links that have to route loopback addresses for it; in the persistent table each with a chain.
pub(super) const LOCAL: &str = "local";
/// Of the persistent table: its mappings by tag.
pub(super) const TAGS: &str = "tags";
/// Of the persistent table: an empty chain that those lead to, so that the kernel counts them.
pub(super) const MAPPINGS: &str = "mappings";
const LOOPBACK: &str = "loopback";
const PORTS: &str = "ports";

/// The size of a map, declared so that the kernel need not grow it.
pub(super) const SIZE: u32 = 65_536;

/// What the persistent tables are called, and what the held ones begin with.
pub(super) const PERSISTENT: &str = "netloom-ports";

/// The table of a family, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortTable {
    pub(super) name: Arc<str>,
    pub(super) is_ipv4: bool,
    /// The socket that holds it; none where it is the persistent one.
    owner: Option<u32>,
}

/// What makes the persistent table ours: its comment.
pub(super) const MARK: &str = "published ports of netloom, by tag";

impl PortTable {
    /// Of the owner with this socket. Its number makes the name unique for as long as it lives.
    pub(super) fn held(socket_port: u32, is_ipv4: bool) -> Self {
        let name = format!("{PERSISTENT}-{socket_port}").into();
        Self { name, is_ipv4, owner: Some(socket_port) }
    }

    /// The one that nobody owns.
    pub(super) fn persistent(is_ipv4: bool) -> Self {
        Self { name: PERSISTENT.into(), is_ipv4, owner: None }
    }

    /// A table that the kernel lists, where it is one of published ports.
    pub(super) fn of(family: Family, table: &Table) -> Option<Self> {
        let is_ipv4 = match family {
            Family::Ip => true,
            Family::Ip6 => false,
            _ => return None,
        };
        let is_marked = || table.userdata.as_ref().and_then(UserData::as_comment) == Some(MARK);
        let found = match table.owner {
            Some(owner) => Self::held(owner, is_ipv4),
            None if is_marked() => Self::persistent(is_ipv4),
            None => return None,
        };
        Some(found).filter(|found| table.name.as_deref() == Some(&*found.name))
    }

    pub(super) fn is_held(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether it is of the owner with this socket.
    pub(super) fn is_of(&self, socket_port: u32) -> bool {
        self.owner == Some(socket_port)
    }

    /// Who has a port, by its element.
    pub(super) fn holder(&self, (protocol, host_address, port): Port, element: &Element) -> String {
        if !self.is_held() {
            let tag = element.userdata.as_ref().and_then(UserData::as_comment);
            return format!("`{}`", tag.unwrap_or_default());
        }
        let data = match &element.data {
            Some(Data::Value(value)) => value.as_slice(),
            _ => &[],
        };
        let (address, behind) =
            data.split_at_checked(self.address_length() as usize).unwrap_or_default();
        let target = Attribute::of(address).ip();
        let target_port = Attribute::of(behind).u16_be().unwrap_or(port);
        match target {
            Some(target) => Mapping {
                protocol,
                host_address,
                host_ports: port.into(),
                target,
                target_ports: target_port.into(),
                link: 0,
            }
            .to_string(),
            None => format!("the table `{}`", self.name),
        }
    }

    pub(super) fn family(&self) -> Family {
        if self.is_ipv4 { Family::Ip } else { Family::Ip6 }
    }

    /// Adds or deletes ports, those at one address and those at any, and what they share.
    pub(super) fn push_elements<'a, 'p, P: Iterator<Item = PortElement<'p>>>(
        &self,
        transaction: &mut Operations<'a>,
        step: (&'static str, &'a dyn fmt::Display),
        kind: MessageType,
        ports: impl Fn(Bound) -> P,
        shared: &Shared,
    ) {
        let flags = match kind {
            MessageType::NewElement => NLM_F_CREATE | NLM_F_EXCL,
            _ => 0,
        };
        let of = |set| ElementsOf::new(&self.name, set);
        for (set, bound) in [(ADDRESSED, Bound::One), (ANY, Bound::Any)] {
            transaction.push_elements(step, kind, flags, self.family(), (&of(set), ports(bound)));
        }
        for (set, elements) in [(HAIRPIN, &shared.hairpin), (LOCAL, &shared.local)] {
            transaction.push_elements(step, kind, flags, self.family(), (&of(set), elements));
        }
    }

    pub(super) fn push_delete<'a>(
        &self,
        transaction: &mut Operations<'a>,
        step: (&'static str, &'a dyn fmt::Display),
    ) {
        let table = Table::by_name(&self.name);
        transaction.push(step, MessageType::DeleteTable, 0, self.family(), &table);
    }

    /// Makes it, with everything but elements.
    pub(super) fn push_create(&self, transaction: &mut Operations<'_>) {
        let create = NLM_F_CREATE | NLM_F_EXCL;
        let step = |what: &'static &'static str| ("add", what as &dyn fmt::Display);
        let family = self.family();
        let (flags, userdata) = if self.is_held() {
            (TableFlags::OWNER, None)
        } else {
            (TableFlags::empty(), UserData::comment(MARK))
        };
        let table = Table { flags: Some(flags), userdata, ..Table::by_name(&self.name) };
        transaction.push(step(&"a table for ports"), MessageType::NewTable, create, family, &table);
        for set in self.sets().into_iter().flatten() {
            transaction.push(step(&"a map of ports"), MessageType::NewSet, create, family, &set);
        }
        self.push_chains(transaction);
    }

    /// Has its rules be those it was made with, where somebody took some away.
    pub(super) fn push_mend(&self, transaction: &mut Operations<'_>) {
        let all = Rule { table: self.name.to_string(), ..Rule::default() };
        let step = ("mend", &"the rules for ports" as &dyn fmt::Display);
        transaction.push(step, MessageType::DeleteRule, 0, self.family(), &all);
        self.push_chains(transaction);
    }

    /// Its chains, where they are missing, and their rules.
    fn push_chains(&self, transaction: &mut Operations<'_>) {
        let step = ("add", &"a chain for ports" as &dyn fmt::Display);
        let family = self.family();
        for (chain, _) in self.chains() {
            transaction.push(step, MessageType::NewChain, NLM_F_CREATE, family, &chain);
        }
        for (chain, rules) in self.chains() {
            for expressions in rules {
                let rule =
                    Rule::new(&self.name, chain.name.as_deref().unwrap_or_default(), expressions);
                let flags = NLM_F_CREATE | NLM_F_APPEND;
                transaction.push(step, MessageType::NewRule, flags, family, &rule);
            }
        }
    }

    /// Whether its chains have the rules that they were made with, whatever somebody put between them.
    pub(super) fn has_rules(&self, rules: &[Rule]) -> bool {
        let has = |(chain, wanted): (Chain, Vec<Vec<Expr>>)| {
            let name = chain.name.map(ChainRef::Name);
            let mut there = rules.iter().filter(|rule| rule.chain == name);
            wanted.iter().all(|wanted| there.any(|rule| are_as_said(&rule.expressions, wanted)))
        };
        self.chains().into_iter().all(has)
    }

    fn address_type(&self) -> DataType {
        if self.is_ipv4 { DataType::IPV4_ADDRESS } else { DataType::IPV6_ADDRESS }
    }

    fn address_length(&self) -> u32 {
        if self.is_ipv4 { 4 } else { 16 }
    }

    fn sets(&self) -> Option<Vec<Set>> {
        let (address, length) = (self.address_type(), self.address_length());
        let (protocol, port) = (DataType::INTERNET_PROTOCOL, DataType::INTERNET_SERVICE);
        let map = |name, id, key: &[DataType], key_len| {
            Some(Set {
                id: Some(id),
                flags: Some(SetFlags::MAP),
                key_type: Some(DataType::concat(key)?),
                key_len: Some(key_len),
                data_type: Some(DataType::concat(&[address, port])?),
                data_len: Some(length + 4),
                desc: Description { size: Some(SIZE), ..Description::default() },
                userdata: Some(UserData::of_map(ByteOrder::Invalid, ByteOrder::Invalid, false)),
                ..Set::by_name(&self.name, name)
            })
        };
        let set = |name, id, key: &[DataType], key_len, size| {
            Some(Set {
                id: Some(id),
                flags: Some(SetFlags::empty()),
                key_type: Some(DataType::concat(key)?),
                key_len: Some(key_len),
                desc: Description { size, ..Description::default() },
                userdata: Some(UserData::of_set(ByteOrder::Invalid)),
                ..Set::by_name(&self.name, name)
            })
        };
        // Nothing looks them up: what they lead to is counted.
        let counted = |name, id, key: &[DataType], key_len, size| {
            Some(Set {
                flags: Some(SetFlags::MAP),
                data_type: Some(DataType::VERDICT),
                ..set(name, id, key, key_len, size)?
            })
        };
        let link = DataType::INTERFACE_INDEX;
        let mut sets = vec![
            map(ADDRESSED, 1, &[protocol, address, port], 8 + length)?,
            map(ANY, 2, &[protocol, port], 8)?,
            set(HAIRPIN, 3, &[link, link, address], 8 + length, None)?,
        ];
        if self.is_held() && self.is_ipv4 {
            sets.push(Set {
                userdata: Some(UserData::of_set(ByteOrder::Host)),
                ..set(LOCAL, 5, &[link], 4, None)?
            });
        }
        if !self.is_held() {
            let hash = DataType::IPV6_ADDRESS;
            sets.push(counted(TAGS, 4, &[hash, port], 20, Some(3 * SIZE))?);
            if self.is_ipv4 {
                sets.push(Set {
                    userdata: Some(UserData::of_map(ByteOrder::Host, ByteOrder::Invalid, false)),
                    ..counted(LOCAL, 5, &[link], 4, None)?
                });
            }
        }
        Some(sets)
    }

    /// The chains in an order in which each finds those it jumps to, with the rules of each.
    fn chains(&self) -> Vec<(Chain, Vec<Vec<Expr>>)> {
        let ports = Chain::by_name(&self.name, PORTS);
        let jump = vec![Immediate::verdict(Verdict::Jump(PORTS.into())).into()];
        let nat = |chain: NatChain, rule| (chain.in_table(&self.name, self.family()), vec![rule]);
        let mut to_ports = vec![only_to_local(), self.forward(true), self.forward(false)];
        if !self.is_ipv4 {
            to_ports.insert(0, self.not_to_loopback());
        }
        let mut chains = vec![
            (ports, to_ports),
            nat(NatChain::Prerouting, jump.clone()),
            nat(NatChain::Output, jump),
            nat(NatChain::Postrouting, self.masquerade()),
        ];
        if !self.is_held() {
            chains.insert(0, (Chain::by_name(&self.name, MAPPINGS), Vec::new()));
        }
        if self.is_ipv4 {
            let loopback = Chain {
                kind: Some(ChainType::Filter),
                hook: Hook::new(self.family(), HookPoint::Prerouting, Priority::RAW),
                ..Chain::by_name(&self.name, LOOPBACK)
            };
            chains.insert(0, (loopback, vec![not_from_a_link_to_loopback()]));
        }
        chains
    }

    fn destination(&self, dreg: Register) -> Expr {
        let offset = if self.is_ipv4 { 16 } else { 24 };
        Payload::load(dreg, PayloadBase::Network, offset, self.address_length()).into()
    }

    /// The register behind a long one, or behind one and an address.
    fn behind(&self, slots: u32) -> Register {
        let slots = slots + self.address_length() / 4;
        Register::at_slot(slots).unwrap_or(Register::Slot15)
    }

    /// `dnat to meta l4proto . ip daddr . th dport map @addressed`, or the other one.
    fn forward(&self, addressed: bool) -> Vec<Expr> {
        let mut list = Vec::new();
        list.push(Meta::Load { dreg: R1, key: MetaKey::Layer4Protocol }.into());
        let port = if addressed {
            list.push(self.destination(Register::Slot1));
            self.behind(1)
        } else {
            Register::Slot1
        };
        list.push(Payload::load(port, PayloadBase::Transport, 2, 2).into());
        list.push(Lookup::map(R1, R1, if addressed { ADDRESSED } else { ANY }).into());
        let nat = Nat::to_address(NatType::Destination, self.family(), R1);
        list.push(Nat { port_min: Some(self.behind(0)), ..nat }.into());
        list
    }

    /// `ip6 daddr ::1 return`: the kernel lets no packet from there out, so whoever listens there himself
    /// keeps it.
    fn not_to_loopback(&self) -> Vec<Expr> {
        vec![
            self.destination(R1),
            compare(Comparison::Equal, Ipv6Addr::LOCALHOST.into()),
            Immediate::verdict(Verdict::Return).into(),
        ]
    }

    /// `ct status dnat meta iif . meta oif . ip daddr @hairpin masquerade`.
    fn masquerade(&self) -> Vec<Expr> {
        const IPS_DST_NAT: u32 = 1 << 5;
        let status = Value::host_u32(IPS_DST_NAT);
        vec![
            Ct::Load { dreg: R1, key: CtKey::Status, direction: None }.into(),
            Bitwise::mask(R1, status).into(),
            compare(Comparison::NotEqual, status.zeroed()),
            Meta::Load { dreg: R1, key: MetaKey::InputIndex }.into(),
            Meta::Load { dreg: Register::Slot1, key: MetaKey::OutputIndex }.into(),
            self.destination(Register::Slot2),
            Lookup::is_in(R1, HAIRPIN).into(),
            Masq::default().into(),
        ]
    }
}

/// `fib daddr type != local return`: an address that is not ours is somebody else's, whatever is published
/// at it.
fn only_to_local() -> Vec<Expr> {
    const RTN_LOCAL: u32 = 2;
    vec![
        Fib { dreg: R1, result: FibResult::AddressType, flags: FibFlags::DESTINATION }.into(),
        compare(Comparison::NotEqual, Value::host_u32(RTN_LOCAL)),
        Immediate::verdict(Verdict::Return).into(),
    ]
}

/// Whether expressions that the kernel lists are these. Of a translation it lists what follows, too.
fn are_as_said(listed: &[Expr], said: &[Expr]) -> bool {
    let is_as_said = |listed: &Expr, said: &Expr| match (listed, said) {
        (Expr::Nat(listed), Expr::Nat(said)) => {
            let of = |nat: &Nat| (nat.kind, nat.family, nat.address_min, nat.port_min);
            of(listed) == of(said)
        }
        _ => listed == said,
    };
    listed.len() == said.len() && listed.iter().zip(said).all(|(one, other)| is_as_said(one, other))
}

/// `iifname != "lo" ip daddr 127.0.0.0/8 drop`.
pub(super) fn not_from_a_link_to_loopback() -> Vec<Expr> {
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
