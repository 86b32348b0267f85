//! Address translation: `snat`, `dnat`, `masquerade`, `redirect`.

use crate::nft::model::prelude::*;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::input::{Input, network};
use crate::nft::model::context::NO_FAMILY;
use crate::nft::model::field::Needs;
use crate::nft::model::set_ref::address_data;
use crate::nft::model::types::Type;
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::expr::nat as wire;
use crate::wire::nft::expr::nat::{NatFlags, NatType};
use crate::wire::nft::expr::redir::Redir;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nat {
    kind: Kind,
    ports: Option<(u16, u16)>,
    flags: NatFlags,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Masquerade,
    Redirect,
    Addresses(NatType, Option<(IpAddr, IpAddr)>),
    /// The map has addresses, or addresses and ports with [`NatFlags::PORT_SPECIFIED`].
    Map(NatType, MapLookup),
}

const NO_TRANSLATION: &str = "no address translation precedes this call";

impl Rule {
    /// Rewrites the source to the address of the link by which the packet leaves: `masquerade`.
    #[doc(alias = "MASQUERADE")]
    pub fn masquerade(self) -> Self {
        self.translate(Kind::Masquerade)
    }

    /// Rewrites the source to an address, or to an address of a range: `snat to`.
    #[doc(alias = "SNAT")]
    pub fn snat(self, to: impl Into<Interval>) -> Self {
        self.nat("snat", NatType::Source, &to.into())
    }

    /// Rewrites the destination to an address, or to an address of a range: `dnat to`.
    #[doc(alias = "DNAT")]
    pub fn dnat(self, to: impl Into<Interval>) -> Self {
        self.nat("dnat", NatType::Destination, &to.into())
    }

    /// Replaces the network of the source and keeps the host part: `snat prefix to`.
    #[doc(alias = "NETMAP")]
    pub fn snat_prefix(self, to: impl Input<IpNet>) -> Self {
        self.nat_prefix("snat_prefix", NatType::Source, to)
    }

    /// Replaces the network of the destination and keeps the host part: `dnat prefix to`.
    pub fn dnat_prefix(self, to: impl Input<IpNet>) -> Self {
        self.nat_prefix("dnat_prefix", NatType::Destination, to)
    }

    /// Rewrites the source to the address that a map of the table has for these fields: `snat to ip
    /// saddr map @MAP`.
    pub fn snat_map(mut self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        let lookup = self.named("snat_map", fields, map);
        self.translate(Kind::Map(NatType::Source, lookup))
    }

    /// Rewrites the destination to the address that a map of the table has for these fields: `dnat
    /// to tcp dport map @MAP`.
    ///
    /// In a table of both families, call [`ipv4`](Self::ipv4) or [`ipv6`](Self::ipv6) before,
    /// unless a field implies the family.
    pub fn dnat_map(mut self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        let lookup = self.named("dnat_map", fields, map);
        self.translate(Kind::Map(NatType::Destination, lookup))
    }

    /// Rewrites the destination and the port to those that a map of the table has for these fields,
    /// like [`dnat_map`](Self::dnat_map).
    pub fn dnat_map_to_ports(mut self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        let lookup = self.named("dnat_map_to_ports", fields, map);
        let rule = self.translate(Kind::Map(NatType::Destination, lookup));
        rule.nat_flag("dnat_map_to_ports", NatFlags::PORT_SPECIFIED)
    }

    /// Rewrites the source to the address that an anonymous map has for these fields: `snat to ip
    /// saddr map { … }`.
    pub fn snat_by(
        self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        self.nat_by("snat_by", NatType::Source, fields, elements)
    }

    /// Rewrites the destination to the address that an anonymous map has for these fields: `dnat to
    /// tcp dport map { 80 : 10.0.0.2, 443 : 10.0.0.3 }`. The map may have ports too.
    pub fn dnat_by(
        self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        self.nat_by("dnat_by", NatType::Destination, fields, elements)
    }

    /// Rewrites the destination and the port: `dnat to ADDRESS:PORT`.
    pub fn dnat_to(self, to: impl Into<SocketAddr>) -> Self {
        let to = to.into();
        self.dnat(to.ip()).to_port(to.port())
    }

    /// Redirects the packet to this port of this machine: `redirect to :PORT`.
    #[doc(alias = "REDIRECT")]
    pub fn redirect(self, port: u16) -> Self {
        self.translate(Kind::Redirect).to_port(port)
    }

    /// Sets the new port of the preceding address translation.
    pub fn to_port(self, port: u16) -> Self {
        self.to_ports(port..=port)
    }

    /// Sets the range of new ports of the preceding address translation.
    pub fn to_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        let chosen = (*ports.start(), *ports.end());
        if chosen.0 == 0 {
            self.rejected.reject("to_ports", 0, "there is no port 0");
        } else if ports.is_empty() {
            let shown = format!("{}-{}", chosen.0, chosen.1);
            self.rejected.reject("to_ports", shown, "the range is empty");
        }
        match self.last_mut::<Nat>() {
            Some(nat) if !matches!(nat.kind, Kind::Map(..)) => {
                nat.ports = Some(chosen);
                nat.flags |= NatFlags::PORT_SPECIFIED;
            }
            _ => self.rejected.reject("to_ports", chosen.0, NO_TRANSLATION),
        }
        self
    }

    /// Makes the preceding address translation choose ports by a random hash of the connection.
    pub fn random(self) -> Self {
        self.nat_flag("random", NatFlags::RANDOM)
    }

    /// Makes the preceding address translation choose ports fully at random.
    pub fn fully_random(self) -> Self {
        self.nat_flag("fully_random", NatFlags::FULLY_RANDOM)
    }

    /// Makes the preceding address translation give a client the same address for all its
    /// connections: `persistent`.
    pub fn persistent_address(self) -> Self {
        self.nat_flag("persistent_address", NatFlags::PERSISTENT)
    }

    fn translate(self, kind: Kind) -> Self {
        self.with(Nat { kind, ports: None, flags: NatFlags::empty() })
    }

    fn nat(mut self, setter: &'static str, kind: NatType, to: &Interval) -> Self {
        let addresses = match to.ends() {
            (Constant::Address(first), Constant::Address(last))
                if first.is_ipv4() == last.is_ipv4() && first <= last =>
            {
                Some((first, last))
            }
            _ => None,
        };
        if addresses.is_none() {
            self.rejected.reject(setter, to, "neither an address nor a range of addresses");
        }
        self.translate(Kind::Addresses(kind, addresses))
    }

    fn nat_prefix(mut self, setter: &'static str, kind: NatType, to: impl Input<IpNet>) -> Self {
        let Some(net) = self.rejected.read(setter, to) else { return self };
        if let Err(reason) = network(net) {
            self.rejected.reject(setter, net, reason);
        }
        let addresses = Some((net.network(), net.broadcast()));
        self.translate(Kind::Addresses(kind, addresses)).nat_flag(setter, NatFlags::PREFIX)
    }

    fn nat_by(
        mut self,
        setter: &'static str,
        kind: NatType,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let elements: Vec<_> = elements.into_iter().collect();
        let with_port = elements.first().is_some_and(|one| one.data().len() > 1);
        let lookup =
            self.anonymous(setter, fields, elements, |elements| address_data(elements).map(Some));
        let mut flags = NatFlags::empty();
        flags.set(NatFlags::PORT_SPECIFIED, with_port);
        self.translate(Kind::Map(kind, lookup)).nat_flag(setter, flags)
    }

    fn nat_flag(mut self, setter: &'static str, flag: NatFlags) -> Self {
        match self.last_mut::<Nat>() {
            Some(nat) => nat.flags |= flag,
            None => self.rejected.reject(setter, "", NO_TRANSLATION),
        }
        self
    }
}

impl Nat {
    fn encode_map(
        &self,
        encoder: &mut Encoder<'_>,
        kind: NatType,
        MapLookup { key, map }: &MapLookup,
    ) -> Result<(), String> {
        encoder.load(key)?;
        let network = map.network().or(encoder.context.network).ok_or(NO_FAMILY)?;
        let (address, slots) = match network {
            Network::Ip4 => (Type::Ipv4, 1),
            Network::Ip6 => (Type::Ipv6, 4),
            Network::Arp => return Err(NO_FAMILY.into()),
        };
        let with_port = self.flags.contains(NatFlags::PORT_SPECIFIED);
        let data = if with_port { vec![address, Type::Port] } else { vec![address] };
        let lookup = encoder.lookup(key, map, Some(DataKind::Values(data)))?;
        encoder.push(Lookup { dreg: Some(R1), ..lookup });
        let port_min = Register::at_slot(slots).filter(|_| with_port);
        let nat = wire::Nat::to_address(kind, network.family(), R1);
        encoder.push(wire::Nat { port_min, flags: self.flags, ..nat });
        Ok(())
    }

    /// Formats the new addresses. An IPv6 address before a port is in brackets.
    fn fmt_addresses(
        &self,
        (first, last): (IpAddr, IpAddr),
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        if self.flags.contains(NatFlags::PREFIX) {
            return write!(f, " prefix to {}", Interval::between(first.into(), last.into()));
        }
        let shown = |address: IpAddr| match self.ports {
            Some(_) => display::bracketed(address),
            None => address.to_string(),
        };
        write!(f, " to {}", display::Range(shown(first), shown(last)))
    }
}

impl Statement for Nat {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let flags = self.flags;
        match &self.kind {
            Kind::Masquerade => {
                let (port_min, port_max) = encoder.range(self.ports);
                encoder.push(Masq { flags, port_min, port_max });
            }
            Kind::Redirect => {
                let (port_min, port_max) = encoder.range(self.ports);
                encoder.push(Redir { port_min, port_max, flags });
            }
            &Kind::Addresses(kind, addresses) => {
                let own = addresses.map(|(first, _)| Network::of_address(first).family());
                let family = own.unwrap_or(encoder.context.family);
                let (address_min, address_max) = encoder.range(addresses);
                let (port_min, port_max) = encoder.range(self.ports);
                let nat =
                    wire::Nat { kind, family, address_min, address_max, port_min, port_max, flags };
                encoder.push(nat);
            }
            Kind::Map(kind, lookup) => return self.encode_map(encoder, *kind, lookup),
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let (kind, min, max, mut flags) = match expr {
            Expr::Masq(masq) => (Kind::Masquerade, masq.port_min, masq.port_max, masq.flags),
            Expr::Redir(redir) => (Kind::Redirect, redir.port_min, redir.port_max, redir.flags),
            Expr::Nat(nat) => {
                let kind = if let Some(lookup) = reader.mapped() {
                    Kind::Map(nat.kind, lookup.clone())
                } else {
                    let to = reader.range(nat.address_min, nat.address_max, Reader::address)?;
                    Kind::Addresses(nat.kind, to)
                };
                (kind, nat.port_min, nat.port_max, nat.flags - NatFlags::MAP_ADDRESSES)
            }
            _ => return None,
        };
        flags.set(NatFlags::PORT_SPECIFIED, min.is_some());
        let min = min.filter(|_| !matches!(kind, Kind::Map(..)));
        Some(Self { kind, ports: reader.range(min, max, Reader::port)?, flags })
    }

    fn check(&self, context: Context) -> Result<(), String> {
        if self.ports.is_some() {
            context.check_ports()?;
        }
        match &self.kind {
            Kind::Masquerade | Kind::Redirect => Ok(()),
            Kind::Addresses(_, addresses) => {
                context.check_address(addresses.map(|(first, _)| first))
            }
            Kind::Map(_, MapLookup { key, map }) => {
                let implies = |field: &Field| matches!(field.needs(), Needs::Network(_));
                if context.network.or(map.network()).is_none() && !key.iter().any(implies) {
                    return Err(NO_FAMILY.into());
                }
                context.check_network(map.network())
            }
        }
    }

    fn fields(&self) -> [&[Field]; 2] {
        match &self.kind {
            Kind::Map(_, lookup) => [&lookup.key, &[]],
            _ => [&[], &[]],
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_in(Context::new(Family::Inet), f)
    }

    fn fmt_in(&self, context: Context, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |kind| if kind == NatType::Source { "snat" } else { "dnat" };
        let family = |network| match network {
            Some(Network::Ip4) => " ip",
            Some(Network::Ip6) => " ip6",
            _ => "",
        };
        match &self.kind {
            Kind::Masquerade => f.write_str("masquerade")?,
            Kind::Redirect => f.write_str("redirect")?,
            Kind::Addresses(kind, None) => f.write_str(word(*kind))?,
            Kind::Addresses(kind, Some(addresses)) => {
                let network = Network::of_address(addresses.0);
                write!(f, "{}{}", word(*kind), family(Some(network)))?;
                self.fmt_addresses(*addresses, f)?;
            }
            Kind::Map(kind, lookup) => {
                let network = lookup.map.network().or(context.network);
                write!(f, "{}{} to {lookup}", word(*kind), family(network))?;
            }
        }
        if let Some((first, last)) = self.ports {
            let has_address = matches!(self.kind, Kind::Addresses(_, Some(_)));
            write!(f, "{}:{}", if has_address { "" } else { " to " }, display::Range(first, last))?;
        }
        let names = [
            (NatFlags::RANDOM, "random"),
            (NatFlags::FULLY_RANDOM, "fully-random"),
            (NatFlags::PERSISTENT, "persistent"),
        ];
        display::flags(f, " ", names.map(|(flag, name)| (self.flags.contains(flag), name)))
    }
}
