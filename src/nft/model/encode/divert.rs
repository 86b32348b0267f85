//! Where else rules send packets, as expressions.

use std::net::IpAddr;

use super::Encoder;
use crate::nft::model::device::Device;
use crate::nft::model::field::Network;
use crate::nft::model::part::Part;
use crate::wire::nft::data::Value;
use crate::wire::nft::expr::dup::Dup;
use crate::wire::nft::expr::flow_offload::FlowOffload;
use crate::wire::nft::expr::fwd::Fwd;
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::tproxy::Tproxy;
use crate::wire::nft::message as wire;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::{R1, R2};

impl Encoder<'_> {
    /// One of those parts; the others are nothing here.
    pub(super) fn diverting(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::FlowAdd(flowtable) => self.push(FlowOffload { flowtable: flowtable.clone() }),
            Part::Queue(queue) => self.push(queue.encode()),
            Part::Dup { address, device } => {
                let mut free = [R1, R2].into_iter();
                let address = address.map(|address| self.value(free.next().unwrap_or(R1), address));
                let device = match device {
                    None => None,
                    Some(device) => Some(self.value(free.next().unwrap_or(R2), index(device)?)),
                };
                self.push(Dup { address, device });
            }
            Part::Fwd { address, device } => {
                self.push(Immediate::value(R1, index(device)?));
                let family = address.map(family_of);
                let address = address.map(|address| self.value(R2, address));
                self.push(Fwd { device: R1, address, family });
            }
            Part::Tproxy { address, port } => {
                let mut free = [R1, R2].into_iter();
                let family = address.map_or_else(|| self.network_family(), family_of);
                let address = address.map(|address| self.value(free.next().unwrap_or(R1), address));
                let port = port.map(|port| self.value(free.next().unwrap_or(R2), port));
                self.push(Tproxy { family, address, port });
            }
            Part::Synproxy(offer) => self.push(offer.encode()),
            _ => {}
        }
        Ok(())
    }

    /// The family that is known here, if one is.
    fn network_family(&self) -> wire::Family {
        match self.context.network {
            Some(Network::Ip4) => wire::Family::Ip,
            Some(Network::Ip6) => wire::Family::Ip6,
            _ => wire::Family::Unspecified,
        }
    }

    /// A value into a register.
    fn value(&mut self, register: Register, value: impl Into<Value>) -> Register {
        self.push(Immediate::value(register, value));
        register
    }
}

fn family_of(address: IpAddr) -> wire::Family {
    if address.is_ipv4() { wire::Family::Ip } else { wire::Family::Ip6 }
}

pub(super) fn index(device: &Device) -> Result<Value, String> {
    match device {
        Device::Index(index) => Ok(Value::host_u32(*index)),
        Device::Link(link) => Err(format!("the index of {link} is not known yet")),
    }
}
