//! Looks up the links that rules, chains and flowtables name.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::nft::model::device::{Device, Devices};
use crate::nft::model::statement::Statement;

/// Refuses links of another namespace: in this namespace their names belong to other links, or to
/// none.
pub(crate) fn check_home(
    devices: &Devices,
    netns: &Netns,
    action: &'static str,
    object: impl fmt::Display,
) -> Result<(), Error> {
    devices.links().iter().try_for_each(|link| link.check_home(netns, action, &object))
}

/// Returns the statements with each link replaced by its index, as the kernel needs it.
pub(crate) fn resolve(
    statements: &[Box<dyn Statement>],
    netns: &Netns,
    action: &'static str,
    object: impl fmt::Display,
) -> Result<Vec<Box<dyn Statement>>, Error> {
    let mut statements = statements.to_vec();
    for device in statements.iter_mut().filter_map(|one| one.device_mut()) {
        if let Device::Link(link) = device {
            *device = Device::Index(link.resolve(netns, action, &object)?);
        }
    }
    Ok(statements)
}

/// Replaces the indexes that the kernel lists by names. The index of a deleted link stays an index.
pub(crate) fn name_devices<'a>(
    netns: &Netns,
    statements: impl IntoIterator<Item = &'a mut Box<dyn Statement>>,
) -> Result<(), Error> {
    let mut devices: Vec<_> = statements.into_iter().filter_map(|one| one.device_mut()).collect();
    if devices.is_empty() {
        return Ok(());
    }
    let links = netns.links()?;
    let names: BTreeMap<u32, &str> =
        links.iter().map(|link| (link.index.get(), link.name.as_str())).collect();
    for device in &mut devices {
        if let Device::Index(index) = device
            && let Some(name) = names.get(index)
        {
            **device = Device::Link(LinkRef::from(*name));
        }
    }
    Ok(())
}
