//! `counter`: counts packets and bytes. As a named object too, and for a base chain.
//!
//! ```text
//! NFTA_COUNTER_BYTES    1  be64
//! NFTA_COUNTER_PACKETS  2  be64
//! NFTA_COUNTER_PAD      3  padding
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_counter_attributes`.

use crate::wire::attribute::{Attribute, Attributes, Writer};
use crate::wire::nft::codec::{Codec, Field, Fields};

const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NFTA_COUNTER_PAD: u16 = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Counter {
    /// With both values, zero or not, as an object and a chain want them.
    pub(crate) fn encode_values(&self, out: &mut Writer<'_>) {
        out.field(NFTA_COUNTER_BYTES, &self.bytes);
        out.field(NFTA_COUNTER_PACKETS, &self.packets);
    }
}

impl Codec for Counter {
    fn encode(&self, out: &mut Writer<'_>) {
        if *self != Self::default() {
            self.encode_values(out);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_COUNTER_PAD)?;
        Some(Self {
            packets: fields.or_default(NFTA_COUNTER_PACKETS)?,
            bytes: fields.or_default(NFTA_COUNTER_BYTES)?,
        })
    }
}

/// As a field of a chain: a nest.
impl Field for Counter {
    fn read(attribute: Attribute<'_>) -> Option<Self> {
        Self::decode(attribute.nested())
    }

    fn write(&self, out: &mut Writer<'_>, kind: u16) {
        out.nested(kind, |counter| self.encode_values(counter));
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
