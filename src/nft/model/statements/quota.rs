//! The quota: `quota 10 mbytes`.

use crate::nft::model::display::{Bytes, Over};
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaStatement {
    bytes: u64,
    over: bool,
}

impl Rule {
    /// Matches until so many bytes have passed: `quota`.
    #[doc(alias = "quota until")]
    pub fn quota(self, bytes: u64) -> Self {
        self.with(QuotaStatement { bytes, over: false })
    }

    /// Matches once so many bytes have passed: `quota over`.
    pub fn quota_over(self, bytes: u64) -> Self {
        self.with(QuotaStatement { bytes, over: true })
    }
}

impl Statement for QuotaStatement {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let flags = if self.over { QuotaFlags::INVERTED } else { QuotaFlags::empty() };
        encoder.push(Quota { bytes: self.bytes, consumed: 0, flags });
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Quota(quota) = expr else { return None };
        Some(Self { bytes: quota.bytes, over: quota.flags.contains(QuotaFlags::INVERTED) })
    }

    fn check(&self, _: Context) -> Result<(), String> {
        if self.bytes == 0 { Err("a quota of 0 bytes".into()) } else { Ok(()) }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota {}{}", Over(self.over), Bytes(self.bytes))
    }
}
