//! The create request of any kind of link, and what the kernel says it made.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};
use nix::errno::Errno;

use super::change::explain_master;
use super::handle::Link;
use super::message::LinkRequest;
use super::settings::Settings;
use crate::error::Error;
use crate::netlink::Requests;
use crate::netns::{Netns, Quoted};
use crate::wire::link::LinkView;

/// A link as the kernel made it.
pub(super) struct Born {
    pub(super) link: Link,
    pub(super) peer: Option<u32>,
}

/// Sends a create request and reads back, from the echo, which indexes the kernel gave.
pub(super) fn create_link(
    action: &'static str,
    netns: &Netns,
    settings: &Settings,
    request: LinkRequest,
) -> Result<Born, Error> {
    let object = Quoted(&settings.name);
    let mut echo = None;
    let mut requests = Requests::new();
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
    requests.push(action, &object, &request.create(), flags);
    netns
        .send(requests, |_, answer| {
            echo = LinkView::read(answer).map(|view| (view.index, view.link()));
        })
        .map_err(|error| explain_create(error, netns, settings))?;
    let (index, peer) = match echo {
        Some(echo) => echo,
        // Kernels before 6.2 send no echo.
        None => netns
            .look_up(LinkRequest::named(&settings.name), |view| Some((view.index, view.link())))
            .map_err(|cause| cause.doing(action, &object).in_namespace(netns))?,
    };
    let link = Link { netns: netns.clone(), index, name: settings.name.clone() };
    Ok(Born { link, peer })
}

fn explain_create(error: Error, netns: &Netns, settings: &Settings) -> Error {
    if let Some(master) = &settings.master
        && let Ok(index) = master.resolve(netns, "find")
        && !error.is_already_exists()
    {
        return explain_master(error, netns, master, index);
    }
    error
        .hint_on(Errno::EEXIST, || {
            format!("a link named `{}` is already in {netns}", settings.name)
        })
        .hint_on(Errno::EOPNOTSUPP, || "this kernel has no links of this kind".into())
}
