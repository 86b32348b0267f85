//! DEL: deletes what ADD created and still exists.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom::Owned;

use crate::attachment::Attachment;
use crate::call::{Call, Command};
use crate::config::Config;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::frames;
use crate::host::Host;
use crate::ipam::Ipam;
use crate::ports;
use crate::store::Store;

/// Removes the attachment. Continues after failures and returns them together, so unreadable state
/// leaves nothing in the kernel.
pub(crate) fn del(call: &Call, config: &Config) -> Result<(), Failure> {
    let attachment = config.attachment(call);
    // Any store is read before the host is locked.
    let memory = Memory::of(config, &attachment);
    let addresses = memory.as_ref().ok().and_then(|memory| memory.addresses.as_deref());
    let mut failures = unplug(&attachment, addresses);
    if let Ipam::Delegate(delegate) = &config.ipam {
        let done = delegate.run(Command::Del, call, &config.document);
        let is_unknown = memory.as_ref().is_ok_and(|memory| !memory.is_remembered);
        // If the delegated plugin is missing and no record exists, ADD was refused and no address
        // was assigned.
        let is_nobody = || !delegate.is_there(call) && is_unknown;
        failures.extend(done.err().filter(|_| !is_nobody()));
    }
    match memory {
        Ok(_) if failures.is_empty() => failures.extend(forget(config, &attachment).err()),
        memory => failures.extend(memory.err()),
    }
    Failure::join(failures)
}

/// Removes an attachment except its record. The record is deleted last, so its addresses stay
/// reserved until everything else is gone.
fn unplug(attachment: &Attachment, addresses: Option<&[IpAddr]>) -> Vec<Failure> {
    let mut host = match Host::share() {
        Ok(host) => host,
        Err(failure) => return vec![failure],
    };
    let removed = [
        ports::unpublish(&host.netns, &attachment.tag()),
        unfilter(&mut host, attachment, addresses),
        frames::remove(&host.netns, &attachment.link_name()),
        cut(&host, &attachment.link_name()),
    ];
    removed.into_iter().filter_map(Result::err).collect()
}

fn forget(config: &Config, attachment: &Attachment) -> Result<(), Failure> {
    match Store::existing(&config.data, &config.network)? {
        Some(store) => store.forget(attachment),
        None => Ok(()),
    }
}

fn unfilter(
    host: &mut Host,
    attachment: &Attachment,
    addresses: Option<&[IpAddr]>,
) -> Result<(), Failure> {
    let Some(filter) = Filter::find(&host.netns)? else { return Ok(()) };
    let tag = attachment.tag();
    let removed = match addresses {
        Some(addresses) => filter.remove(&tag, addresses),
        // The addresses are unknown, as after a killed ADD or a lost record, so all elements are
        // searched.
        None => filter.sweep(&BTreeSet::from([tag])),
    };
    // Other containers may need rules that this container does not.
    removed.and(filter.repair(host))
}

/// The state of an attachment on disk.
#[derive(Debug)]
struct Memory {
    is_remembered: bool,
    /// `None` if the addresses are unknown: the record is missing or unreadable.
    addresses: Option<Vec<IpAddr>>,
}

impl Memory {
    fn of(config: &Config, attachment: &Attachment) -> Result<Self, Failure> {
        let Some(store) = Store::existing(&config.data, &config.network)? else {
            return Ok(Self { is_remembered: false, addresses: None });
        };
        let record = store.record(attachment);
        Ok(Self {
            is_remembered: store.remembers(attachment)?,
            addresses: record.map(|record| record.addresses.iter().map(IpNet::addr).collect()),
        })
    }
}

/// Deletes the host's end of the cable, and so the container's end. If the namespace is gone, both
/// ends are gone.
fn cut(host: &Host, link_name: &str) -> Result<(), Failure> {
    match host.netns.link(link_name) {
        Err(error) if error.is_not_found() => Ok(()),
        link => Ok(Owned::adopt(link?).delete().map_err(netloom::Error::from)?),
    }
}
