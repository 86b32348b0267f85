//! GC: deletes attachments that the runtime no longer lists, all objects of a kind together.

use std::collections::{BTreeSet, HashSet};

use netloom::{Owned, Together};

use crate::accept;
use crate::attachment::Attachment;
use crate::bridge;
use crate::call::{Call, Command};
use crate::config::Config;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::frames;
use crate::gateway;
use crate::host::Host;
use crate::ipam::{Delegate, Ipam};
use crate::ports;
use crate::store::Store;

/// Deletes all unlisted attachments. Continues after failures and returns them together.
pub(crate) fn gc(call: &Call, config: &Config) -> Result<(), Failure> {
    let attachment = |(container, ifname): &(String, String)| Attachment {
        network: config.network.clone(),
        container: container.clone(),
        ifname: ifname.clone(),
    };
    let valid: HashSet<Attachment> = config.valid.iter().map(attachment).collect();
    let known = known(config, &valid);
    let mut failures = sweep(config, &valid, known.as_deref().unwrap_or_default());
    match known {
        // While a record exists, GC can be repeated.
        Ok(known) if failures.is_empty() => failures.extend(forget(config, &known)),
        known => failures.extend(known.err()),
    }
    if let Ipam::Delegate(delegate) = &config.ipam {
        let done = delegate.run(Command::Gc, call, &config.document);
        failures.extend(done.err().filter(|failure| !Delegate::is_unknown_command(failure)));
    }
    Failure::join(failures)
}

/// Lists the unlisted attachments that have a record.
fn known(config: &Config, valid: &HashSet<Attachment>) -> Result<Vec<Attachment>, Failure> {
    let Some(store) = Store::existing(&config.data, &config.network)? else {
        return Ok(Vec::new());
    };
    let mut known = store.attachments()?;
    known.retain(|attachment| !valid.contains(attachment));
    Ok(known)
}

fn forget(config: &Config, known: &[Attachment]) -> Vec<Failure> {
    let store = match Store::existing(&config.data, &config.network) {
        Ok(Some(store)) => store,
        Ok(None) => return Vec::new(),
        Err(failure) => return vec![failure],
    };
    let mut failures = store.forget_all(known);
    if let Ipam::BuiltIn(_) = config.ipam {
        failures.extend(store.forget_nameless().err());
    }
    failures
}

/// Deletes the kernel objects of unlisted attachments, with or without a record.
fn sweep(config: &Config, valid: &HashSet<Attachment>, known: &[Attachment]) -> Vec<Failure> {
    let mut host = match Host::share() {
        Ok(host) => host,
        Err(failure) => return vec![failure],
    };
    let of_network = Attachment::tag_prefix(&config.network);
    let valid_tags: HashSet<String> = valid.iter().map(Attachment::tag).collect();
    let is_gone = |tag: &str| tag.starts_with(&of_network) && !valid_tags.contains(tag);
    let mut gone: BTreeSet<String> = known.iter().map(Attachment::tag).collect();
    let mut failures = Vec::new();
    failures.extend(ports::unpublish_all(&host.netns, is_gone, &mut gone).err());
    let filter = Filter::find(&host.netns);
    if let Ok(Some(filter)) = &filter {
        let mut swept = || -> Result<(), Failure> {
            gone.extend(filter.tags(is_gone)?);
            filter.sweep(&gone)?;
            filter.repair(&mut host)
        };
        failures.extend(swept().err());
    }
    failures.extend(frames::sweep(&host.netns, is_gone).err());
    failures.extend(cut_all(&host, &gone).err());
    match filter {
        Ok(Some(filter)) if valid.is_empty() => {
            failures.extend(forget_policy(&filter, &mut host, config).err());
        }
        filter => failures.extend(filter.err()),
    }
    failures
}

/// Deletes the host's ends of the cables of attachments with these tags, with one wait of the
/// kernel for all.
fn cut_all(host: &Host, gone: &BTreeSet<String>) -> Result<(), Failure> {
    let names: HashSet<String> = gone.iter().filter_map(|tag| Attachment::link_of(tag)).collect();
    let mut links = host.netns.links()?;
    links.retain(|link| names.contains(&link.name));
    let mut ends = Together::new(Vec::with_capacity(links.len()));
    for link in &links {
        match host.netns.link_at(link.index) {
            Err(error) if error.is_not_found() => {}
            end => ends.push(Owned::adopt(end?)),
        }
    }
    let joined = |errors: Vec<_>| Failure::join(errors.into_iter().map(Failure::from).collect());
    ends.delete().or_else(|failed| joined(failed.into_errors()))
}

/// Deletes the `ingressPolicy` elements of a bridge without containers. DEL leaves them: it would
/// have to list the bridge's ports each time, under an exclusive lock.
fn forget_policy(filter: &Filter, host: &mut Host, config: &Config) -> Result<(), Failure> {
    host.alone()?;
    if let Some(bridge) = bridge::find(&host.netns, &config.bridge)?
        && bridge.ports()?.iter().any(|port| !gateway::is_port(config, &port.name))
    {
        return filter.forget_policy(None);
    }
    accept::remove(&host.netns, config)?;
    let link = bridge::find(&host.netns, &gateway::name(config))?;
    filter.forget_policy(link.map(|link| link.index()))
}
