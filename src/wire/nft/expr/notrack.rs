//! `notrack`: exempts the packet from connection tracking. It has no attributes.
//!
//! Source: `net/netfilter/nft_ct.c`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::Codec;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notrack;

impl Codec for Notrack {
    const KNOWN: u64 = 0;

    fn encode(&self, _: &mut Writer<'_>) {}

    fn decode(_: Attributes<'_>) -> Option<Self> {
        Some(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c notrack'
        expression(Notrack, "10000180 0c000100 6e6f7472 61636b00");
        also_means("14000180 0c000100 6e6f7472 61636b00 04000280", Notrack);
    }
}
