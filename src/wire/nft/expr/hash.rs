//! `hash`: a number from the bytes in a register, or from the packet's flow.
//!
//! ```text
//! NFTA_HASH_SREG     1  be32   of Jenkins' hash
//! NFTA_HASH_DREG     2  be32
//! NFTA_HASH_LEN      3  be32   of Jenkins' hash: bytes
//! NFTA_HASH_MODULUS  4  be32
//! NFTA_HASH_SEED     5  be32   of Jenkins' hash; the kernel chooses one when absent
//! NFTA_HASH_OFFSET   6  be32   added to each
//! NFTA_HASH_TYPE     7  be32   Jenkins 0, symmetric 1
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_hash_attributes`.

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields};
use crate::wire::nft::register::Register;

const NFTA_HASH_SREG: u16 = 1;
const NFTA_HASH_DREG: u16 = 2;
const NFTA_HASH_LEN: u16 = 3;
const NFTA_HASH_MODULUS: u16 = 4;
const NFTA_HASH_SEED: u16 = 5;
const NFTA_HASH_OFFSET: u16 = 6;
const NFTA_HASH_TYPE: u16 = 7;

const NFT_HASH_JENKINS: u32 = 0;
const NFT_HASH_SYM: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) dreg: Register,
    pub(crate) modulus: u32,
    pub(crate) offset: u32,
    pub(crate) of: HashOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "nft_hash_types")]
pub(crate) enum HashOf {
    /// Jenkins' hash.
    Register { sreg: Register, len: u32, seed: Option<u32> },
    /// The same for both directions.
    Flow,
}

impl Codec for Hash {
    fn encode(&self, out: &mut Writer<'_>) {
        let kind = match self.of {
            HashOf::Register { sreg, len, seed } => {
                out.field(NFTA_HASH_SREG, &sreg);
                out.field(NFTA_HASH_DREG, &self.dreg);
                out.field(NFTA_HASH_LEN, &len);
                out.field(NFTA_HASH_MODULUS, &self.modulus);
                out.optional(NFTA_HASH_SEED, seed.as_ref());
                NFT_HASH_JENKINS
            }
            HashOf::Flow => {
                out.field(NFTA_HASH_DREG, &self.dreg);
                out.field(NFTA_HASH_MODULUS, &self.modulus);
                NFT_HASH_SYM
            }
        };
        out.field(NFTA_HASH_OFFSET, &self.offset);
        out.field(NFTA_HASH_TYPE, &kind);
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_HASH_TYPE)?;
        let (sreg, len) = (fields.optional(NFTA_HASH_SREG)?, fields.optional(NFTA_HASH_LEN)?);
        let seed = fields.optional(NFTA_HASH_SEED)?;
        let of = match (fields.or_default(NFTA_HASH_TYPE)?, sreg, len) {
            (NFT_HASH_JENKINS, Some(sreg), Some(len)) => HashOf::Register { sreg, len, seed },
            (NFT_HASH_SYM, None, None) if seed.is_none() => HashOf::Flow,
            _ => return None,
        };
        Some(Self {
            dreg: fields.required(NFTA_HASH_DREG)?,
            modulus: fields.required(NFTA_HASH_MODULUS)?,
            offset: fields.or_default(NFTA_HASH_OFFSET)?,
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::register::Register::{R1, R2};
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c meta mark set
        //   jhash ip saddr . ip daddr mod 7 seed 0xdeadbeef offset 3'
        let of = HashOf::Register { sreg: R2, len: 8, seed: Some(0xdead_beef) };
        expression(
            Hash { dreg: R1, modulus: 7, offset: 3, of },
            "4c000180 09000100 68617368 00000000 3c000280 08000100 00000002 08000200 00000001
             08000300 00000008 08000400 00000007 08000500 deadbeef 08000600 00000003
             08000700 00000000",
        );
        // The same with: jhash ip saddr mod 7
        let of = HashOf::Register { sreg: R2, len: 4, seed: None };
        expression(
            Hash { dreg: R1, modulus: 7, offset: 0, of },
            "44000180 09000100 68617368 00000000 34000280 08000100 00000002 08000200 00000001
             08000300 00000004 08000400 00000007 08000600 00000000 08000700 00000000",
        );
        // The same with: symhash mod 2 offset 5
        expression(
            Hash { dreg: R1, modulus: 2, offset: 5, of: HashOf::Flow },
            "34000180 09000100 68617368 00000000 24000280 08000200 00000001
             08000400 00000002 08000600 00000005 08000700 00000001",
        );
    }
}
