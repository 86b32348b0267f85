//! GC: deletes attachments that the runtime no longer lists.

use std::collections::HashSet;

use crate::attachment::Attachment;
use crate::bridge;
use crate::call::{Call, Command};
use crate::config::Config;
use crate::del;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::gateway;
use crate::host::Host;
use crate::ipam::{Delegate, Ipam};
use crate::ports;
use crate::store::Store;

/// Deletes all unlisted attachments. Continues after failures and returns them together.
pub(crate) fn gc(call: &Call, config: &Config) -> Result<(), Failure> {
    let valid: HashSet<Attachment> = config
        .valid
        .iter()
        .map(|(container, ifname)| Attachment {
            network: config.network.clone(),
            container: container.clone(),
            ifname: ifname.clone(),
        })
        .collect();
    let mut failures = Vec::new();
    let known = Store::existing(&config.data, &config.network)
        .and_then(|store| store.map_or(Ok(Vec::new()), |store| store.attachments(&config.network)));
    match known {
        Err(failure) => failures.push(failure),
        Ok(known) => {
            for attachment in known.iter().filter(|one| !valid.contains(one)) {
                let problems = del::unplug(config, attachment);
                if problems.is_empty() {
                    failures.extend(del::forget(config, attachment).err());
                }
                failures.extend(problems);
            }
        }
    }
    failures.extend(sweep(config, &valid));
    if let Ipam::Delegate(delegate) = &config.ipam {
        let done = delegate.run(Command::Gc, call, &config.document);
        failures.extend(done.err().filter(|failure| !Delegate::is_unknown_command(failure)));
    }
    Failure::join(failures)
}

/// Deletes packet filter objects that have a tag of the network, but no record.
fn sweep(config: &Config, valid: &HashSet<Attachment>) -> Vec<Failure> {
    let swept = || -> Result<Vec<Failure>, Failure> {
        if let Ipam::BuiltIn(_) = config.ipam
            && let Some(store) = Store::existing(&config.data, &config.network)?
        {
            store.forget_nameless(&config.network)?;
        }
        let mut host = Host::share()?;
        let of_network = Attachment::tag_prefix(&config.network);
        let filter = Filter::find(&host.netns)?;
        let mut gone = ports::tags(&host.netns, &of_network)?;
        if let Some(filter) = &filter {
            gone.extend(filter.tags(&of_network)?);
        }
        for attachment in valid {
            gone.remove(&attachment.tag());
        }
        let mut failures = Vec::new();
        for tag in &gone {
            failures.extend(ports::unpublish(&host.netns, tag).err());
            let link = Attachment::link_of(tag);
            failures.extend(link.and_then(|link| del::cut(&host, &link).err()));
        }
        if let Some(filter) = filter {
            if !gone.is_empty() {
                failures.extend(filter.sweep(&gone).err());
            }
            if valid.is_empty() {
                failures.extend(forget_policy(&filter, &mut host, config).err());
            }
        }
        Ok(failures)
    };
    swept().unwrap_or_else(|failure| vec![failure])
}

/// Deletes the `ingressPolicy` elements of a bridge without containers. DEL leaves them: it would
/// have to list the bridge's ports each time, under an exclusive lock.
fn forget_policy(filter: &Filter, host: &mut Host, config: &Config) -> Result<(), Failure> {
    host.alone()?;
    if let Some(bridge) = bridge::find(&host.netns, &config.bridge)?
        && bridge.ports()?.iter().any(|port| !gateway::is_port(config, &port.name))
    {
        return Ok(());
    }
    filter.forget_policy(config)
}
