//! Tries to create a link of each kind.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::answer::{Answer, Verdict};
use super::check::Check;
use crate::error::{Cause, Error, Refusal};
use crate::link::{LinkKind, write_kind};
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::sys;
use crate::sys::file::{self, OFlag};
use crate::wire::link::{AF_UNSPEC, IFLA_IFNAME, IFLA_LINK, header};
use crate::wire::message::{NLM_F_CREATE, NLM_F_EXCL};

pub(super) fn examine(room: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let answer = |kind: &LinkKind| match (kind, room) {
        (_, Err(error)) => {
            Answer::unknown(format!("no namespace to try it in: {}", error.reason()))
        }
        (LinkKind::Tun, Ok(netns)) => tun(netns),
        (_, Ok(netns)) => {
            match kind.facts().has_parent.then(|| parent_of(kind, netns)).transpose() {
                Ok(parent) => read(kind, try_kind(netns, &format!("try-{kind}"), kind, parent)),
                Err(reason) => Answer::unknown(format!("no veth to try it on: {reason}")),
            }
        }
    };
    LinkKind::ALL.iter().map(|kind| (Check::Link(kind.clone()), answer(kind))).collect()
}

/// Creates a parent for a link of this kind. Each kind gets its own parent, because a link cannot
/// be the parent of both macvlans and ipvlans.
fn parent_of(kind: &LinkKind, netns: &Netns) -> Result<u32, String> {
    let name = format!("on-{kind}");
    try_kind(netns, &name, &LinkKind::Veth, None).map_err(|cause| cause.to_string())?;
    netns.link(&name).map(|link| link.index().get()).map_err(|error| error.reason())
}

fn read(kind: &LinkKind, result: Result<(), Cause>) -> Answer {
    match result {
        Ok(()) => Answer::yes(),
        Err(Cause::Kernel(Refusal { errno: Errno::EOPNOTSUPP, .. })) => Answer::new(
            Verdict::Unsupported,
            format!("this kernel has no `{kind}` links (EOPNOTSUPP)"),
            format!("`modprobe rtnl-link-{kind}` as root, or a kernel with this kind"),
        ),
        Err(Cause::Kernel(Refusal { errno: Errno::EPERM, .. })) => {
            Answer::no("a privilege is missing (EPERM)", "run it as root or under `unshare -rnm`")
        }
        Err(cause) => {
            Answer::unknown(format!("the kernel has this kind, but made no link: {cause}"))
        }
    }
}

fn try_kind(netns: &Netns, name: &str, kind: &LinkKind, parent: Option<u32>) -> Result<(), Cause> {
    let mut batch = Batch::default();
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    batch.push(RequestType::NewLink, flags, &header(AF_UNSPEC, 0), |link| {
        link.string(IFLA_IFNAME, name);
        if let Some(parent) = parent {
            link.u32(IFLA_LINK, parent);
        }
        write_kind(link, kind.name(), kind.facts().required);
    });
    netns.rtnetlink(|socket| {
        let refused = socket.exchange(&mut batch, |_, _| ())?.into_iter().next();
        refused.map_or(Ok(()), |(_, refusal)| Err(refusal.into()))
    })
}

/// Tries to create a tun link through the device file, because netlink cannot. The link belongs to
/// the namespace in which the file was opened.
fn tun(netns: &Netns) -> Answer {
    const DEVICE: &str = "/dev/net/tun";
    let made = netns.run(|| {
        let device = file::open(DEVICE, OFlag::O_RDWR)?;
        sys::make_tun(device.as_fd())
    });
    match made {
        Ok(Ok(())) => Answer::yes(),
        Ok(Err(error)) => Answer::no(
            format!("{DEVICE}: {error}"),
            match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "let this user read and write it (`chmod a+rw /dev/net/tun`), or run it as root"
                }
                _ => "`modprobe tun` as root, or give the container that device",
            },
        ),
        Err(error) => Answer::from(Err(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Namespace;

    #[test]
    fn a_kind_without_its_parent_is_unknown_and_the_others_are_tried() {
        crate::testing::isolated(|| {
            let room = Namespace::anonymous().create().unwrap();
            try_kind(&room, "on-vlan", &LinkKind::Bridge, None).unwrap();
            let answers = examine(Ok(&room));
            let verdict = |kind| {
                let wanted = Check::Link(kind);
                let found = answers.iter().find(|(check, _)| *check == wanted);
                found.unwrap().1.verdict()
            };
            assert_eq!(verdict(LinkKind::Vlan), Verdict::Unknown);
            assert_eq!(verdict(LinkKind::Bridge), Verdict::Yes);
            assert_ne!(verdict(LinkKind::Macvlan), Verdict::Unknown);
            assert_ne!(verdict(LinkKind::Ipvlan), Verdict::Unknown);
            assert_ne!(verdict(LinkKind::Tun), Verdict::Unknown);
        });
    }
}
