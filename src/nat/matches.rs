//! Which packets a rule is for, as expressions.

use ipnet::IpNet;

use crate::wire::nft::data::Value;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::bitwise::Bitwise;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};
use crate::wire::nft::expr::meta::{Meta, MetaKey};
use crate::wire::nft::expr::payload::{Payload, PayloadBase, Span};
use crate::wire::nft::register::Register::R1;

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// `ip saddr PREFIX`, in a table for both families, as `nft` writes it: whole bytes are compared as
/// they are, bits are masked first.
pub(super) fn source(prefix: IpNet) -> Option<Vec<Expr>> {
    let (protocol, offset, address) = match prefix.trunc() {
        IpNet::V4(net) => (NFPROTO_IPV4, 12, net.network().octets().to_vec()),
        IpNet::V6(net) => (NFPROTO_IPV6, 8, net.network().octets().to_vec()),
    };
    let length = prefix.prefix_len();
    let mut list = vec![
        Meta::Load { dreg: R1, key: MetaKey::NetfilterProtocol }.into(),
        equal(Value::new(&[protocol])?),
    ];
    if length == 0 {
        return Some(list);
    }
    let bytes = usize::from(length.div_ceil(8));
    let whole = length.is_multiple_of(8);
    let bytes = if whole { bytes } else { address.len() };
    let span = Span { base: PayloadBase::Network, offset, len: u32::try_from(bytes).ok()? };
    list.push(Payload::Load { dreg: R1, span }.into());
    if !whole {
        list.push(Bitwise::mask(R1, Value::new(&mask(length, bytes))?).into());
    }
    list.push(equal(Value::new(address.get(..bytes)?)?));
    Some(list)
}

/// `oifname NAME`.
pub(super) fn out_link(name: &str) -> Option<[Expr; 2]> {
    let load = Meta::Load { dreg: R1, key: MetaKey::OutputName };
    Some([load.into(), equal(Value::interface(name)?)])
}

fn equal(data: Value) -> Expr {
    Cmp { sreg: R1, op: Comparison::Equal, data }.into()
}

/// The first `length` bits of `bytes` bytes.
fn mask(length: u8, bytes: usize) -> Vec<u8> {
    let ones = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    ones.to_be_bytes().into_iter().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_the_prefixs_bits() {
        assert_eq!(mask(20, 4), [255, 255, 240, 0]);
        assert_eq!(mask(1, 4), [128, 0, 0, 0]);
        assert_eq!(mask(65, 16)[8..10], [128, 0]);
    }

    #[test]
    fn a_source_of_whole_bytes_needs_no_mask() {
        let count = |text: &str| source(text.parse().unwrap()).unwrap().len();
        assert_eq!(count("10.0.0.0/24"), 4);
        assert_eq!(count("10.0.0.0/20"), 5);
        assert_eq!(count("fd00::/64"), 4);
        assert_eq!(count("0.0.0.0/0"), 2);
    }
}
