//! Published ports: found again by the attachment's tag, whatever is remembered of it.

use ipnet::IpNet;
use netloom::{DeleteError, Link, Netns, Owned, PortForward, PortForwardHandle};

use crate::attachment::Attachment;
use crate::config::Config;
use crate::failure::{Code, Failure};

/// What the configuration asks for, to the container's first address of each family.
fn wanted(config: &Config, attachment: &Attachment, addresses: &[IpNet]) -> Vec<PortForward> {
    let tag = attachment.tag();
    let first = |is_ipv4: bool| {
        let mut all = addresses.iter().map(IpNet::addr);
        all.find(|address| address.is_ipv4() == is_ipv4)
    };
    let to = |address| config.ports.iter().filter_map(move |port| port.to(address));
    let forwards = [true, false].into_iter().filter_map(first).flat_map(to);
    forwards.map(|forward| forward.tagged(&tag)).collect()
}

/// Publishes all of them, or none. They go again unless they are kept.
pub(crate) fn publish(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
    by: &Link,
) -> Result<Vec<Owned<PortForwardHandle>>, Failure> {
    let wanted = wanted(config, attachment, addresses);
    let wanted: Vec<_> = wanted.into_iter().map(|forward| forward.link(by)).collect();
    Ok(PortForward::create_all(&wanted, host)?)
}

/// Takes away what an attachment has published.
pub(crate) fn unpublish(host: &Netns, attachment: &Attachment) -> Result<(), Failure> {
    let ports = host.port_forwards(&attachment.tag())?;
    let failed = match Owned::delete_all(ports.into_iter().map(Owned::adopt)) {
        Ok(()) => return Ok(()),
        Err(failed) => failed,
    };
    let failure = |failed: DeleteError<_>| Failure::from(netloom::Error::from(failed));
    Failure::join(failed.into_iter().map(failure).collect())
}

/// Names what is missing.
pub(crate) fn check(
    host: &Netns,
    config: &Config,
    attachment: &Attachment,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    let wanted = wanted(config, attachment, addresses);
    if wanted.is_empty() {
        return Ok(());
    }
    let there: Vec<_> =
        host.port_forwards(&attachment.tag())?.iter().map(ToString::to_string).collect();
    match wanted.iter().find(|wanted| !there.contains(&wanted.to_string())) {
        Some(wanted) => {
            Err(Failure::new(Code::Missing, format!("the published port {wanted} is missing")))
        }
        None => Ok(()),
    }
}
