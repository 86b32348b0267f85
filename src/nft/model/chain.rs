//! The builder of chains.

use std::fmt;

use super::device::Devices;
use super::family::{self, ChainKind, Family, Hook, Policy, Priority};
use super::name;
use super::rule::Rule;
use crate::error::Error;
use crate::input::FirstRejected;
use crate::link::LinkRef;

use crate::wire::nft::chain as wire;
use crate::wire::nft::hook as wire_hook;
use crate::wire::nft::userdata::UserData;

/// A chain: a list of rules. A base chain has a hook, at which packets enter it.
///
/// Replaces `nft add chain FAMILY TABLE NAME { type filter hook input priority filter; policy drop;
/// }`.
///
/// ```
/// use netloom::nft::{Chain, Family, Hook, Policy, Priority, Rule, Table};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let table = Table::new(Family::Inet, "filter").create(&netns)?;
/// let web = Chain::new("web").rule(Rule::new().tcp().dport(80).accept()).create(&table)?;
/// let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).create(&table)?;
/// let _jump = Rule::new().jump("web").create(&input)?;
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Chain {
    pub(crate) name: String,
    pub(crate) kind: ChainKind,
    pub(crate) hook: Option<(Hook, Priority)>,
    pub(crate) policy: Option<Policy>,
    pub(crate) devices: Devices,
    pub(crate) comment: Option<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) rejected: FirstRejected,
}

pub(crate) const ACTION: &str = "create chain";

impl Chain {
    /// Returns a chain that rules can jump to. [`hook`](Self::hook) makes it a base chain.
    #[doc(alias = "nft add chain")]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: ChainKind::Filter,
            hook: None,
            policy: None,
            devices: Devices::default(),
            comment: None,
            rules: Vec::new(),
            rejected: FirstRejected::default(),
        }
    }

    /// Sets the hook at which packets enter the chain. Chains with lower priorities run first.
    pub fn hook(mut self, hook: Hook, priority: impl Into<Priority>) -> Self {
        self.hook = Some((hook, priority.into()));
        self
    }

    /// Sets the kind of the chain. Default: filter.
    pub fn kind(mut self, kind: ChainKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the verdict on packets that no rule decides on. Default: accept.
    pub fn policy(mut self, policy: Policy) -> Self {
        // Accept is the default and not sent, so that a chain read back equals its builder.
        self.policy = Some(policy).filter(|policy| *policy != Policy::Accept);
        self
    }

    /// Adds a link whose packets the chain sees at the hooks `ingress` and `egress`. The link must
    /// exist.
    pub fn dev(mut self, link: impl Into<LinkRef>) -> Self {
        self.devices.add(link.into(), &mut self.rejected);
        self
    }

    /// Sets a comment of at most 127 bytes. Since Linux 5.10.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Appends a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    pub(crate) fn check(&self, family: Family) -> Result<(), Error> {
        let refused = |reason| Error::invalid(ACTION, self, reason);
        self.rejected.check(ACTION, self)?;
        name::check(&self.name).map_err(refused)?;
        if let Some(comment) = &self.comment {
            name::check_comment(comment).map_err(refused)?;
        }
        match self.hook {
            Some((hook, priority)) => {
                family::check(family, self.kind, hook, priority, self.devices.names().len())
                    .map_err(refused)
            }
            None if self.policy.is_some() => Err(refused("only a base chain has a policy".into())),
            None if self.kind != ChainKind::Filter => {
                Err(refused("only a base chain has a kind: set its hook".into()))
            }
            None if !self.devices.is_empty() => {
                Err(refused("only a base chain has links: set its hook".into()))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn message(&self, family: Family, table: &str) -> wire::Chain {
        let hook = self.hook.and_then(|(hook, priority)| {
            let devices = wire_hook::Devices(self.devices.names());
            let hook = wire_hook::ChainHook::new(family, hook, priority)?;
            Some(wire_hook::ChainHook { devices, ..hook })
        });
        wire::Chain {
            kind: self.hook.map(|_| self.kind),
            hook,
            policy: self.policy,
            userdata: self.comment.as_deref().and_then(UserData::comment),
            ..wire::Chain::by_name(table, &self.name)
        }
    }

    /// Decodes a listed chain, without its rules.
    pub(crate) fn from_wire(family: Family, chain: &wire::Chain) -> Self {
        let hook = chain.hook.as_ref().and_then(|hook| {
            Some((Hook::from_number(family, hook.number?)?, hook.priority.unwrap_or_default()))
        });
        let devices = chain.hook.iter().flat_map(|hook| &hook.devices.0).collect();
        let comment = chain.userdata.as_ref().and_then(UserData::as_comment);
        Self {
            kind: chain.kind.unwrap_or(ChainKind::Filter),
            hook,
            policy: chain.policy.filter(|policy| *policy != Policy::Accept),
            devices,
            comment: comment.map(str::to_owned),
            ..Self::new(chain.name.clone().unwrap_or_default())
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the hook and priority of a base chain.
    pub fn hook_of(&self) -> Option<(Hook, Priority)> {
        self.hook
    }

    /// Returns the verdict on packets that no rule decides on.
    pub fn policy_of(&self) -> Policy {
        self.policy.unwrap_or(Policy::Accept)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}
