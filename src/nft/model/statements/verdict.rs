//! Verdicts: `accept`, `jump CHAIN`, and verdict maps: `tcp dport vmap @MAP`.

use crate::nft::model::element::Verdict;
use crate::nft::model::prelude::*;
use crate::wire::nft::data::Data;
use crate::wire::nft::expr::immediate::Immediate;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerdictStatement {
    One(Verdict),
    Map(MapLookup),
}

impl Rule {
    /// Accepts the packet: it continues to the next base chain.
    #[doc(alias = "ACCEPT")]
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// Drops the packet.
    #[doc(alias = "DROP")]
    #[allow(clippy::should_implement_trait)] // the field's own word
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// Jumps to another chain of the table, and continues here after its last rule: `jump`.
    pub fn jump(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Jump(chain.into()))
    }

    /// Continues in another chain of the table, and does not return: `goto`.
    pub fn goto(self, chain: impl Into<String>) -> Self {
        self.verdict(Verdict::Goto(chain.into()))
    }

    /// Returns to the rule after the jump. In a base chain, applies the policy: `return`.
    pub fn back(self) -> Self {
        self.verdict(Verdict::Return)
    }

    /// Applies any verdict.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        if let Verdict::Jump(chain) | Verdict::Goto(chain) = &verdict {
            self.check_name("jump", chain);
        }
        self.with(VerdictStatement::One(verdict))
    }

    /// Applies the verdict that a map of the table has for these fields: `tcp dport vmap @map`.
    #[doc(alias = "vmap")]
    pub fn verdict_map(mut self, fields: impl IntoIterator<Item = Field>, map: &str) -> Self {
        let map = self.named("verdict_map", fields, map);
        self.with(VerdictStatement::Map(map))
    }

    /// Applies the verdict that an anonymous map has for these fields: `tcp dport vmap { 80 :
    /// accept }`.
    pub fn verdicts(
        mut self,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let elements = elements.into_iter().collect();
        let map =
            self.anonymous("verdicts", fields, elements, |_: &[_]| Ok(Some(DataKind::Verdict)));
        self.with(VerdictStatement::Map(map))
    }
}

impl Statement for VerdictStatement {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        match self {
            Self::One(verdict) => encoder.push(Immediate::verdict(verdict.clone())),
            Self::Map(MapLookup { key, map }) => {
                encoder.load(key)?;
                let lookup = encoder.lookup(key, map, Some(DataKind::Verdict))?;
                encoder.push(Lookup { dreg: Some(Register::Verdict), ..lookup });
            }
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                Some(Self::One(verdict.clone()))
            }
            Expr::Lookup(Lookup {
                dreg: Some(Register::Verdict), set, inverted: false, ..
            }) => reader.map(set).map(Self::Map),
            _ => None,
        }
    }

    fn fields(&self) -> [&[Field]; 2] {
        match self {
            Self::One(_) => [&[], &[]],
            Self::Map(map) => [&map.key, &[]],
        }
    }

    fn is_terminal(&self) -> bool {
        use Verdict::{Accept, Drop, Goto, Return};
        matches!(self, Self::One(Accept | Drop | Return | Goto(_)))
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(verdict) => write!(f, "{verdict}"),
            Self::Map(MapLookup { key, map }) => {
                join(f, key, " . ")?;
                write!(f, " vmap {map}")
            }
        }
    }
}
