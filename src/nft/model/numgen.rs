//! Numbers by which packets are spread.

use std::fmt;

use super::element::join;
use super::field::Field;
use super::interval::total;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::hash as wire_hash;
use crate::wire::nft::expr::hash::HashType;
use crate::wire::nft::expr::numgen as wire;
use crate::wire::nft::expr::numgen::NumgenType;
use crate::wire::nft::register::Register;
use crate::wire::nft::register::Register::{R1, R2};

/// A number for each packet, from 0 on and below a modulus: in turn, at random, or by what is in it.
///
/// ```
/// use netloom::nft::{Element, Field, Numgen, Rule};
/// use std::net::Ipv4Addr;
///
/// // Clients stay with one of two servers.
/// let by_client = Numgen::jhash([Field::Ip4Source], 2).into();
/// let server = |number: u8, host| Element::new(number).value(Ipv4Addr::new(10, 0, 0, host));
/// let rule = Rule::new().tcp().dport(80).dnat_by([by_client], [server(0, 2), server(1, 3)]);
/// assert!(rule.to_string().contains("jhash ip saddr mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }"));
///
/// // One of ten.
/// let sampled = Rule::new().is(Numgen::random(10).into(), 0).counter();
/// assert_eq!(sampled.to_string(), "numgen random mod 10 0 counter");
/// ```
///
/// It is a [`Field`] like the others, but a key of its own. Source: nft(8), "NUMGEN EXPRESSION", "HASH
/// EXPRESSIONS".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "it is a key, or what a mark is set to"]
pub struct Numgen {
    of: Of,
    modulus: u32,
    offset: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Of {
    Incremental,
    Random,
    Jhash { fields: Hashed, seed: Option<u32> },
    Symhash,
}

const MOST: usize = 5;

/// Fields by their places among all, so that a field that holds some is no larger than they.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hashed {
    places: [u8; MOST],
    count: usize,
}

impl Hashed {
    fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut hashed = Self { places: [u8::MAX; MOST], count: 0 };
        for field in fields {
            let place = Field::ALL.iter().position(|one| *one == field);
            let place = place.and_then(|place| u8::try_from(place).ok());
            if let Some(free) = hashed.places.get_mut(hashed.count) {
                *free = place.unwrap_or(u8::MAX);
            }
            hashed.count += 1;
        }
        hashed
    }

    fn fields(self) -> Vec<Field> {
        let field = |place: &u8| Field::ALL.get(usize::from(*place)).copied();
        self.places.iter().take(self.count).filter_map(field).collect()
    }
}

impl Numgen {
    /// In turn: 0, 1, 2 and so on below the modulus, then from 0 again.
    #[doc(alias("numgen inc", "NFT_NG_INCREMENTAL"))]
    pub fn incremental(modulus: u32) -> Self {
        Self { of: Of::Incremental, modulus, offset: 0 }
    }

    /// At random, each as often.
    #[doc(alias("numgen random", "NFT_NG_RANDOM"))]
    pub fn random(modulus: u32) -> Self {
        Self { of: Of::Random, modulus, offset: 0 }
    }

    /// By the values of these fields, five at most: the same number for the same values.
    #[doc(alias = "NFT_HASH_JENKINS")]
    pub fn jhash(fields: impl IntoIterator<Item = Field>, modulus: u32) -> Self {
        let of = Of::Jhash { fields: Hashed::new(fields), seed: None };
        Self { of, modulus, offset: 0 }
    }

    /// By the addresses and ports, the same number for both directions.
    #[doc(alias = "NFT_HASH_SYM")]
    pub fn symhash(modulus: u32) -> Self {
        Self { of: Of::Symhash, modulus, offset: 0 }
    }

    /// With so much added. Default: nothing.
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// Of [`jhash`](Self::jhash): what the hash begins with. Default: the kernel chooses at random.
    pub fn seed(mut self, number: u32) -> Self {
        if let Of::Jhash { seed, .. } = &mut self.of {
            *seed = Some(number);
        }
        self
    }

    /// The fields it is made from.
    pub(crate) fn fields(self) -> Vec<Field> {
        match self.of {
            Of::Jhash { fields, .. } => fields.fields(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn check(self) -> Result<(), String> {
        match self.of {
            _ if self.modulus == 0 => Err("a number below 0: the modulus is 1 or more".into()),
            _ if self.offset.checked_add(self.modulus - 1).is_none() => {
                Err("with its offset a number is over 32 bits".into())
            }
            Of::Jhash { fields: Hashed { count: 0, .. }, .. } => Err("a hash of no fields".into()),
            Of::Jhash { fields, .. } if fields.count > MOST => {
                Err(format!("a hash of more than {MOST} fields"))
            }
            Of::Jhash { fields, .. } if fields.fields().len() < fields.count => {
                Err("a hash of another number".into())
            }
            _ => Ok(()),
        }
    }

    /// What gives the number; the fields of a hash are in the second register then.
    pub(crate) fn load(self, dreg: Register) -> Expr {
        let Self { of, modulus, offset } = self;
        let numgen = |kind| wire::Numgen { dreg, kind, modulus, offset }.into();
        let hash = |kind, sreg, len, seed| {
            wire_hash::Hash { sreg, dreg, len, modulus, seed, offset, kind }.into()
        };
        match of {
            Of::Incremental => numgen(NumgenType::Incremental),
            Of::Random => numgen(NumgenType::Random),
            Of::Symhash => hash(HashType::Symmetric, None, None, None),
            Of::Jhash { fields, seed } => {
                let types: Vec<_> = fields.fields().into_iter().map(Field::value_type).collect();
                hash(HashType::Jenkins, Some(R2), Some(total(&types)), seed)
            }
        }
    }

    /// The number that an expression gives, after these fields were loaded.
    pub(crate) fn decode(expr: &Expr, fields: &[Field]) -> Option<Self> {
        match expr {
            Expr::Numgen(wire::Numgen { dreg: R1, kind, modulus, offset }) if fields.is_empty() => {
                let of = match kind {
                    NumgenType::Incremental => Of::Incremental,
                    NumgenType::Random => Of::Random,
                };
                Some(Self { of, modulus: *modulus, offset: *offset })
            }
            Expr::Hash(wire_hash::Hash { dreg: R1, modulus, offset, kind, seed, .. }) => {
                let of = match kind {
                    HashType::Symmetric => Of::Symhash,
                    HashType::Jenkins => {
                        Of::Jhash { fields: Hashed::new(fields.iter().copied()), seed: *seed }
                    }
                };
                Some(Self { of, modulus: *modulus, offset: *offset })
            }
            _ => None,
        }
    }
}

impl From<Numgen> for Field {
    fn from(number: Numgen) -> Self {
        Self::Numgen(number)
    }
}

/// In the words of `nft`.
impl fmt::Display for Numgen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::Incremental => f.write_str("numgen inc")?,
            Of::Random => f.write_str("numgen random")?,
            Of::Symhash => f.write_str("symhash")?,
            Of::Jhash { fields, .. } => {
                f.write_str("jhash ")?;
                join(f, fields.fields(), " . ")?;
            }
        }
        write!(f, " mod {}", self.modulus)?;
        if let Of::Jhash { seed: Some(seed), .. } = self.of {
            write!(f, " seed 0x{seed:x}")?;
        }
        if self.offset == 0 { Ok(()) } else { write!(f, " offset {}", self.offset) }
    }
}
