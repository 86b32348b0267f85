//! The source of a container's addresses: none, a delegated plugin, or the configuration's ranges.

mod built_in;
mod delegate;
mod range;
mod resolv_conf;

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use built_in::BuiltIn;
pub(crate) use delegate::Delegate;

use crate::call::Call;
use crate::failure::Failure;
use crate::fields::Fields;

/// The `ipam.type` of the built-in assignment.
const BUILT_IN: &str = "netloom";

/// The directory of the reference `host-local` plugin. Both plugins use the same lock, so neither
/// assigns an address that the other has assigned.
const ADDRESSES: &str = "/var/lib/cni/networks";
/// The directory of records whose addresses a delegated plugin assigns.
const ATTACHMENTS: &str = "/var/lib/cni/netloom";

/// The default directories of records.
pub(crate) const DIRECTORIES: [&str; 2] = [ADDRESSES, ATTACHMENTS];

#[derive(Debug, Clone, Default)]
pub(crate) enum Ipam {
    /// The network has no IP addresses: it carries only Ethernet frames.
    #[default]
    None,
    Delegate(Delegate),
    BuiltIn(BuiltIn),
}

impl Ipam {
    pub(crate) fn read(fields: &Fields<'_>, call: &Call) -> Result<Self, Failure> {
        let Some(ipam) = fields.object("ipam")? else { return Ok(Self::None) };
        match ipam.text("type")?.unwrap_or_default() {
            "" => Ok(Self::None),
            BUILT_IN => BuiltIn::read(fields, &ipam, call).map(Self::BuiltIn),
            kind if kind.contains('/') => Err(ipam.refuse("type", "a plugin's name")),
            kind => Ok(Self::Delegate(Delegate::new(kind))),
        }
    }

    /// Reads the source of the addresses for DEL. An invalid configuration assigned none.
    pub(crate) fn of_del(fields: &Fields<'_>) -> Self {
        let ipam = fields.object("ipam").ok().flatten();
        let kind = ipam.as_ref().and_then(|ipam| ipam.text("type").ok().flatten());
        match kind.unwrap_or_default() {
            "" => Self::None,
            BUILT_IN => Self::BuiltIn(BuiltIn::default()),
            kind if kind.contains('/') => Self::None,
            kind => Self::Delegate(Delegate::new(kind)),
        }
    }

    /// Returns the default directory of the records.
    pub(crate) fn default_directory(&self) -> &'static str {
        match self {
            Self::BuiltIn(_) => ADDRESSES,
            _ => ATTACHMENTS,
        }
    }

    /// Returns the directory that contains a subdirectory for each network.
    pub(crate) fn directory(&self, fields: &Fields<'_>) -> Result<PathBuf, Failure> {
        let place = match self {
            Self::BuiltIn(_) => fields.object("ipam")?,
            _ => Some(fields.clone()),
        };
        let given = place.map(|place| place.text("dataDir")).transpose()?.flatten();
        let given = given.filter(|path| !path.is_empty());
        match given {
            Some(path) if !path.starts_with('/') => {
                let value = Value::from(path);
                Err(crate::fields::wrong("dataDir", &value, "an absolute path"))
            }
            path => Ok(PathBuf::from(path.unwrap_or(self.default_directory()))),
        }
    }
}
