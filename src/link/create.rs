//! The create request of any kind of link, and what the kernel says it made.

use nix::errno::Errno;

use super::change::explain_master;
use super::handle::Link;
use super::message::LinkRequest;
use super::settings::Settings;
use crate::error::{Cause, Error};
use crate::mac::MacAddr;
use crate::netlink::Requests;
use crate::netns::{Identity, Netns, Quoted};
use crate::owned::Owned;
use crate::wire::link::{LinkView, WhichLink};
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};

/// Sends a create request and reads back, from the echo, which indexes the kernel gave.
///
/// `mac` is the address it is born with. Where nobody else asked for it, it is made up for this one
/// request, so that a link whose answer was lost is known by it, and deleted.
pub(super) fn create_link(
    action: &'static str,
    netns: &Netns,
    settings: &Settings,
    mac: MacAddr,
    request: LinkRequest,
) -> Result<Link, Error> {
    let object = Quoted(&settings.name);
    let mut echo = None;
    let mut requests = Requests::new();
    let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
    requests.push(action, &object, &request.create(), flags);
    let sent = netns.send(requests, |_, answer| {
        echo = LinkView::read(answer).map(|view| (view.index, Identity::of(view)));
    });
    // By its address, too: the name may be another link's by now.
    let find = || {
        netns.look_up_link(WhichLink::Named(&settings.name), |view| {
            let is_it = view.mac() == Some(mac.octets());
            Some(is_it.then(|| (view.index, Identity::of(view))))
        })
    };
    let named = |cause: Cause| cause.doing(action, &object).in_namespace(netns);
    let born = |(index, identity)| Link {
        netns: netns.clone(),
        index,
        name: settings.name.as_str().into(),
        identity,
    };
    let failure = match (sent, echo) {
        (Ok(()), Some(echo)) => return Ok(born(echo)),
        // Kernels before 6.2 send no echo.
        (Ok(()), None) => match find() {
            Ok(Some(found)) => return Ok(born(found)),
            Ok(None) => {
                let taken = || "it is gone, and a link of this name is another's by now".into();
                named(Errno::ENODEV.into()).hint_on(Errno::ENODEV, taken)
            }
            Err(cause) => named(cause),
        },
        (Err(error), _) if !error.is_outcome_unknown() => {
            return Err(explain_create(error, netns, settings));
        }
        (Err(error), _) => error,
    };
    // It may be there: what bears this address was made by this request.
    if let Ok(Some(found)) = find() {
        drop(Owned::new(born(found)));
    }
    Err(failure)
}

fn explain_create(error: Error, netns: &Netns, settings: &Settings) -> Error {
    if let Some(master) = &settings.master
        && let Ok(index) = master.resolve(netns, "find", master)
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
