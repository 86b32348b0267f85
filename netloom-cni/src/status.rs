//! STATUS: whether an ADD would succeed now.

use netloom::{LinkKind, Netns};

use crate::bridge::{find, forwards};
use crate::call::{Call, Command};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::filter::Filter;
use crate::host::Host;
use crate::ipam::{Delegate, Ipam};
use crate::store::Store;

pub(crate) fn status(call: &Call, config: &Config) -> Result<(), Failure> {
    look(call, config).map_err(|failure| {
        let codes = [Code::Unavailable, Code::UnavailableAndLimited].map(|code| code as u32);
        let is_known = codes.contains(&failure.code());
        if is_known { failure } else { Failure::new(Code::Unavailable, failure.to_string()) }
    })
}

fn look(call: &Call, config: &Config) -> Result<(), Failure> {
    if let Err(failure) = has_bridge(&Netns::current()?, config) {
        // If the bridge is gone, existing containers have lost their connection.
        let code =
            if is_anybody_there(config)? { Code::UnavailableAndLimited } else { Code::Unavailable };
        return Err(Failure::new(code, failure.to_string()));
    }
    has_room(&Netns::current()?, config)?;
    can_be_read(config)?;
    match &config.ipam {
        Ipam::None => Ok(()),
        Ipam::BuiltIn(built_in) => {
            built_in.has_addresses(&Store::open(&config.data, &config.network)?)
        }
        Ipam::Delegate(delegate) => {
            match delegate.run(Command::Status, call, &config.document) {
                // A plugin for a version before 1.1.0 does not know STATUS, which is no failure.
                Err(failure) if !Delegate::is_unknown_command(&failure) => Err(failure),
                _ => Ok(()),
            }
        }
    }
}

/// Lists the kernel objects that ADD lists first.
fn can_be_read(config: &Config) -> Result<(), Failure> {
    let host = Host::share()?;
    if Filter::is_needed(config) {
        Filter::find(&host.netns)?;
    }
    if config.routes() {
        forwards(&host, false)?;
    }
    Ok(())
}

/// Refuses a bridge that already has the maximal number of ports.
fn has_room(host: &Netns, config: &Config) -> Result<(), Failure> {
    /// `BR_MAX_PORTS` is 1,024, and no port has the number 0 (`net/bridge/br_private.h`).
    const MOST_PORTS: usize = 1023;
    let Some(bridge) = find(host, &config.bridge)? else { return Ok(()) };
    if bridge.ports()?.len() < MOST_PORTS {
        return Ok(());
    }
    let problem = format!(
        "bridge: `{}` is full: it has {MOST_PORTS} ports, the most it can have",
        config.bridge
    );
    Err(Failure::new(Code::Unavailable, problem))
}

fn is_anybody_there(config: &Config) -> Result<bool, Failure> {
    let store = Store::existing(&config.data, &config.network)?;
    let attachments = store.map(|store| store.attachments()).transpose()?;
    Ok(attachments.is_some_and(|attachments| !attachments.is_empty()))
}

/// Refuses a link with the bridge's name that is not a bridge.
fn has_bridge(host: &Netns, config: &Config) -> Result<(), Failure> {
    let Some(link) = find(host, &config.bridge)? else { return Ok(()) };
    match link.info()?.kind {
        Some(LinkKind::Bridge) => Ok(()),
        kind => {
            let kind = kind.as_ref().map_or("a link of no kind", LinkKind::name);
            let problem = format!("bridge: `{}` is not a bridge but {kind}", config.bridge);
            Err(Failure::new(Code::Unavailable, problem))
        }
    }
}
