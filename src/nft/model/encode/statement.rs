//! What rules do, as expressions.

use super::{Encoder, NO_FAMILY};
use crate::nft::model::field::{Field, Network};
use crate::nft::model::interval::{DataKind, encode_verdict};
use crate::nft::model::part::{Dynamic, Nat, Own, Part};
use crate::nft::model::types::Type;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::byteorder::{Byteorder, ByteorderOp};
use crate::wire::nft::expr::connlimit::{Connlimit, ConnlimitFlags};
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::exthdr::{Exthdr, ExthdrSpan};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::lookup::Lookup;
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::expr::nat as wire_nat;
use crate::wire::nft::expr::nat::NatFlags;
use crate::wire::nft::expr::notrack::Notrack;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::expr::redir::Redir;
use crate::wire::nft::expr::rt::{Rt, RtKey};
use crate::wire::nft::expr::stateful::Stateful;
use crate::wire::nft::message as wire;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::{R1, R2, R3, R4};

impl Encoder<'_> {
    pub(super) fn part(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::Network(network) => self.network(*network),
            Part::Match(one) => return self.matching(one),
            Part::Verdict(verdict) => self.push(Immediate::verdict(encode_verdict(verdict))),
            Part::VerdictMap { fields, map } => {
                let register = self.load(fields)?;
                let lookup = self.lookup(fields, map, Some(DataKind::Verdict))?;
                self.push(Lookup { sreg: register, dreg: Some(Register::Verdict), ..lookup });
            }
            Part::Counter => self.push(Counter::default()),
            Part::Limit(limit) => self.push(limit.encode()),
            Part::Quota { bytes, over } => {
                let flags = if *over { QuotaFlags::INVERTED } else { QuotaFlags::empty() };
                self.push(Quota { bytes: *bytes, consumed: 0, flags });
            }
            Part::Connections { count, over } => self.push(connections(*count, *over)),
            Part::Object(kind, name) => {
                self.push(Objref::Named { kind: kind.wire(), name: name.clone() });
            }
            Part::ObjectMap { kind, fields, map } => {
                self.load(fields)?;
                let lookup = self.lookup(fields, map, Some(DataKind::Object(*kind)))?;
                let Lookup { sreg, set: map, set_id: map_id, .. } = lookup;
                self.push(Objref::Map { sreg, map, map_id });
            }
            Part::Dynamic(Dynamic { op, fields, set, data, timeout, own }) => {
                let key = self.load(fields)?;
                let data =
                    if data.is_empty() { None } else { Some(self.load_from(after(fields), data)?) };
                let own = own.map(|own| match own {
                    Own::Counter => Stateful::from(Counter::default()),
                    Own::Limit(limit) => limit.encode().into(),
                    Own::Connections { count, over } => connections(count, over).into(),
                });
                let expressions = own.into_iter().collect();
                let timeout = *timeout;
                self.push(Dynset { data, timeout, expressions, ..Dynset::new(*op, set, key) });
            }
            Part::Log(log) => self.push(log.encode()),
            Part::Reject(reject) => self.push(reject.encode(self.context.network)),
            Part::RejectBoth(reject) => self.push(reject.encode(None)),
            Part::Masquerade { ports, flags } => {
                let (port_min, port_max) = self.ports(*ports, [R1, R2]);
                let flags = *flags | specified(port_min);
                self.push(Masq { flags, port_min, port_max });
            }
            Part::Redirect { ports, flags } => {
                let (port_min, port_max) = self.ports(*ports, [R1, R2]);
                let flags = *flags | specified(port_min);
                self.push(Redir { port_min, port_max, flags });
            }
            Part::Nat(nat) => self.nat(nat),
            Part::NatMap { is_source, fields, map, with_port, flags } => {
                self.load(fields)?;
                let (family, kind, slots) = match map.network().or(self.context.network) {
                    Some(Network::Ip4) => (wire::Family::Ip, Type::Ipv4, 1),
                    Some(Network::Ip6) => (wire::Family::Ip6, Type::Ipv6, 4),
                    _ => return Err(NO_FAMILY.into()),
                };
                let data = if *with_port { vec![kind, Type::Port] } else { vec![kind] };
                let lookup = self.lookup(fields, map, Some(DataKind::Values(data)))?;
                self.push(Lookup { dreg: Some(R1), ..lookup });
                let port_min = if *with_port { Register::at_slot(slots) } else { None };
                let kind = if *is_source {
                    wire_nat::NatType::Source
                } else {
                    wire_nat::NatType::Destination
                };
                let flags = *flags | specified(port_min);
                let nat = wire_nat::Nat::to_address(kind, family, R1);
                self.push(wire_nat::Nat { port_min, flags, ..nat });
            }
            Part::MarkFrom { .. }
            | Part::SetMark(_)
            | Part::SetCtMark(_)
            | Part::SaveMark
            | Part::RestoreMark => return self.marking(part),
            Part::ClampMss(size) => {
                if let Some(size) = size {
                    self.push(Immediate::value(R1, Value::from(*size)));
                } else {
                    self.push(Rt { dreg: R1, key: RtKey::TcpMss });
                    let op = ByteorderOp::ToNetwork;
                    self.push(Byteorder { sreg: R1, dreg: R1, op, len: 2, size: 2 });
                }
                self.push(Exthdr::write(R1, ExthdrSpan::TCP_MSS));
            }
            Part::Notrack => self.push(Notrack),
            Part::FlowAdd(_)
            | Part::Queue(_)
            | Part::Dup { .. }
            | Part::Fwd { .. }
            | Part::Tproxy { .. }
            | Part::Synproxy(_) => return self.diverting(part),
            Part::Unknown(list) => self.out.expressions.extend_from_slice(list),
        }
        Ok(())
    }

    /// Ports into registers; the second only for a range.
    fn ports(
        &mut self,
        ports: Option<(u16, u16)>,
        registers: [Register; 2],
    ) -> (Option<Register>, Option<Register>) {
        let [low, high] = registers;
        let Some((first, last)) = ports else { return (None, None) };
        self.push(Immediate::value(low, first));
        if first == last {
            return (Some(low), None);
        }
        self.push(Immediate::value(high, last));
        (Some(low), Some(high))
    }

    fn nat(&mut self, nat: &Nat) {
        use wire_nat::NatType;
        let kind = if nat.is_source { NatType::Source } else { NatType::Destination };
        let mut registers = [R1, R2, R3, R4].into_iter();
        let mut next = || registers.next().unwrap_or(R4);
        let mut family = self.context.family.wire();
        let (mut address_min, mut address_max) = (None, None);
        if let Some((first, last)) = nat.addresses {
            family = if first.is_ipv4() { wire::Family::Ip } else { wire::Family::Ip6 };
            let register = next();
            address_min = Some(register);
            self.push(Immediate::value(register, first));
            if first != last {
                let register = next();
                address_max = Some(register);
                self.push(Immediate::value(register, last));
            }
        }
        let (port_min, port_max) = self.ports(nat.ports, [next(), next()]);
        let flags = nat.flags | specified(port_min);
        self.push(wire_nat::Nat {
            kind,
            family,
            address_min,
            address_max,
            port_min,
            port_max,
            flags,
        });
    }
}

/// The slot of the next whole register after these fields.
fn after(fields: &[Field]) -> u32 {
    let slots: u32 = fields.iter().map(|field| field.value_type().len().div_ceil(4)).sum();
    slots.next_multiple_of(4)
}

fn connections(count: u32, over: bool) -> Connlimit {
    let flags = if over { ConnlimitFlags::INVERTED } else { ConnlimitFlags::empty() };
    Connlimit { count, flags }
}

fn specified(port: Option<Register>) -> NatFlags {
    if port.is_some() { NatFlags::PORT_SPECIFIED } else { NatFlags::empty() }
}
