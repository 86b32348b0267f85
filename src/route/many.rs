//! Many routes at once: a hundred in a datagram, one owner for all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use super::builder::{Route, explain};
use super::handle::{is_gone, metric_means_any};
use super::{RTM_DELROUTE, RTM_NEWROUTE};
use crate::error::{Cause, Error};
use crate::link::LinkRef;
use crate::netlink::{Batch, Refusals, Requests};
use crate::netns::Netns;
use crate::owned::Owned;
use crate::owned::sealed::Remove;

const ACTION: &str = "add route";

/// The bytes of most requests for a route, at most.
const MOST: usize = 96;

impl Route {
    /// Makes many routes, as `ip -batch` does, with one owner for all of them.
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
    /// Each that was refused, with its place among `routes`, and the owner of all the others. What can be
    /// known wrong is refused before anything is sent: then nothing is made. With `?` the error is the
    /// first refusal's, and what was made is deleted.
    #[doc(alias("ip -batch", "RTM_NEWROUTE"))]
    pub fn create_all(
        routes: &[Self],
        netns: &Netns,
    ) -> Result<Owned<RoutesHandle>, CreateAllError> {
        let mut made = Batch::with_room(routes.len(), routes.len().saturating_mul(MOST));
        let (names, mut failures) = read_through(routes, netns);
        if failures.is_empty() {
            let mut many = Many { netns, batch: Batch::default() };
            match indexes(routes, names, netns) {
                Ok(indexes) => many.add(routes, &indexes, &mut made, &mut failures),
                Err(failure) => failures.push(failure),
            }
        }
        let owned = Owned::new(RoutesHandle { netns: netns.clone(), routes: Arc::new(made) });
        if failures.is_empty() { Ok(owned) } else { Err(CreateAllError { failures, owned }) }
    }
}

/// The names of links, each with the place it comes first at, and what can be known wrong. Routes are many, and
/// going through them takes longer than looking at one: so once for both.
fn read_through<'a>(
    routes: &'a [Route],
    netns: &Netns,
) -> (BTreeMap<&'a str, usize>, Vec<(usize, Error)>) {
    let (mut names, mut failures) = (BTreeMap::new(), Vec::new());
    for (at, route) in routes.iter().enumerate() {
        let home = |link: &LinkRef| link.check_home(netns, ACTION, route);
        let checked = route.check(ACTION).map_err(|error| error.in_namespace(netns));
        if let Err(error) = checked.and_then(|()| route.link().map_or(Ok(()), home)) {
            failures.push((at, error));
        }
        if let Some(link) = route.link().filter(|link| link.is_name()) {
            names.entry(link.name()).or_insert(at);
        }
    }
    (names, failures)
}

/// What each name stands for: it is looked up once.
fn indexes<'a>(
    routes: &[Route],
    names: BTreeMap<&'a str, usize>,
    netns: &Netns,
) -> Result<BTreeMap<&'a str, u32>, (usize, Error)> {
    let mut indexes = BTreeMap::new();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable_by_key(|(_, at)| *at);
    for (name, at) in names {
        let Some((route, link)) = routes.get(at).and_then(|route| Some((route, route.link()?)))
        else {
            continue;
        };
        let index = link.resolve(netns, ACTION, route).map_err(|error| (at, error))?;
        indexes.insert(name, index);
    }
    Ok(indexes)
}

/// Datagrams of one kind of request after another, in one buffer.
struct Many<'a> {
    netns: &'a Netns,
    batch: Batch,
}

impl Many<'_> {
    fn exchange(&mut self) -> Result<Refusals, Cause> {
        let batch = &mut self.batch;
        self.netns.route(|socket| socket.exchange(batch, |_, _| ()))
    }

    fn add(
        &mut self,
        routes: &[Route],
        indexes: &BTreeMap<&str, u32>,
        made: &mut Batch,
        failures: &mut Vec<(usize, Error)>,
    ) {
        const CREATE_EXCL: u16 = 0x600;
        let mut start = 0;
        for routes in routes.chunks(Requests::AT_ONCE) {
            self.batch.clear();
            for route in routes {
                let index = route.link().and_then(|link| link.index(indexes));
                self.batch.request(RTM_NEWROUTE, CREATE_EXCL, |out| route.write(out, index));
            }
            let failure = |at: usize, cause: Cause| {
                let error = match routes.get(at) {
                    Some(route) => cause.doing(ACTION, route),
                    None => cause.doing(ACTION, "a route"),
                };
                (start + at, explain(error.in_namespace(self.netns)))
            };
            match self.netns.route(|socket| socket.exchange(&mut self.batch, |_, _| ())) {
                Ok(refusals) if refusals.is_empty() => made.copy(&self.batch, 0..routes.len()),
                Ok(mut refusals) => {
                    refusals.sort_by_key(|(place, _)| *place);
                    let mut refused = refusals.iter().map(|(place, _)| *place).peekable();
                    for place in 0..routes.len() {
                        if refused.next_if_eq(&place).is_none() {
                            made.copy(&self.batch, place..place + 1);
                        }
                    }
                    let told =
                        refusals.into_iter().map(|(at, refusal)| failure(at, refusal.into()));
                    failures.extend(told);
                }
                Err(cause) => {
                    // They may be there: the owner deletes them by their whole tuples.
                    let failure = failure(0, cause);
                    if failure.1.is_outcome_unknown() {
                        made.copy(&self.batch, 0..routes.len());
                    }
                    failures.push(failure);
                    return;
                }
            }
            start += routes.len();
        }
    }

    /// Deletes routes; of those that the kernel refused, the first one's error.
    fn delete(&mut self, routes: &Batch) -> Result<(), Cause> {
        let mut result = Ok(());
        for start in (0..routes.len()).step_by(Requests::AT_ONCE) {
            let here = start..routes.len().min(start + Requests::AT_ONCE);
            match self.delete_some(routes, here) {
                // All others would be waited for as long.
                Err(cause @ Cause::TimedOut(_)) => return result.and(Err(cause)),
                done => result = result.and(done),
            }
        }
        result
    }

    fn delete_some(&mut self, routes: &Batch, places: std::ops::Range<usize>) -> Result<(), Cause> {
        let there = self.there(routes, places)?;
        if there.is_empty() {
            return Ok(());
        }
        self.batch.clear();
        for route in there {
            self.batch.request(RTM_DELROUTE, 0, |out| out.extend_from_slice(route));
        }
        let mut refusals = self.exchange()?.into_iter();
        match refusals.find(|(_, refusal)| !is_gone(refusal.errno)) {
            Some((_, refusal)) => Err(refusal.into()),
            None => Ok(()),
        }
    }

    /// Those that are there, or may be: asked for where a request to delete could hit another one.
    fn there<'r>(
        &mut self,
        routes: &'r Batch,
        places: std::ops::Range<usize>,
    ) -> Result<Vec<&'r [u8]>, Cause> {
        const EXCL: u16 = 0x200;
        let mut there: Vec<_> = places.map(|place| routes.payload(place)).collect();
        if !there.iter().any(|route| metric_means_any(route)) {
            return Ok(there);
        }
        self.batch.clear();
        for route in &there {
            self.batch.request(RTM_NEWROUTE, EXCL, |out| out.extend_from_slice(route));
        }
        let mut refusals = self.exchange()?;
        refusals.retain(|(_, refusal)| refusal.errno == Errno::ENOENT);
        let mut place = 0;
        there.retain(|route| {
            let gone = refusals.iter().any(|(at, _)| *at == place);
            place += 1;
            !gone || !metric_means_any(route)
        });
        Ok(there)
    }
}

/// Many routes that exist. They are deleted as one route is, each by all that netloom set, a hundred in a
/// datagram.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutesHandle {
    netns: Netns,
    /// As they were asked for: what tells each from all others.
    routes: Arc<Batch>,
}

impl RoutesHandle {
    /// The namespace they are in.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Remove for RoutesHandle {
    fn remove(&self) -> Result<(), Error> {
        let mut many = Many { netns: &self.netns, batch: Batch::default() };
        many.delete(&self.routes).map_err(|cause| {
            cause.doing("delete", format!("{} routes", self.len())).in_namespace(&self.netns)
        })
    }
}

impl fmt::Debug for RoutesHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutesHandle")
            .field("namespace", &self.netns)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Why [`Route::create_all`] failed for some, with the owner of the others.
#[derive(Debug)]
pub struct CreateAllError {
    failures: Vec<(usize, Error)>,
    owned: Owned<RoutesHandle>,
}

impl fmt::Display for CreateAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not made", self.failures.len())?;
        match self.failures.first() {
            Some((place, error)) => write!(f, ", the first of them number {place}: {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CreateAllError {}

impl CreateAllError {
    /// Those that were refused, each with its place. Where an answer was lost, the last of them is the first
    /// whose outcome is unknown, and those after it were not tried.
    pub fn failures(&self) -> &[(usize, Error)] {
        &self.failures
    }

    /// The owner of all that were made.
    pub fn into_owned(self) -> Owned<RoutesHandle> {
        self.owned
    }
}

/// The first refusal; what was made is deleted.
impl From<CreateAllError> for Error {
    fn from(failure: CreateAllError) -> Self {
        let first = failure.failures.into_iter().next();
        first
            .map_or_else(|| Self::invalid(ACTION, "routes", "none was refused"), |(_, error)| error)
    }
}
