//! The links that a rule names: of which namespace they are, and by which index statements know them.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::nft::model::device::{Device, Links};
use crate::nft::model::part::Part;

impl Links {
    /// Refuses links of another namespace: in this one their names mean others, or none.
    pub(crate) fn check(
        &self,
        netns: &Netns,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<(), Error> {
        self.0.iter().try_for_each(|link| link.check_home(netns, action, &object))
    }

    fn index(
        &self,
        netns: &Netns,
        name: &str,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<u32, Error> {
        match self.0.iter().find(|link| link.name() == name) {
            Some(link) => link.resolve(netns, action, object),
            None => LinkRef::from(name).resolve(netns, action, object),
        }
    }

    /// The parts of a rule as the kernel takes them, by index.
    pub(crate) fn resolve(
        &self,
        parts: &[Part],
        netns: &Netns,
        action: &'static str,
        object: impl fmt::Display,
    ) -> Result<Vec<Part>, Error> {
        let mut parts = parts.to_vec();
        for device in parts.iter_mut().filter_map(Part::device_mut) {
            if let Device::Named(name) = device {
                *device = Device::Index(self.index(netns, name, action, &object)?);
            }
        }
        Ok(parts)
    }
}

/// Puts names where the kernel lists indexes; what is gone keeps its number.
pub(crate) fn name_devices<'a>(
    netns: &Netns,
    parts: impl IntoIterator<Item = &'a mut Part>,
) -> Result<(), Error> {
    let mut devices: Vec<_> = parts.into_iter().filter_map(Part::device_mut).collect();
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
            **device = Device::Named((*name).to_owned());
        }
    }
    Ok(())
}
