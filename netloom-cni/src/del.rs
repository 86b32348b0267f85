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
use crate::host::Host;
use crate::ipam::Ipam;
use crate::ports;
use crate::store::Store;

pub(crate) fn del(call: &Call, config: &Config) -> Result<(), Failure> {
    let attachment = config.attachment(call);
    let mut failures = unplug(config, &attachment);
    if let Ipam::Delegate(delegate) = &config.ipam {
        let done = delegate.run(Command::Del, call, &config.document);
        // If the delegated plugin is missing and no record exists, ADD was refused and no address
        // was assigned.
        let is_nobody = || !delegate.is_there(call) && !is_remembered(config, &attachment);
        failures.extend(done.err().filter(|_| !is_nobody()));
    }
    if failures.is_empty() {
        failures.extend(forget(config, &attachment).err());
    }
    Failure::join(failures)
}

/// Removes an attachment except its record. The record is deleted last, so its addresses stay
/// reserved until everything else is gone.
pub(crate) fn unplug(config: &Config, attachment: &Attachment) -> Vec<Failure> {
    // The store is read before the host is locked: that is the order of the locks.
    let addresses = addresses(config, attachment);
    let host = match Host::share() {
        Ok(host) => host,
        Err(failure) => return vec![failure],
    };
    let failures = [
        ports::unpublish(&host.netns, &attachment.tag()),
        addresses.and_then(|addresses| unfilter(&host, attachment, addresses)),
        cut(&host, &attachment.link_name()),
    ];
    failures.into_iter().filter_map(Result::err).collect()
}

pub(crate) fn forget(config: &Config, attachment: &Attachment) -> Result<(), Failure> {
    match Store::existing(&config.data, &config.network)? {
        Some(store) => store.forget(attachment),
        None => Ok(()),
    }
}

fn is_remembered(config: &Config, attachment: &Attachment) -> bool {
    !matches!(addresses(config, attachment), Ok(None))
}

fn unfilter(
    host: &Host,
    attachment: &Attachment,
    addresses: Option<Vec<IpAddr>>,
) -> Result<(), Failure> {
    let Some(filter) = Filter::find(&host.netns)? else { return Ok(()) };
    let tag = attachment.tag();
    match addresses {
        Some(addresses) => filter.remove(&tag, &addresses),
        // Without a record (its ADD was killed, or the record was lost), all elements are searched.
        None => filter.sweep(&BTreeSet::from([tag])),
    }
}

/// Returns the addresses of the attachment, or `None` if there is no record.
fn addresses(config: &Config, attachment: &Attachment) -> Result<Option<Vec<IpAddr>>, Failure> {
    let store = Store::existing(&config.data, &config.network)?;
    let record = store.map(|store| store.record(attachment)).transpose()?.flatten();
    Ok(record.map(|record| record.addresses.iter().map(IpNet::addr).collect()))
}

/// Deletes the host's end of the cable, which also deletes the container's end. If the container's
/// namespace is gone, the cable is gone already.
pub(crate) fn cut(host: &Host, link_name: &str) -> Result<(), Failure> {
    match host.netns.link(link_name) {
        Err(error) if error.is_not_found() => Ok(()),
        link => Ok(Owned::adopt(link?).delete().map_err(netloom::Error::from)?),
    }
}
