//! Checks of whether published ports work.

use std::collections::{BTreeMap, BTreeSet};

use super::guard::Guard;
use super::handle::PortForwardHandle;
use super::loopback;
use super::mapping::Mapping;
use super::route::link_to;
use super::state::{Turn, look};
use super::switch::{LO, Switch};
use super::table::{HAIRPIN, PortTable, State, link_pair};
use super::withdraw::own_ports;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{Step, reader};
use crate::wire::nft::element::ElementsOf;

impl Netns {
    /// Returns whether no packet from a link can reach 127.0.0.0/8 because of published ports: the
    /// table that drops such packets is whole, or netloom lets no link route such addresses. The
    /// next list of published ports restores that table.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn has_loopback_guard(&self) -> Result<bool, Error> {
        let step: Step<'_> = ("look for", &"the table that guards loopback addresses");
        let is_whole = look(self, step, |turn| Ok(turn.ports.known.guard == Guard::Whole))?;
        Ok(is_whole || !Switch::read(self, LO)?.is_some_and(|lo| lo.has_note()))
    }
}

impl PortForwardHandle {
    /// Returns whether the port works: the kernel has the elements and rules of the port, and the
    /// route to the container uses the link of the port. If the port covers a loopback address,
    /// that link must also route loopback addresses. Any program can delete elements and rules of a
    /// persistent port, for example with `nft flush ruleset`.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn is_in_force(&self) -> Result<bool, Error> {
        Ok(Self::are_in_force(&[self])?.pop().unwrap_or(false))
    }

    /// Returns for each of these ports whether it works, as [`is_in_force`](Self::is_in_force)
    /// does. The cost grows with the number of ports, and each route and link is read once.
    ///
    /// ```
    /// use netloom::{Bridge, Namespace, PortForward, PortForwardHandle};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// let _bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    /// let ports = [80, 443].map(|port| PortForward::new(port, "10.0.0.2"));
    /// let ports = PortForward::create_all(&ports, &host)?;
    /// let handles: Vec<&PortForwardHandle> = ports.iter().map(|port| &**port).collect();
    /// assert_eq!(PortForwardHandle::are_in_force(&handles)?, [true, true]);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn are_in_force(ports: &[&Self]) -> Result<Vec<bool>, Error> {
        let mut answers = vec![false; ports.len()];
        let mut left: Vec<usize> = (0..ports.len()).collect();
        while let Some(netns) = left.first().map(|at| &ports[*at].netns) {
            let is_here = |at: &usize| ports[*at].netns.is_clone_of(netns);
            let (here, elsewhere): (Vec<_>, Vec<_>) = left.into_iter().partition(is_here);
            let of_place: Vec<_> = here.iter().map(|at| ports[*at]).collect();
            for (at, answer) in here.into_iter().zip(in_force(netns, &of_place)?) {
                answers[at] = answer;
            }
            left = elsewhere;
        }
        Ok(answers)
    }
}

/// Returns for each of these ports of a namespace whether it works.
fn in_force(netns: &Netns, ports: &[&PortForwardHandle]) -> Result<Vec<bool>, Error> {
    let Some(first) = ports.first() else { return Ok(Vec::new()) };
    let step: Step<'_> = ("look at published port", first);
    let mut answers = look(netns, step, |turn| {
        let mut answers: Vec<_> = ports.iter().map(|port| port.flag.exists()).collect();
        for is_ipv4 in [true, false] {
            let is_of_family = |at: &usize| {
                ports[*at].persistent.is_some() && ports[*at].mapping.is_ipv4() == is_ipv4
            };
            let places: Vec<_> = (0..ports.len()).filter(is_of_family).collect();
            let persistent: Vec<_> = places.iter().map(|at| ports[*at]).collect();
            let table = PortTable::new(None, is_ipv4);
            for (at, is_complete) in places.into_iter().zip(complete(turn, &table, &persistent)?) {
                answers[at] = is_complete;
            }
        }
        Ok(answers)
    })?;
    loopback::check(netns, step)?;
    let (mut routes, mut switches) = (BTreeMap::new(), BTreeMap::new());
    for (answer, port) in answers.iter_mut().zip(ports).filter(|(answer, _)| **answer) {
        let Mapping { link, target, .. } = port.mapping;
        let by = match routes.get(&target) {
            Some(by) => *by,
            None => *routes.entry(target).or_insert(link_to(netns, target)?),
        };
        let is_on = if let Some(is_on) = switches.get(&link) {
            *is_on
        } else {
            let is_on = Switch::read(netns, link)?.map(|switch| switch.is_on);
            *switches.entry(link).or_insert(is_on)
        };
        let covers_loopback = port.mapping.covers_loopback();
        *answer = by == Some(link) && is_on.is_some_and(|is_on| is_on || !covers_loopback);
    }
    Ok(answers)
}

/// Returns for each of these persistent ports of a family whether the table has all its rules, and
/// the elements of the mapping.
fn complete(
    turn: &mut Turn<'_>,
    table: &PortTable,
    ports: &[&PortForwardHandle],
) -> Result<Vec<bool>, Error> {
    if turn.ports.known.state(table) != Some(State::Whole) {
        return Ok(vec![false; ports.len()]);
    }
    let links: BTreeSet<u32> = ports.iter().map(|port| port.mapping.link).collect();
    let of = ElementsOf::new(&table.name, HAIRPIN);
    let pairs = links.iter().flat_map(|&link| [(link, link), (0, link)]);
    let pairs: Vec<_> = pairs.map(|(from, to)| (&of, link_pair(from, to))).collect();
    let hairpin = reader::elements(turn.socket, table.family(), &pairs);
    let hairpin = hairpin.map_err(|cause| turn.failed(cause))?;
    let has_pairs = links.iter().zip(hairpin.chunks(2));
    let has_pairs = has_pairs.filter(|(_, pair)| pair.iter().all(Option::is_some));
    let has_pairs: BTreeSet<u32> = has_pairs.map(|(link, _)| *link).collect();
    let mut found = vec![0; ports.len()];
    for (at, _) in own_ports(turn, table, ports)? {
        found[at] += 1;
    }
    let is_complete = |(port, found): (&&PortForwardHandle, usize)| {
        found == port.mapping.host_ports.len() && has_pairs.contains(&port.mapping.link)
    };
    Ok(ports.iter().zip(found).map(is_complete).collect())
}
