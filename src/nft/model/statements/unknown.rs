//! Expressions that netloom does not know. They keep their bytes.

use crate::nft::model::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown(pub(super) Vec<Expr>);

impl Statement for Unknown {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.encoded.expressions.extend_from_slice(&self.0);
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        Some(Self(vec![expr.clone()]))
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.0.iter().map(|one| format!("[{}]", one.name())), " ")
    }
}
