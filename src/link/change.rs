//! Changes to a link that exists, as `ip link set`.

use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::handle::Link;
use super::info::LinkInfo;
use super::master::explain_master;
use super::message::{change, change_flag, ipv4_setting};
use super::reference::LinkRef;
use super::settings;
use super::taken::taken;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input, link_name};
use crate::mac::MacAddr;
use crate::netns::{LinkIdentity, Look, Netns, Quoted, Tagged, count_move};
use crate::wire::link::{
    IFF_PROMISC, IFF_UP, IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_MASTER, IFLA_MTU,
    IFLA_NET_NS_FD, LinkView, WhichLink,
};

/// Each method first checks that the index still belongs to the same link.
impl Link {
    /// Reads a per-device IPv4 setting by its number (`IPV4_DEVCONF_*`).
    pub(crate) fn ipv4_setting(&self, number: u16) -> Result<i32, Error> {
        let read = |view: LinkView<'_>| view.ipv4_setting(usize::from(number));
        self.snapshot().get("read IPv4 settings of", read)
    }

    /// Sets a per-device IPv4 setting by its number (`IPV4_DEVCONF_*`).
    pub(crate) fn set_ipv4_setting(&self, number: u16, value: u32) -> Result<(), Error> {
        self.change("change IPv4 settings of", |link| ipv4_setting(link, number, value))
    }

    fn change_flag(&self, action: &'static str, flag: u32, on: bool) -> Result<(), Error> {
        self.request(action, |batch, index| change_flag(index, flag, on)(batch))
    }

    /// Sets the link up, as `ip link set DEV up`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn set_up(&self) -> Result<(), Error> {
        self.change_flag("set up", IFF_UP, true)
    }

    /// Sets the link down, as `ip link set DEV down`. The kernel deletes the link's routes and IPv6
    /// addresses.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn set_down(&self) -> Result<(), Error> {
        self.change_flag("set down", IFF_UP, false)
    }

    /// Turns promiscuous mode on or off, as `ip link set DEV promisc on`: the link receives all
    /// packets, not only those addressed to it.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    #[doc(alias = "IFF_PROMISC")]
    pub fn set_promiscuous(&self, on: bool) -> Result<(), Error> {
        self.change_flag("set promiscuous mode of", IFF_PROMISC, on)
    }

    /// Sets the MTU: the size of the largest packet in bytes, without the link-layer header.
    /// Replaces `ip link set DEV mtu N`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - The kernel refuses a value outside the limits of the link's kind.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        self.change("set MTU of", |link| link.u32(IFLA_MTU, mtu))
    }

    /// Sets the hardware address, as `ip link set DEV address MAC`.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a multicast address or zero, before any system call.
    /// - `is_not_found()` if the link is gone.
    pub fn set_mac(&self, mac: impl Input<MacAddr>) -> Result<(), Error> {
        const ACTION: &str = "set MAC address of";
        let mut rejected = FirstRejected::default();
        let mac = settings::read_mac(&mut rejected, mac);
        rejected.check(ACTION, Quoted(&self.snapshot().id.name))?;
        let Some(mac) = mac else { return Ok(()) };
        let result = self.change(ACTION, |link| link.bytes(IFLA_ADDRESS, &mac.octets()));
        let is_set = self.is_done(&result, |info| info.mac == Some(mac));
        if is_set {
            self.renew(|snapshot| snapshot.id.mac = Some(mac));
        }
        result
    }

    /// Renames the link, as `ip link set DEV name NAME`. All clones of the handle have the new
    /// name.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a name that the kernel would refuse, before any system call.
    /// - `is_already_exists()` if another link has the name.
    /// - `EBUSY` if the link is up and the kernel is older than 6.3.
    pub fn rename(&self, name: &str) -> Result<(), Error> {
        const ACTION: &str = "rename";
        let snapshot = self.snapshot();
        let old = Quoted(&snapshot.id.name);
        link_name(name).map_err(|reason| {
            Error::invalid(ACTION, format!("{old} to {}", Quoted(name)), reason)
        })?;
        let renamed = self.change(ACTION, |link| link.string(IFLA_IFNAME, name)).map_err(|error| {
            let taken = || taken(name, &snapshot.netns);
            let up = || {
                "this kernel renames a link only while it is down (6.3 and later do while it is up): \
                 set_down(), rename, set_up(), and its routes have to be made again"
                    .into()
            };
            error.hint_on(Errno::EEXIST, taken).hint_on(Errno::EBUSY, up)
        });
        let has_name = self.is_done(&renamed, |info| info.name == name);
        if has_name {
            self.renew(|snapshot| snapshot.id.name = name.into());
        }
        match renamed {
            // Kernels before 6.3 answer EBUSY for a link that is up, even if it already has the
            // name.
            Err(error) if has_name && error.errno() == Some(Errno::EBUSY) => Ok(()),
            renamed => renamed,
        }
    }

    /// Returns whether the kernel made the change. Reads the link again if the error leaves that
    /// open.
    fn is_done(&self, result: &Result<(), Error>, has: impl Fn(&LinkInfo) -> bool) -> bool {
        result.as_ref().map_or_else(
            |error| {
                let is_unclear = error.is_outcome_unknown() || error.errno() == Some(Errno::EBUSY);
                is_unclear && self.info().is_ok_and(|info| has(&info))
            },
            |()| true,
        )
    }

    /// Makes the link a port of a bridge, bond or VRF in the same namespace, as
    /// `ip link set DEV master LINK`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link or the master is gone.
    /// - The master takes no ports, or is full: a bridge takes 1,023 ports.
    /// - The link is up, and the master is a bond.
    pub fn set_master(&self, master: impl Into<LinkRef>) -> Result<(), Error> {
        const ACTION: &str = "enslave";
        let (snapshot, master) = (self.snapshot(), master.into());
        let index = master.resolve(&snapshot.netns, ACTION, Quoted(&snapshot.id.name))?;
        self.change(ACTION, |link| link.u32(IFLA_MASTER, index))
            .map_err(|error| explain_master(error, &snapshot.netns, &master, index))
    }

    /// Releases the link from its master, as `ip link set DEV nomaster`. Succeeds if the link has
    /// no master.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    pub fn release(&self) -> Result<(), Error> {
        self.change("release", |link| link.u32(IFLA_MASTER, 0))
    }

    /// Moves the link to another namespace, as `ip link set DEV netns NAME`.
    ///
    /// The kernel sets the link down and removes its addresses and its master. The link gets a new
    /// index if a link in the other namespace has the same index. All clones of the handle refer to
    /// the moved link.
    ///
    /// The kernel takes 16 ms for a move (measured). A link created in its final namespace needs
    /// none.
    ///
    /// # Errors
    ///
    /// - `is_already_exists()` if the other namespace has a link with the name.
    /// - The kernel refuses to move a link of this kind.
    pub fn move_to(&self, namespace: &Netns) -> Result<(), Error> {
        const ACTION: &str = "move";
        let snapshot = self.verified(ACTION)?;
        // Read the current name and address: another program may have changed them.
        let seen = snapshot.get(ACTION, |view| Some((LinkIdentity::of(view)?, view.group())))?;
        let (seen, group) = (seen.0, seen.1.unwrap_or(0));
        let tag = self.tag_in(group, namespace)?;
        let request = change(snapshot.id.index, |link| {
            link.bytes(IFLA_NET_NS_FD, &namespace.fd().as_raw_fd().to_ne_bytes());
            // The tag changes in the same request, so that the link never carries the tag of the
            // wrong namespace.
            if let Some(tag) = tag {
                link.u32(IFLA_GROUP, tag);
            }
        });
        let is_here = || snapshot.id.look(&snapshot.netns).is_ok_and(|look| look == Look::Same);
        match snapshot.send(ACTION, request) {
            Err(error) if !error.is_outcome_unknown() || is_here() => {
                return Err(error.hint_on(Errno::EEXIST, || taken(&seen.name, namespace)));
            }
            _ => {}
        }
        let found = find_moved(&seen, namespace).or_else(|_| find_moved(&seen, namespace));
        // The link has left its old namespace, so the handle must not keep the old index.
        let mut id = match &found {
            Ok(id) => id.clone(),
            Err(_) => LinkIdentity { index: NOWHERE, ..seen },
        };
        count_move((namespace.id(), id.index));
        id.tag =
            tag.filter(|&tag| tag != 0).map(|tag| Tagged::new(tag, (namespace.id(), id.index)));
        if found.is_ok() {
            self.renew_in_peer(id.index);
        }
        self.renew(|snapshot| (snapshot.netns, snapshot.id) = (namespace.clone(), id));
        found.map(drop)
    }
}

/// An index that no link has, for a handle whose link could not be found after a move.
const NOWHERE: u32 = u32::MAX >> 1;

/// Looks for a link after its move to a namespace: by name, and if it was renamed meanwhile, by
/// hardware address.
fn find_moved(seen: &LinkIdentity, namespace: &Netns) -> Result<LinkIdentity, Error> {
    let failed = |cause: Cause| cause.doing("find", Quoted(&seen.name)).in_namespace(namespace);
    let read = |view: LinkView<'_>| {
        let found = LinkIdentity::of(view)?;
        let is_same = found.kind == seen.kind && found.mac == seen.mac;
        Some(is_same.then_some(found))
    };
    match namespace.look_up_link(WhichLink::Named(&seen.name), read) {
        Ok(Some(found)) => return Ok(found),
        Err(cause) if cause.errno() != Some(Errno::ENODEV) => return Err(failed(cause)),
        _ => {}
    }
    if seen.mac.is_none() {
        return Err(failed(Errno::ENODEV.into()));
    }
    let links = namespace.list_links(|view| read(view).flatten())?;
    let first = links.into_iter().min_by_key(|link| link.index);
    first.ok_or_else(|| failed(Errno::ENODEV.into()))
}
