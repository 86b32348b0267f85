//! The supported versions of the CNI specification.

use std::fmt;
use std::str::FromStr;

/// A version of the specification. Each variant names what that version added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_1_0,
    /// The last version whose results have one address of each family.
    V0_2_0,
    /// Lists of interfaces and addresses.
    V0_3_0,
    /// Chains of plugins.
    V0_3_1,
    /// The command CHECK.
    V0_4_0,
    /// Addresses without the `version` field.
    V1_0_0,
    /// The commands GC and STATUS, and the `mtu` field of interfaces.
    #[default]
    V1_1_0,
}

impl Version {
    pub(crate) const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];
    pub(crate) const LATEST: Self = Self::V1_1_0;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|version| version.name() == text).ok_or(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
