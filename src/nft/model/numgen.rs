//! Numbers computed for each packet: counters, random numbers, hashes.

use std::fmt;

use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::hash as wire_hash;
use crate::wire::nft::expr::hash::HashType;
use crate::wire::nft::expr::numgen as wire;
use crate::wire::nft::expr::numgen::NumgenType;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::{R1, R2};

/// A number computed for each packet, from 0 to the modulus minus 1: counted up, random, or a hash.
///
/// ```
/// use netloom::nft::{Element, Field, Numgen, Rule};
/// use std::net::Ipv4Addr;
///
/// // Each client always gets the same of two servers.
/// let by_client = Numgen::jhash([Field::Ip4Source], 2).into();
/// let server = |number: u8, host| Element::new(number).value(Ipv4Addr::new(10, 0, 0, host));
/// let rule = Rule::new().tcp().dport(80).dnat_by([by_client], [server(0, 2), server(1, 3)]);
/// assert!(rule.to_string().contains("jhash ip saddr mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }"));
///
/// // Matches one packet of ten.
/// let sampled = Rule::new().is(Numgen::random(10).into(), 0).counter();
/// assert_eq!(sampled.to_string(), "numgen random mod 10 0 counter");
/// ```
///
/// A `Numgen` can be used as a [`Field`](crate::nft::Field), but not as one of several fields of a
/// key. Source: nft(8), "NUMGEN EXPRESSION", "HASH EXPRESSIONS".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a number does nothing until a rule uses it"]
pub struct Numgen {
    kind: Kind,
    modulus: u32,
    offset: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Incremental,
    Random,
    Jhash { fields: Places, seed: Option<u32> },
    Symhash,
}

const MOST: usize = 5;
const UNKNOWN: u8 = u8::MAX;

/// The hashed fields, as positions in `Field::ALL`. A `Field` can be a `Numgen`, so a `Numgen`
/// can't contain a `Field`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Places {
    places: [u8; MOST],
    count: usize,
}

impl Numgen {
    /// Returns numbers that count up: 0, 1, 2 and so on below the modulus, then from 0 again.
    #[doc(alias("numgen inc", "NFT_NG_INCREMENTAL"))]
    pub fn incremental(modulus: u32) -> Self {
        Self { kind: Kind::Incremental, modulus, offset: 0 }
    }

    /// Returns random numbers, evenly distributed.
    #[doc(alias("numgen random", "NFT_NG_RANDOM"))]
    pub fn random(modulus: u32) -> Self {
        Self { kind: Kind::Random, modulus, offset: 0 }
    }

    /// Returns a hash of addresses and ports, the same for both directions.
    #[doc(alias = "NFT_HASH_SYM")]
    pub fn symhash(modulus: u32) -> Self {
        Self { kind: Kind::Symhash, modulus, offset: 0 }
    }

    /// Returns a hash of the fields at these positions in `Field::ALL`.
    pub(crate) fn of_places(places: impl Iterator<Item = Option<usize>>, modulus: u32) -> Self {
        let mut fields = Places { places: [UNKNOWN; MOST], count: 0 };
        for place in places {
            if let Some(free) = fields.places.get_mut(fields.count) {
                *free = place.and_then(|place| u8::try_from(place).ok()).unwrap_or(UNKNOWN);
            }
            fields.count += 1;
        }
        Self { kind: Kind::Jhash { fields, seed: None }, modulus, offset: 0 }
    }

    /// Returns the positions of the hashed fields in `Field::ALL`.
    pub(crate) fn places(&self) -> &[u8] {
        match &self.kind {
            Kind::Jhash { fields, .. } => &fields.places[..fields.count.min(MOST)],
            _ => &[],
        }
    }

    /// Adds an offset to each number. Default: 0.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// Sets the seed of a [`jhash`](Self::jhash). Default: the kernel chooses a random seed.
    pub fn seed(mut self, number: u32) -> Self {
        if let Kind::Jhash { seed, .. } = &mut self.kind {
            *seed = Some(number);
        }
        self
    }

    pub(crate) fn check(self) -> Result<(), String> {
        match self.kind {
            _ if self.modulus == 0 => Err("the modulus is 0; it is 1 or more".into()),
            _ if self.offset.checked_add(self.modulus - 1).is_none() => {
                Err("the largest number, offset + modulus - 1, exceeds 32 bits".into())
            }
            Kind::Jhash { fields: Places { count: 0, .. }, .. } => {
                Err("the hash has no fields".into())
            }
            Kind::Jhash { fields, .. } if fields.count > MOST => {
                Err(format!("the hash has more than {MOST} fields"))
            }
            Kind::Jhash { .. } if self.places().contains(&UNKNOWN) => {
                Err("the hash can't include a computed number".into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the expression that computes the number. The fields to hash must be in the registers
    /// from 2 on, with `hashed_len` bytes in all.
    pub(crate) fn load(self, dreg: Register, hashed_len: u32) -> Expr {
        let Self { kind, modulus, offset } = self;
        let numgen = |kind| wire::Numgen { dreg, modulus, kind, offset }.into();
        let hash = |kind, sreg, len, seed| {
            wire_hash::Hash { sreg, dreg, len, modulus, seed, offset, kind }.into()
        };
        match kind {
            Kind::Incremental => numgen(NumgenType::Incremental),
            Kind::Random => numgen(NumgenType::Random),
            Kind::Symhash => hash(HashType::Symmetric, None, None, None),
            Kind::Jhash { seed, .. } => hash(HashType::Jenkins, Some(R2), Some(hashed_len), seed),
        }
    }

    /// Decodes a number. For a hash, `jhash` gets the modulus and returns the hash of the loaded
    /// fields.
    pub(crate) fn decode(expr: &Expr, jhash: impl FnOnce(u32) -> Self) -> Option<Self> {
        match *expr {
            Expr::Numgen(wire::Numgen { dreg: R1, kind, modulus, offset }) => {
                let kind = match kind {
                    NumgenType::Incremental => Kind::Incremental,
                    NumgenType::Random => Kind::Random,
                };
                Some(Self { kind, modulus, offset })
            }
            Expr::Hash(wire_hash::Hash { dreg: R1, modulus, offset, kind, seed, .. }) => {
                Some(match (kind, seed) {
                    (HashType::Symmetric, _) => Self::symhash(modulus).offset(offset),
                    (HashType::Jenkins, None) => jhash(modulus).offset(offset),
                    (HashType::Jenkins, Some(seed)) => jhash(modulus).offset(offset).seed(seed),
                })
            }
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self.kind {
            Kind::Incremental => "numgen inc",
            Kind::Random => "numgen random",
            Kind::Symhash => "symhash",
            Kind::Jhash { .. } => "jhash ",
        }
    }

    pub(crate) fn fmt_modulus(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " mod {}", self.modulus)?;
        if let Kind::Jhash { seed: Some(seed), .. } = self.kind {
            write!(f, " seed 0x{seed:x}")?;
        }
        if self.offset == 0 { Ok(()) } else { write!(f, " offset {}", self.offset) }
    }
}
