//! The built-in assignment of addresses, configured like the reference `host-local` plugin.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::range::{Range, RangeSet};
use super::resolv_conf;
use crate::call::Call;
use crate::config::requested;
use crate::failure::{Code, Failure};
use crate::fields::Fields;
use crate::result::{Ip, NetworkResult, Route};
use crate::store::{Choice, Store};

#[derive(Debug, Clone, Default)]
pub(crate) struct BuiltIn {
    /// The sets of ranges. A container gets one address from each set.
    sets: Vec<RangeSet>,
    requested: Vec<IpAddr>,
    routes: Vec<Route>,
    resolv_conf: Option<PathBuf>,
}

impl BuiltIn {
    /// Returns the configured routes.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub(super) fn read(
        fields: &Fields<'_>,
        ipam: &Fields<'_>,
        call: &Call,
    ) -> Result<Self, Failure> {
        let mut sets = Vec::new();
        if let Some(runtime) = fields.object("runtimeConfig")? {
            for (path, value) in runtime.list("ipRanges")? {
                sets.push((path.clone(), RangeSet::read(value, &path)?));
            }
        }
        // Older configurations have a single range instead of sets of ranges.
        if ipam.value("subnet").is_some() {
            sets.push((ipam.path_of("subnet"), RangeSet(vec![Range::read(ipam)?])));
        }
        for (path, value) in ipam.list("ranges")? {
            sets.push((path.clone(), RangeSet::read(value, &path)?));
        }
        if sets.is_empty() {
            return Err(ipam.refuse("ranges", "a list of sets of ranges"));
        }
        for (at, (path, set)) in sets.iter().enumerate() {
            if let Some((other_path, other)) =
                sets[..at].iter().find(|(_, other)| other.overlaps(set))
            {
                let problem = format!("{path}: {set} overlaps {other} of {other_path}");
                return Err(Failure::new(Code::InvalidConfig, problem));
            }
        }
        let routes = ipam.objects("routes")?;
        Ok(Self {
            sets: sets.into_iter().map(|(_, set)| set).collect(),
            requested: requested(fields, call)?,
            routes: routes.iter().map(Route::read).collect::<Result<_, _>>()?,
            resolv_conf: ipam
                .text("resolvConf")?
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        })
    }

    /// Chooses an address from each set: the requested address, or the next one that is free.
    pub(crate) fn choose(&self, store: &Store) -> Result<(NetworkResult, Vec<Choice>), Failure> {
        let none = |problem: String| Failure::new(Code::Addresses, problem);
        let mut unused = self.requested.clone();
        let mut choices = Vec::new();
        let mut ips = Vec::new();
        for (set, ranges) in self.sets.iter().enumerate() {
            let wanted = unused.iter().position(|address| ranges.range_of(*address).is_some());
            let address = match wanted.map(|at| unused.remove(at)) {
                Some(address) if ranges.0.iter().any(|range| range.gateway == address) => {
                    return Err(none(format!("the requested address {address} is the gateway")));
                }
                Some(address) if !store.is_free(address)? => {
                    let by = store.holder(address).map(|holder| format!(" by {holder}"));
                    let by = by.unwrap_or_default();
                    return Err(none(format!("the requested address {address} is taken{by}")));
                }
                Some(address) => address,
                None => next(store, set, ranges)?,
            };
            let Some(range) = ranges.range_of(address) else { continue };
            let length = range.subnet.prefix_len();
            let prefix = IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address));
            ips.push(Ip { address: prefix, gateway: Some(range.gateway), interface: None });
            choices.push(Choice { set, address });
        }
        if let Some(address) = unused.first() {
            return Err(none(format!(
                "the requested address {address} is in no range of an unused set"
            )));
        }
        let dns = self.resolv_conf.as_deref().map(resolv_conf::read).transpose()?;
        let routes = self.routes.clone();
        Ok((NetworkResult { ips, routes, dns, ..NetworkResult::default() }, choices))
    }

    /// Fails if a set of ranges has no free address.
    pub(crate) fn has_addresses(&self, store: &Store) -> Result<(), Failure> {
        let given = store.addresses()?;
        for ranges in &self.sets {
            let used = given.iter().filter(|address| ranges.range_of(**address).is_some()).count();
            // The gateway's address is never given to a container.
            let gateways = ranges.0.iter().filter(|range| range.contains(range.gateway)).count();
            let used = u128::try_from(used + gateways).unwrap_or(u128::MAX);
            if used >= ranges.len() {
                return Err(Failure::new(
                    Code::Unavailable,
                    format!("no address is free in {ranges}"),
                ));
            }
        }
        Ok(())
    }
}

fn next(store: &Store, set: usize, ranges: &RangeSet) -> Result<IpAddr, Failure> {
    /// The number of candidates that are looked up by file name. After that, listing the whole
    /// directory is cheaper.
    const LOOKS: usize = 16;
    let mut candidates = ranges.addresses_after(store.last(set));
    for address in candidates.by_ref().take(LOOKS) {
        if store.is_free(address)? {
            return Ok(address);
        }
    }
    let taken: HashSet<IpAddr> = store.addresses()?.into_iter().collect();
    let free = candidates.find(|address| !taken.contains(address));
    free.ok_or_else(|| Failure::new(Code::Addresses, format!("no address is free in {ranges}")))
}
