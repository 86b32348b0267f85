//! The builder of flowtables.

use std::fmt;

use super::device::Devices;
use super::family::{Family, Priority};
use super::name;
use crate::error::Error;
use crate::input::FirstRejected;
use crate::link::LinkRef;

use crate::wire::nft::flowtable as wire;
use crate::wire::nft::flowtable::FlowtableFlags;
use crate::wire::nft::hook as wire_hook;

/// A flowtable: packets of established connections between its links bypass the rules.
///
/// Replaces `nft add flowtable FAMILY TABLE NAME { hook ingress priority 0; devices = { … };
/// }`. Rules at the hook forward add connections: [`Rule::flow_add`](crate::nft::Rule::flow_add).
///
/// ```
/// use netloom::nft::{Chain, CtState, Family, Flowtable, Hook, Priority, Rule, Table};
/// use netloom::{Bridge, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
///
/// let lan = Bridge::new("lan").create(&netns)?;
/// let fast = Rule::new().ct_state(CtState::ESTABLISHED).flow_add("fast");
/// let table = Table::new(Family::Inet, "router")
///     .flowtable(Flowtable::new("fast").dev(&lan))
///     .chain(Chain::new("through").hook(Hook::Forward, Priority::FILTER).rule(fast));
/// match table.create(&netns) {
///     Ok(table) => assert_eq!(table.read()?.flowtables[0].name(), "fast"),
///     // Not every kernel has flowtables.
///     Err(error) => assert!(error.is_unsupported(), "{error}"),
/// }
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: nft(8), "FLOWTABLES"; `Documentation/networking/nf_flowtable.rst`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Flowtable {
    name: String,
    priority: Priority,
    pub(crate) devices: Devices,
    flags: FlowtableFlags,
    rejected: FirstRejected,
}

pub(crate) const ACTION: &str = "create flowtable";

impl Flowtable {
    /// Returns a flowtable with this name and no links.
    #[doc(alias("nft add flowtable", "NFT_MSG_NEWFLOWTABLE"))]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            priority: Priority::FILTER,
            devices: Devices::default(),
            flags: FlowtableFlags::empty(),
            rejected: FirstRejected::default(),
        }
    }

    /// Sets the priority at the ingress of the links. Default: 0.
    pub fn priority(mut self, priority: impl Into<Priority>) -> Self {
        self.priority = priority.into();
        self
    }

    /// Adds a link, which must exist.
    #[doc(alias = "devices")]
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.devices.add(link.into(), &mut self.rejected);
        self
    }

    /// Offloads connections to network cards with that feature. Default: off.
    #[doc(alias = "NFT_FLOWTABLE_HW_OFFLOAD")]
    pub fn offload(mut self) -> Self {
        self.flags |= FlowtableFlags::HARDWARE_OFFLOAD;
        self
    }

    /// Counts the packets that bypass the rules in the conntrack entry of their connection.
    /// Default: off. Since Linux 5.7.
    #[doc(alias = "NFT_FLOWTABLE_COUNTER")]
    pub fn counter(mut self) -> Self {
        self.flags |= FlowtableFlags::COUNTER;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of the links.
    pub fn devices(&self) -> Vec<String> {
        self.devices.names()
    }

    pub(crate) fn check(&self, family: Family) -> Result<(), Error> {
        let refused = |reason: String| Error::invalid(ACTION, self, reason);
        self.rejected.check(ACTION, self)?;
        name::check(&self.name).map_err(refused)?;
        if !matches!(family, Family::Ip | Family::Ip6 | Family::Inet) {
            return Err(refused(format!("the family {family} has no flowtables")));
        }
        if self.devices.is_empty() {
            return Err(refused("between which links? add them with dev()".into()));
        }
        Ok(())
    }

    pub(crate) fn message(&self, table: &str) -> wire::Flowtable {
        let hook = wire::FlowtableHook {
            priority: self.priority,
            devices: wire_hook::Devices(self.devices.names()),
            ..wire::FlowtableHook::default()
        };
        wire::Flowtable {
            hook: Some(hook),
            flags: Some(self.flags),
            ..wire::Flowtable::by_name(table, &self.name)
        }
    }

    /// Decodes a listed flowtable.
    pub(crate) fn from_wire(flowtable: &wire::Flowtable) -> Option<Self> {
        let hook = flowtable.hook.clone().unwrap_or_default();
        Some(Self {
            priority: hook.priority,
            devices: hook.devices.0.iter().collect(),
            flags: flowtable.flags.unwrap_or_default(),
            ..Self::new(flowtable.name.clone()?)
        })
    }
}

impl fmt::Display for Flowtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}
