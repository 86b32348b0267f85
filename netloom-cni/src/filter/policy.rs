//! Isolated networks: elements of two sets, keyed by the link that leads to a network.

use netloom::Owned;
use netloom::nft::{Constant, Element, ElementHandle, SetHandle};

use super::{Entry, Filter};
use crate::bridge::keep_all;
use crate::config::{Config, IngressPolicy};
use crate::failure::{Code, Failure};
use crate::gateway;
use crate::host::Host;

/// The set of isolated networks. An element is the link that leads to the network, so addresses do
/// not matter.
pub(super) const APART: &str = "apart";
/// The set of isolated networks whose containers may connect to each other. An element is the same
/// link twice.
pub(super) const TOGETHER: &str = "together";

/// The changes to a network's policy, undone on drop unless kept.
#[derive(Debug, Default)]
pub(super) struct ChangedPolicy {
    made: Vec<Owned<ElementHandle>>,
    lifted: Option<(SetHandle, Element)>,
}

impl ChangedPolicy {
    /// Keeps the changes. They persist, as the bridge does.
    pub(super) fn keep(&mut self) {
        keep_all(self.made.drain(..));
        self.lifted = None;
    }
}

impl Drop for ChangedPolicy {
    fn drop(&mut self) {
        if let Some((set, element)) = self.lifted.take()
            && let Err(error) = set.add([element.clone()])
        {
            eprintln!("netloom-cni: restore {element} in {set}: {error}");
        }
    }
}

impl Filter {
    /// Sets the policy of a network, which persists as the bridge does. The policy of the latest
    /// ADD applies to the whole network.
    pub(super) fn ensure_policy(
        &self,
        host: &mut Host,
        config: &Config,
        changed: &mut ChangedPolicy,
    ) -> Result<(), Failure> {
        let (wanted, unwanted) = policy(config);
        if self.lacking(&wanted)?.is_empty() && self.present(&unwanted)?.is_empty() {
            return Ok(());
        }
        host.alone()?;
        for (set, element) in self.present(&unwanted)? {
            set.remove([element.clone()])?;
            changed.lifted = Some((set, element));
        }
        for (set, element) in self.lacking(&wanted)? {
            changed.made.push(element.create(&set)?);
        }
        Ok(())
    }

    /// Returns the missing elements, each with its set.
    fn lacking(&self, entries: &[Entry]) -> Result<Vec<(SetHandle, Element)>, Failure> {
        self.those(entries, false)
    }

    fn present(&self, entries: &[Entry]) -> Result<Vec<(SetHandle, Element)>, Failure> {
        self.those(entries, true)
    }

    fn those(
        &self,
        entries: &[Entry],
        is_there: bool,
    ) -> Result<Vec<(SetHandle, Element)>, Failure> {
        let mut those = Vec::new();
        for Entry { set, element } in entries {
            let set = self.table.set(set)?;
            if set.contains(element.clone())? == is_there {
                those.push((set, element.clone()));
            }
        }
        Ok(those)
    }

    pub(super) fn check_policy(&self, config: &Config) -> Result<(), Failure> {
        let missing = |what: String| Err(Failure::new(Code::Missing, what));
        let (wanted, unwanted) = policy(config);
        if let Some((set, element)) = self.lacking(&wanted)?.first() {
            return missing(format!("ingressPolicy: {element} is not in {set}"));
        }
        if let Some((set, element)) = self.present(&unwanted)?.first() {
            return missing(format!("ingressPolicy: {element} is in {set}"));
        }
        Ok(())
    }

    /// Removes a network from the policy sets. The network must have no container, and the caller
    /// must hold the host's lock alone.
    pub(crate) fn forget_policy(&self, config: &Config) -> Result<(), Failure> {
        for (set, element) in self.present(&both(config))? {
            set.remove([element])?;
        }
        Ok(())
    }
}

/// Returns the elements that a network's policy requires, and those that it forbids.
fn policy(config: &Config) -> (Vec<Entry>, Vec<Entry>) {
    let [apart, together] = both(config);
    match config.ingress {
        IngressPolicy::Open => (Vec::new(), Vec::new()),
        IngressPolicy::SameBridge => (vec![apart, together], Vec::new()),
        IngressPolicy::Isolated => (vec![apart], vec![together]),
    }
}

fn both(config: &Config) -> [Entry; 2] {
    let link = Constant::Name(gateway::name(config));
    let apart = Entry { set: APART, element: link.clone().into() };
    [apart, Entry { set: TOGETHER, element: (link.clone(), link).into() }]
}
