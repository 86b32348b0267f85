//! `counter`: counts packets and bytes; also a named object, and part of a base chain.
//!
//! ```text
//! NFTA_COUNTER_BYTES    1  be64
//! NFTA_COUNTER_PACKETS  2  be64
//! NFTA_COUNTER_PAD      3  padding
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_counter_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Field, up_to};

const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NFTA_COUNTER_PAD: u16 = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Codec for Counter {
    const KNOWN: u64 = up_to(NFTA_COUNTER_PAD);

    fn encode(&self, out: &mut Writer<'_>) {
        self.bytes.write(out, NFTA_COUNTER_BYTES);
        self.packets.write(out, NFTA_COUNTER_PACKETS);
    }

    fn encode_expression(&self, out: &mut Writer<'_>) {
        if *self != Self::default() {
            self.encode(out);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let value = |kind| attributes.strict::<Option<u64>>(kind).map(Option::unwrap_or_default);
        Some(Self { packets: value(NFTA_COUNTER_PACKETS)?, bytes: value(NFTA_COUNTER_BYTES)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::{also_means, expression};

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c counter'
        expression(Counter::default(), "14000180 0c000100 636f756e 74657200 04000280");
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c counter packets 5 bytes 6'
        expression(
            Counter { packets: 5, bytes: 6 },
            "2c000180 0c000100 636f756e 74657200 1c000280
             0c000100 00000000 00000006 0c000200 00000000 00000005",
        );
    }

    #[test]
    fn zeros_may_be_said_or_not() {
        also_means(
            "2c000180 0c000100 636f756e 74657200 1c000280
             0c000100 00000000 00000000 0c000200 00000000 00000000",
            Counter::default(),
        );
    }
}
