//! The creation of routes: a hundred in a datagram, with one owner for all of them.

use std::collections::BTreeMap;

use super::builder::Route;
use super::check::explain;
use super::handle::RouteHandle;
use crate::error::{Cause, Error};
use crate::netlink::{Batch, Requests};
use crate::netns::Netns;
use crate::owned::Owned;
use crate::partial::PartialError;
use crate::wire::message::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

/// The mode of a request that writes a route: its name in errors, and the request's flags.
#[derive(Debug, Clone, Copy)]
struct Mode {
    action: &'static str,
    flags: u16,
}

const ADD: Mode = Mode { action: "add route", flags: NLM_F_CREATE | NLM_F_EXCL };
const PREPEND: Mode = Mode { action: "prepend route", flags: NLM_F_CREATE };
const APPEND: Mode = Mode { action: "append route", flags: NLM_F_CREATE | NLM_F_APPEND };
const REPLACE: Mode = Mode { action: "replace route", flags: NLM_F_CREATE | NLM_F_REPLACE };
const CHANGE: Mode = Mode { action: "change route", flags: NLM_F_REPLACE };

/// The size of nearly every request for a route, at most: the buffer is reserved for that.
const MOST: usize = 96;

impl Route {
    /// Creates the route.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` before any system call, if the destination has host bits, the address
    ///   families differ, or the route has neither gateway nor link
    /// - `is_already_exists()` if such a route exists
    /// - `is_not_found()` if the link doesn't exist
    /// - `ENETUNREACH` or `EHOSTUNREACH` if no link's network contains the gateway
    #[doc(alias("ip route add", "RTM_NEWROUTE"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<RouteHandle>, Error> {
        Ok(Self::create_all(std::slice::from_ref(self), netns)?)
    }

    /// Creates the route before existing ones with the same destination and metric, as
    /// `ip route prepend`. The kernel uses the first of several such IPv4 routes. It joins IPv6
    /// routes with gateways into one multipath route; each owner deletes its own next hop.
    ///
    /// ```
    /// use netloom::{Namespace, Route, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _first = VethPair::new(VethEnd::new("eth0").address("10.0.0.2/24").up(), "a").create(&red)?;
    /// let _second = VethPair::new(VethEnd::new("eth1").address("10.1.0.2/24").up(), "b").create(&red)?;
    /// let _default = Route::default_via("10.0.0.1").create(&red)?;
    /// let preferred = Route::default_via("10.1.0.1").prepend(&red)?;
    /// preferred.delete()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create). `is_already_exists()` only if the same route with the
    /// same gateway and link exists.
    #[doc(alias("ip route prepend", "ECMP"))]
    pub fn prepend(&self, netns: &Netns) -> Result<Owned<RouteHandle>, Error> {
        Ok(write_all(PREPEND, std::slice::from_ref(self), netns)?)
    }

    /// Creates the route after existing ones with the same destination and metric, as
    /// `ip route append`. Otherwise as [`prepend`](Self::prepend).
    ///
    /// # Errors
    ///
    /// Those of [`prepend`](Self::prepend).
    #[doc(alias("ip route append", "NLM_F_APPEND"))]
    pub fn append(&self, netns: &Netns) -> Result<Owned<RouteHandle>, Error> {
        Ok(write_all(APPEND, std::slice::from_ref(self), netns)?)
    }

    /// Creates the route and replaces the first route that has the same table, destination, metric
    /// and type of service.
    ///
    /// Replaces `ip route replace`. A second call changes nothing. The owner deletes the new route,
    /// and does not restore the replaced route. An owner of the replaced route has nothing left to
    /// delete: its drop and its `delete` do nothing. But if the route is the same as before, an
    /// older owner still deletes it: call `keep()` on that owner before this call.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create). `is_already_exists()` means that an identical route
    /// exists, but is not the first of those with its metric.
    #[doc(alias("ip route replace", "NLM_F_REPLACE"))]
    pub fn replace(&self, netns: &Netns) -> Result<Owned<RouteHandle>, Error> {
        Ok(write_all(REPLACE, std::slice::from_ref(self), netns)?)
    }

    /// Changes the route that has the same table, destination, metric and type of service.
    ///
    /// The route gets no owner, because it existed before. [`Owned::adopt`] makes one. An owner of
    /// the route as it was no longer deletes the changed route.
    ///
    /// Replaces `ip route change`.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create). `is_not_found()` if there is no such route, or no such
    /// link.
    #[doc(alias("ip route change", "NLM_F_REPLACE"))]
    pub fn change(&self, netns: &Netns) -> Result<RouteHandle, Error> {
        Ok(self.try_change(netns)?)
    }

    /// Changes the route. After a lost answer the error has the handle of the changed route.
    pub(super) fn try_change(
        &self,
        netns: &Netns,
    ) -> Result<RouteHandle, PartialError<RouteHandle>> {
        // The route was there before: nobody deletes it.
        match write_all(CHANGE, std::slice::from_ref(self), netns) {
            Ok(owned) => Ok(owned.keep()),
            Err(partial) => Err(partial.map_owned(Owned::keep)),
        }
    }

    /// Creates many routes, as `ip -batch` does, with one owner for all of them.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use netloom::{Namespace, Route, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let _cable = VethPair::new(VethEnd::new("veth1").address("10.0.0.2/24").up(), "veth2").create(&red)?;
    /// let route = |n: u8| Route::new(format!("10.9.{n}.0/24").as_str()).via("10.0.0.1");
    /// let routes: Vec<_> = (0..200).map(route).collect();
    /// let owner = Route::create_all(&routes, &red)?;
    /// assert_eq!(owner.len(), 200);
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PartialError`] has the error and the position in `routes` of each refused route, and the
    /// owner of all other routes. If an answer is lost, the last error is that of the first route
    /// whose outcome is unknown, and the routes after it were not tried. If a builder is known to
    /// be wrong before any system call, no route is created. With `?`, the error is that of the
    /// first refused route, and the created routes are deleted.
    #[doc(alias("ip -batch", "RTM_NEWROUTE"))]
    pub fn create_all(
        routes: &[Self],
        netns: &Netns,
    ) -> Result<Owned<RouteHandle>, PartialError<Owned<RouteHandle>>> {
        write_all(ADD, routes, netns)
    }
}

/// Sends the requests for the routes, in this mode, with one owner for all of them.
fn write_all(
    mode: Mode,
    routes: &[Route],
    netns: &Netns,
) -> Result<Owned<RouteHandle>, PartialError<Owned<RouteHandle>>> {
    let mut made = Batch::with_room(routes.len(), routes.len().saturating_mul(MOST));
    let (names, mut failures) = read_through(mode.action, routes, netns);
    if failures.is_empty() {
        match indexes(mode.action, routes, names, netns) {
            Ok(indexes) => send(mode, netns, routes, &indexes, &mut made, &mut failures),
            Err(failure) => failures.push(failure),
        }
    }
    let owned = Owned::new(RouteHandle::new(netns.clone(), made));
    PartialError::unless_created(failures, owned)
}

/// Collects the names of links, each with the position of its first route, and the errors known
/// before any system call. One pass does both: for many routes, the loop costs more than the
/// checks.
fn read_through<'a>(
    action: &'static str,
    routes: &'a [Route],
    netns: &Netns,
) -> (BTreeMap<&'a str, usize>, Vec<(usize, Error)>) {
    let (mut names, mut failures) = (BTreeMap::new(), Vec::new());
    for (at, route) in routes.iter().enumerate() {
        let mut links = route.links();
        let mut home = |()| links.try_for_each(|link| link.check_home(netns, action, route));
        let checked = route.check(action).map_err(|error| error.in_namespace(netns));
        if let Err(error) = checked.and_then(&mut home) {
            failures.push((at, error));
        }
        for link in route.links().filter(|link| link.is_name()) {
            names.entry(link.name()).or_insert(at);
        }
    }
    (names, failures)
}

/// Looks up the index of each name once.
fn indexes<'a>(
    action: &'static str,
    routes: &[Route],
    names: BTreeMap<&'a str, usize>,
    netns: &Netns,
) -> Result<BTreeMap<&'a str, u32>, (usize, Error)> {
    let mut indexes = BTreeMap::new();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable_by_key(|(_, at)| *at);
    for (name, at) in names {
        let Some(route) = routes.get(at) else { continue };
        let Some(link) = route.links().find(|link| link.name() == name) else { continue };
        let index = link.resolve(netns, action, route).map_err(|error| (at, error))?;
        indexes.insert(name, index);
    }
    Ok(indexes)
}

/// Sends the requests, a hundred in a datagram. Adds to `made` the routes that exist afterwards.
fn send(
    mode: Mode,
    netns: &Netns,
    routes: &[Route],
    indexes: &BTreeMap<&str, u32>,
    made: &mut Batch,
    failures: &mut Vec<(usize, Error)>,
) {
    let mut batch = Batch::default();
    let mut start = 0;
    for routes in routes.chunks(Requests::AT_ONCE) {
        batch.clear();
        for route in routes {
            route.request(mode.flags, &|link| link.index(indexes), &mut batch);
        }
        let failure = |at: usize, cause: Cause| {
            let error = match routes.get(at) {
                Some(route) => cause.doing(mode.action, route),
                None => cause.doing(mode.action, "a route"),
            };
            (start + at, explain(error.in_namespace(netns)))
        };
        match netns.rtnetlink(|socket| socket.exchange(&mut batch, |_, _| ())) {
            Ok(refusals) if refusals.is_empty() => made.copy(&batch, 0..routes.len()),
            Ok(mut refusals) => {
                refusals.sort_by_key(|(place, _)| *place);
                let mut refused = refusals.iter().map(|(place, _)| *place).peekable();
                for place in 0..routes.len() {
                    if refused.next_if_eq(&place).is_none() {
                        made.copy(&batch, place..place + 1);
                    }
                }
                failures
                    .extend(refusals.into_iter().map(|(at, refusal)| failure(at, refusal.into())));
            }
            Err(cause) => {
                // The routes may exist. The owner deletes only routes that are listed with exactly
                // these attributes.
                let failure = failure(0, cause);
                if failure.1.is_outcome_unknown() {
                    made.copy(&batch, 0..routes.len());
                }
                failures.push(failure);
                return;
            }
        }
        start += routes.len();
    }
}
