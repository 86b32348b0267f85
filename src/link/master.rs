//! The reasons why the kernel refuses a master.

use nix::errno::Errno;

use super::kind::LinkKind;
use super::reference::LinkRef;
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::wire::link::WhichLink;

/// Explains the errno of a request that set a master.
pub(super) fn explain_master(error: Error, netns: &Netns, master: &LinkRef, index: u32) -> Error {
    let kind = || {
        netns.look_up_link(WhichLink::At(index), |view| {
            Some(view.kind().map(|kind| LinkKind::from(&*kind)))
        })
    };
    match error.errno() {
        Some(Errno::EXFULL) => {
            error.hint(format!("{master} has 1,023 ports, as many as a bridge takes"))
        }
        Some(Errno::EOPNOTSUPP | Errno::EINVAL) => match kind() {
            Ok(Some(LinkKind::Bridge | LinkKind::Bond | LinkKind::Vrf)) => error,
            Ok(kind) => takes_no_ports(&error, netns, master, kind),
            // The kernel answers EINVAL if no link has the index.
            Err(Cause::Kernel(gone)) if gone.errno == Errno::ENODEV => Cause::from(gone)
                .doing(error.action().to_owned(), error.shown_object())
                .in_namespace(netns)
                .hint(format!("{master} is gone")),
            Err(_) => error,
        },
        // Only a bond has words for it.
        Some(Errno::EPERM) if error.kernel_message().is_some() => error.hint(format!(
            "a port joins the bond {master} while it is down, and the bond sets it up"
        )),
        Some(Errno::ENODEV) => error.hint(format!("{master} or the link itself is gone")),
        _ => error,
    }
}

fn takes_no_ports(error: &Error, netns: &Netns, master: &LinkRef, kind: Option<LinkKind>) -> Error {
    let what = kind.map(|kind| format!(" but {kind}")).unwrap_or_default();
    Cause::Invalid(format!("{master} is not a bridge, bond or VRF{what}"))
        .doing(error.action().to_owned(), error.shown_object())
        .in_namespace(netns)
}
