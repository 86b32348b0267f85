//! What rules do, from expressions.

use super::Decoder;
use crate::nft::model::device::Device;
use crate::nft::model::field::Field;
use crate::nft::model::interval::decode_verdict;
use crate::nft::model::limit::Limit;
use crate::nft::model::log::Log;
use crate::nft::model::object::ObjectKind;
use crate::nft::model::part::{Dynamic, Nat, Own, Part};
use crate::nft::model::queue::Queue;
use crate::nft::model::reject::Reject;
use crate::nft::model::synproxy::Synproxy;
use crate::wire::nft::data::{Data, Value};
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::connlimit::ConnlimitFlags;
use crate::wire::nft::expr::ct::{Ct, CtKey};
use crate::wire::nft::expr::dynset::Dynset;
use crate::wire::nft::expr::exthdr::{Exthdr, ExthdrSpan};
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::nat as wire_nat;
use crate::wire::nft::expr::nat::NatFlags;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::expr::quota::QuotaFlags;
use crate::wire::nft::expr::rt::{Rt, RtKey};
use crate::wire::nft::expr::stateful::Stateful;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::R1;

impl Decoder<'_> {
    pub(super) fn statement<'e>(&self, list: &'e [Expr]) -> Option<(Part, &'e [Expr])> {
        let (first, rest) = list.split_first()?;
        let one = |part| Some((part, rest));
        match first {
            Expr::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                one(Part::Verdict(decode_verdict(verdict)?))
            }
            Expr::Immediate(_) => with_values(list),
            Expr::Counter(_) => one(Part::Counter),
            Expr::Limit(limit) => one(Part::Limit(Limit::decode(*limit))),
            Expr::Quota(quota) => {
                let over = quota.flags.contains(QuotaFlags::INVERTED);
                one(Part::Quota { bytes: quota.bytes, over })
            }
            Expr::Connlimit(limit) => {
                let over = limit.flags.contains(ConnlimitFlags::INVERTED);
                one(Part::Connections { count: limit.count, over })
            }
            Expr::Objref(Objref::Named { kind, name }) => {
                one(Part::Object(ObjectKind::from_wire(*kind)?, name.clone()))
            }
            Expr::Log(log) => one(Part::Log(Log::decode(log)?)),
            Expr::Reject(reject) => one(Reject::decode(self.context, *reject)?),
            Expr::Masq(masq) if masq.port_min.is_none() => {
                one(Part::Masquerade { ports: None, flags: behaviour(masq.flags) })
            }
            Expr::Redir(redir) if redir.port_min.is_none() => {
                one(Part::Redirect { ports: None, flags: behaviour(redir.flags) })
            }
            Expr::Notrack(_) => one(Part::Notrack),
            Expr::FlowOffload(flow) => one(Part::FlowAdd(flow.flowtable.clone())),
            Expr::Queue(queue) => one(Part::Queue(Queue::decode(*queue)?)),
            Expr::Synproxy(offer) => one(Part::Synproxy(Synproxy::decode(*offer))),
            Expr::Meta(Meta::Load { dreg: R1, key: MetaKey::Mark }) => match rest {
                [Expr::Ct(Ct::Set { sreg: R1, key: CtKey::Mark, direction: None }), rest @ ..] => {
                    Some((Part::SaveMark, rest))
                }
                _ => None,
            },
            Expr::Ct(Ct::Load { dreg: R1, key: CtKey::Mark, direction: None }) => match rest {
                [Expr::Meta(Meta::Set { sreg: R1, key: MetaKey::Mark }), rest @ ..] => {
                    Some((Part::RestoreMark, rest))
                }
                _ => None,
            },
            Expr::Rt(Rt { dreg: R1, key: RtKey::TcpMss }) => match rest {
                [Expr::Byteorder(_), Expr::Exthdr(Exthdr::Write { span, .. }), rest @ ..]
                    if *span == ExthdrSpan::TCP_MSS =>
                {
                    Some((Part::ClampMss(None), rest))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

pub(super) fn dynamic(fields: Vec<Field>, dynset: &Dynset) -> Option<Dynamic> {
    let own = match dynset.expressions.as_slice() {
        [] => None,
        [Stateful::Counter(_)] => Some(Own::Counter),
        [Stateful::Limit(limit)] => Some(Own::Limit(Limit::decode(*limit))),
        [Stateful::Connlimit(limit)] => Some(Own::Connections {
            count: limit.count,
            over: limit.flags.contains(ConnlimitFlags::INVERTED),
        }),
        _ => return None,
    };
    let is_plain = !fields.is_empty() && dynset.data.is_none();
    let (op, set, timeout) = (dynset.op, dynset.set.clone(), dynset.timeout);
    is_plain.then(|| Dynamic { op, fields, set, data: Vec::new(), timeout, own })
}

/// What takes its values from registers: address translation, marks, segment sizes.
fn with_values(list: &[Expr]) -> Option<(Part, &[Expr])> {
    let mut values: Vec<(Register, Value)> = Vec::new();
    let mut rest = list;
    while let [Expr::Immediate(Immediate { dreg, data: Data::Value(value) }), after @ ..] = rest {
        values.push((*dreg, *value));
        rest = after;
    }
    let value = |register: Option<Register>| {
        let register = register?;
        values.iter().find(|(dreg, _)| *dreg == register).map(|(_, value)| *value)
    };
    let port = |register| value(register)?.as_slice().try_into().ok().map(u16::from_be_bytes);
    let ports = |min, max: Option<_>| Some((port(min)?, port(max.or(min))?));
    let host = |register| value(Some(register))?.as_slice().try_into().ok().map(u32::from_ne_bytes);
    let address_in = |register| address(value(Some(register))?.as_slice());
    let (last, rest) = rest.split_first()?;
    let part = match last {
        Expr::Masq(masq) => Part::Masquerade {
            ports: Some(ports(masq.port_min, masq.port_max)?),
            flags: behaviour(masq.flags),
        },
        Expr::Redir(redir) => Part::Redirect {
            ports: Some(ports(redir.port_min, redir.port_max)?),
            flags: behaviour(redir.flags),
        },
        Expr::Nat(nat) => {
            let address = |register| {
                let bytes = value(register)?;
                address(bytes.as_slice())
            };
            let addresses = match nat.address_min {
                None => None,
                Some(_) => {
                    Some((address(nat.address_min)?, address(nat.address_max.or(nat.address_min))?))
                }
            };
            Part::Nat(Nat {
                is_source: nat.kind == wire_nat::NatType::Source,
                addresses,
                ports: match nat.port_min {
                    None => None,
                    min => Some(ports(min, nat.port_max)?),
                },
                flags: behaviour(nat.flags),
            })
        }
        Expr::Dup(dup) => Part::Dup {
            address: optional(dup.address, address_in)?,
            device: optional(dup.device, |register| host(register).map(Device::Index))?,
        },
        Expr::Fwd(fwd) => Part::Fwd {
            address: optional(fwd.address, address_in)?,
            device: Device::Index(host(fwd.device)?),
        },
        Expr::Tproxy(tproxy) => Part::Tproxy {
            address: optional(tproxy.address, address_in)?,
            port: optional(tproxy.port, |register| port(Some(register)))?,
        },
        Expr::Meta(Meta::Set { sreg, key: MetaKey::Mark }) => Part::SetMark(host(*sreg)?),
        Expr::Ct(Ct::Set { sreg, key: CtKey::Mark, direction: None }) => {
            Part::SetCtMark(host(*sreg)?)
        }
        Expr::Exthdr(Exthdr::Write { sreg, span, .. }) if *span == ExthdrSpan::TCP_MSS => {
            Part::ClampMss(Some(port(Some(*sreg))?))
        }
        _ => return None,
    };
    Some((part, rest))
}

/// Nothing where no register is named; nothing at all where it is and can't be read.
#[allow(clippy::option_option)] // the outer one is for `?`
fn optional<T>(
    register: Option<Register>,
    read: impl FnOnce(Register) -> Option<T>,
) -> Option<Option<T>> {
    register.map_or(Some(None), |register| read(register).map(Some))
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(bytes).ok().map(Into::into),
        _ => None,
    }
}

/// What was asked for, without what follows from the registers.
pub(super) fn behaviour(flags: NatFlags) -> NatFlags {
    flags - NatFlags::MAP_ADDRESSES - NatFlags::PORT_SPECIFIED
}
