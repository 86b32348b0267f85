//! The quota: `quota 10 mbytes`.

use crate::nft::model::display::Bytes;
use crate::nft::model::prelude::*;
pub(super) use crate::wire::nft::expr::quota::Quota;
use crate::wire::nft::expr::quota::QuotaFlags;

impl Rule {
    /// Matches until this number of bytes has passed: `quota`.
    #[doc(alias = "quota until")]
    pub fn quota(self, bytes: u64) -> Self {
        self.with(Quota { bytes, ..Quota::default() })
    }

    /// Matches once this number of bytes has passed: `quota over`.
    pub fn quota_over(self, bytes: u64) -> Self {
        self.with(Quota { bytes, flags: QuotaFlags::INVERTED, ..Quota::default() })
    }
}

impl Statement for Quota {
    one_expression!(self => *self, Expr::Quota(Quota { bytes, flags, .. }) => {
        Some(Self { bytes: *bytes, consumed: 0, flags: *flags & QuotaFlags::INVERTED })
    });

    fn check(&self, _: Context) -> Result<(), String> {
        if self.bytes == 0 { Err("the quota is 0 bytes".into()) } else { Ok(()) }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = Over(self.flags.contains(QuotaFlags::INVERTED));
        write!(f, "quota {over}{}", Bytes(self.bytes))
    }
}
