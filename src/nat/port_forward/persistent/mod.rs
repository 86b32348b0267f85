//! Published ports that outlive the program, in tables that nobody owns.

mod add;
mod change;
mod find;
mod ledger;
mod note;
mod record;
mod take;

use super::handle::{Kept, PortForwardHandle};
use super::mapping::Port;
use super::ruleset::PortTable;
use super::tables::{self, Known, Step, change, unchanged};
use crate::error::{Cause, Error};
use crate::netlink::Socket;

pub(super) use add::create;
pub(crate) use find::all;
pub(super) use ledger::Ledger;
pub(super) use take::take_all;

fn unwritable(step: Step<'_>) -> Error {
    Error::invalid(step.0, step.1, "it can't be put into an element")
}

/// Whether each of its ports leads to it still, and the rules by which packets come to where that is said.
pub(super) fn is_in_force(handle: &PortForwardHandle, kept: &Kept) -> Result<bool, Error> {
    let step: Step<'_> = ("look at forwarded port", handle);
    let table = PortTable::persistent(handle.mapping.is_ipv4());
    change(&handle.netns, step, |socket, ports, generation| {
        let in_force = own_ports(socket, &ports.known, &table, handle, kept)
            .map_err(|cause| cause.doing(step.0, step.1))?;
        unchanged(socket, generation, step)?;
        let is_whole = !ports.known.is_broken(&table);
        Ok(is_whole && in_force.len() == handle.mapping.host_ports.len())
    })
}

/// Its ports whose elements are there, and its own: anybody can take one away.
fn own_ports(
    socket: &mut Socket,
    known: &Known,
    table: &PortTable,
    handle: &PortForwardHandle,
    kept: &Kept,
) -> Result<Vec<Port>, Cause> {
    if !known.has(table) {
        return Ok(Vec::new());
    }
    let ports: Vec<_> = handle.mapping.ports().map(|(port, _)| port).collect();
    let found = tables::find(socket, table, &ports)?;
    let own = ports.into_iter().zip(found).filter(|(_, element)| {
        let comment = element.as_ref().and_then(|element| element.userdata.as_ref()?.as_comment());
        comment == Some(&kept.tag)
    });
    Ok(own.map(|(port, _)| port).collect())
}
