//! Kinds of links: one of each is made.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::answer::Answer;
use super::check::{Check, LinkKind};
use crate::error::{Cause, Error, Refusal};
use crate::netlink::Batch;
use crate::netns::Netns;
use crate::sys;
use crate::wire::attribute::Writer;
use crate::wire::message::{HEADER, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};

const RTM_NEWLINK: u16 = 16;
const IFINFOMSG: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;

pub(super) fn examine(room: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let lower = room.map_err(Error::reason).and_then(|netns| {
        // Two, as a link is the lower one of either macvlans or ipvlans.
        for name in ["lower1", "lower2"] {
            try_kind(netns, name, LinkKind::Veth, None).map_err(|cause| cause.to_string())?;
        }
        let index =
            |name| netns.link(name).map(|link| link.index().get()).map_err(|error| error.reason());
        Ok((netns, index("lower1")?, index("lower2")?))
    });
    let answer = |kind: LinkKind| match (kind, &lower) {
        (LinkKind::Tun, _) => tun(room),
        (_, Err(reason)) => Answer::unknown(format!("nothing to try it on: {reason}")),
        (_, Ok((netns, one, other))) => {
            let lower = if kind == LinkKind::Ipvlan { *other } else { *one };
            read(kind, try_kind(netns, &format!("try-{}", kind.name()), kind, Some(lower)))
        }
    };
    LinkKind::ALL.iter().map(|&kind| (Check::Link(kind), answer(kind))).collect()
}

fn read(kind: LinkKind, result: Result<(), Cause>) -> Answer {
    let name = kind.name();
    match result {
        Ok(()) => Answer::Yes,
        Err(Cause::Kernel(Refusal { errno: Errno::EOPNOTSUPP, .. })) => Answer::unsupported(
            format!("this kernel has no `{name}` links (EOPNOTSUPP)"),
            format!("`modprobe rtnl-link-{name}` as root, or a kernel that was built with them"),
        ),
        Err(Cause::Kernel(Refusal { errno: Errno::EPERM, .. })) => {
            Answer::no("a privilege is missing (EPERM)", "run it as root or under `unshare -rnm`")
        }
        Err(cause) => Answer::unknown(format!("the kernel knows them, but made none: {cause}")),
    }
}

fn try_kind(netns: &Netns, name: &str, kind: LinkKind, lower: Option<u32>) -> Result<(), Cause> {
    let mut batch = Batch::default();
    batch.append(|out| {
        let start = out.len();
        out.resize(start + HEADER + IFINFOMSG, 0);
        let flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
        out[start + 4..start + 6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
        let mut attributes = Writer::new(out);
        attributes.string(IFLA_IFNAME, name);
        if let (Some(lower), true) = (lower, is_on_another(kind)) {
            attributes.u32(IFLA_LINK, lower);
        }
        attributes.nested(IFLA_LINKINFO, |info| {
            info.string(IFLA_INFO_KIND, kind.name());
            info.nested(IFLA_INFO_DATA, |data| fill(kind, data));
        });
    });
    netns.route(|socket| {
        let refused = socket.exchange(&mut batch, |_, _| ())?.into_iter().next();
        refused.map_or(Ok(()), |(_, refusal)| Err(refusal.into()))
    })
}

fn is_on_another(kind: LinkKind) -> bool {
    use LinkKind::{Ipvlan, Macvlan, Macvtap, Vlan};
    matches!(kind, Vlan | Macvlan | Macvtap | Ipvlan)
}

/// What a kind can't be made without (`include/uapi/linux/if_link.h`, `if_tunnel.h`).
fn fill(kind: LinkKind, data: &mut Writer<'_>) {
    const IFLA_VLAN_ID: u16 = 1;
    const IFLA_VXLAN_ID: u16 = 1;
    const IFLA_GENEVE_ID: u16 = 1;
    const IFLA_GENEVE_REMOTE: u16 = 2;
    const IFLA_VRF_TABLE: u16 = 1;
    const IFLA_GRE_REMOTE: u16 = 7;
    const IFLA_IPTUN_REMOTE: u16 = 3;
    /// Documentation's own (RFC 5737): nothing is sent there.
    const REMOTE: [u8; 4] = [192, 0, 2, 1];
    match kind {
        LinkKind::Vlan => data.bytes(IFLA_VLAN_ID, &7_u16.to_ne_bytes()),
        LinkKind::Vxlan => data.u32(IFLA_VXLAN_ID, 7),
        LinkKind::Geneve => {
            data.u32(IFLA_GENEVE_ID, 7);
            data.bytes(IFLA_GENEVE_REMOTE, &REMOTE);
        }
        LinkKind::Vrf => data.u32(IFLA_VRF_TABLE, 7),
        LinkKind::Gre => data.bytes(IFLA_GRE_REMOTE, &REMOTE),
        LinkKind::Ipip | LinkKind::Sit => data.bytes(IFLA_IPTUN_REMOTE, &REMOTE),
        _ => {}
    }
}

/// They are made by a device file, not by netlink, in the namespace it was opened in.
fn tun(room: Result<&Netns, &Error>) -> Answer {
    const DEVICE: &str = "/dev/net/tun";
    let netns = match room {
        Ok(netns) => netns,
        Err(error) => return Answer::unknown(format!("nothing to try it in: {}", error.reason())),
    };
    let made = netns.run(|| {
        let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
        sys::make_tun(device.as_fd())
    });
    match made {
        Ok(Ok(())) => Answer::Yes,
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
