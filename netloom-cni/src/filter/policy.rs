//! Isolated networks: elements of two sets, keyed by the index of the link that leads to a network.
//! A link keeps its index when it gets another name.

use netloom::nft::{Constant, Element, ElementHandle, Interval, SetHandle};
use netloom::{LinkIndex, Owned};

use super::{Entry, Filter, Network};
use crate::bridge::keep_all;
use crate::config::{IngressPolicy, Isolation};
use crate::failure::{Code, Failure};
use crate::gateway;
use crate::host::Host;

/// The set of isolated networks. An element is the link that leads to the network, so addresses do
/// not matter.
pub(super) const APART: &str = "isolated";
/// The set of isolated networks whose containers may connect to each other. An element is the same
/// link twice.
pub(super) const TOGETHER: &str = "pairs";
/// The links that accept only replies and connections to published ports from outside. Another
/// program's filter dropped all other packets, until `accept` added rules to it.
pub(super) const CLOSED: &str = "closed";
/// The links to which connections to published ports are masqueraded (`masqAll`).
pub(super) const MASQUERADED: &str = "masqueraded";
/// The set of bridges whose ports are isolated by rules for frames. An element is the link twice.
pub(super) const BRIDGED: &str = "bridged";

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
        network: Network<'_>,
        changed: &mut ChangedPolicy,
    ) -> Result<(), Failure> {
        let (wanted, unwanted) = policy(network);
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

    pub(super) fn check_policy(&self, network: Network<'_>) -> Result<(), Failure> {
        let missing = |what: String| Err(Failure::new(Code::Missing, what));
        let (wanted, unwanted) = policy(network);
        let name = gateway::name(network.0);
        if let Some((set, _)) = self.lacking(&wanted)?.first() {
            return missing(format!("ingressPolicy: `{name}` is not in {set}"));
        }
        if let Some((set, _)) = self.present(&unwanted)?.first() {
            return missing(format!("ingressPolicy: `{name}` is in {set}"));
        }
        Ok(())
    }

    /// Removes links from the policy sets: those that are gone, and that of a network without
    /// containers. The caller must hold the host's lock alone.
    pub(crate) fn forget_policy(&self, unused: Option<LinkIndex>) -> Result<(), Failure> {
        let links = self.table.namespace().links()?;
        let is_needed = |part: &Interval| {
            let mut needed = links.iter().map(|link| link.index).filter(|one| Some(*one) != unused);
            needed.any(|index| *part == Interval::One(constant(index)))
        };
        for set in [APART, TOGETHER, BRIDGED, CLOSED, MASQUERADED] {
            let Some(set) = self.find_set(set)? else { continue };
            let mut elements = set.elements()?;
            elements.retain(|element| !element.key().iter().all(is_needed));
            if !elements.is_empty() {
                set.remove(elements)?;
            }
        }
        Ok(())
    }
}

/// Returns the elements that a network's policy requires, and those that it forbids. A network
/// without a link of the host has neither.
fn policy((config, link, is_closed): Network<'_>) -> (Vec<Entry>, Vec<Entry>) {
    let Some(link) = link.map(constant) else { return (Vec::new(), Vec::new()) };
    let apart = Entry { set: APART, element: link.clone().into() };
    let pair = |set| Entry { set, element: (link.clone(), link.clone()).into() };
    let together = pair(TOGETHER);
    let (mut wanted, unwanted) = match config.ingress {
        IngressPolicy::Open => (Vec::new(), Vec::new()),
        IngressPolicy::SameBridge => (vec![apart, together], Vec::new()),
        IngressPolicy::Isolated => (vec![apart], vec![together]),
    };
    if config.masquerade_all {
        wanted.push(Entry { set: MASQUERADED, element: link.clone().into() });
    }
    if is_closed {
        wanted.push(Entry { set: CLOSED, element: link.clone().into() });
    }
    if config.isolation == Isolation::Rules {
        wanted.push(pair(BRIDGED));
    }
    (wanted, unwanted)
}

fn constant(link: LinkIndex) -> Constant {
    Constant::Number(link.get())
}
