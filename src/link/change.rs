//! Changes to a link that exists, as `ip link set`.

use std::borrow::Cow;

use nix::errno::Errno;

use super::handle::Link;
use super::message::LinkRequest;
use super::reference::LinkRef;
use super::settings;
use crate::error::{Cause, Error};
use crate::input::{FirstRejected, Input, link_name};
use crate::mac::MacAddr;
use crate::netns::{Netns, Quoted};
use crate::wire::link::{LinkView, WhichLink};

/// No link has this index: what a handle says whose link was lost on its way.
const NOWHERE: u32 = u32::MAX >> 1;

impl Link {
    /// Sets it up, as `ip link set DEV up`.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, or the link is gone.
    pub fn set_up(&self) -> Result<(), Error> {
        self.change("set up", LinkRequest::at(self.index).up(true))
    }

    /// Sets it down, as `ip link set DEV down`. Its routes go with that, and IPv6 addresses too.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, or the link is gone.
    pub fn set_down(&self) -> Result<(), Error> {
        self.change("set down", LinkRequest::at(self.index).up(false))
    }

    /// Has it take all packets, not only its own, as `ip link set DEV promisc on`.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, or the link is gone.
    #[doc(alias = "IFF_PROMISC")]
    pub fn set_promiscuous(&self, on: bool) -> Result<(), Error> {
        self.change("set promiscuous mode of", LinkRequest::at(self.index).promiscuous(on))
    }

    /// Sets the largest packet, in bytes without the link-layer header, as `ip link set DEV mtu N`.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses it: each kind has a smallest and a largest.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        self.change("set MTU of", LinkRequest::at(self.index).mtu(mtu))
    }

    /// Sets its hardware address, as `ip link set DEV address MAC`.
    ///
    /// # Errors
    ///
    /// An address that stands for no one station is refused before any system call.
    pub fn set_mac(&self, mac: impl Input<MacAddr>) -> Result<(), Error> {
        const ACTION: &str = "set MAC address of";
        let mut rejected = FirstRejected::default();
        let mac = settings::read_mac(&mut rejected, mac);
        rejected.check(ACTION, Quoted(&self.name))?;
        match mac {
            Some(mac) => self.change(ACTION, LinkRequest::at(self.index).mac(mac)),
            None => Ok(()),
        }
    }

    /// Renames it, as `ip link set DEV name NAME`.
    ///
    /// # Errors
    ///
    /// A name the kernel would not take is refused before any system call; a name that is taken is
    /// [`is_already_exists`](Error::is_already_exists). Kernels before 6.3 rename a link only while it is
    /// down (EBUSY).
    pub fn rename(&mut self, name: &str) -> Result<(), Error> {
        const ACTION: &str = "rename";
        link_name(name).map_err(|reason| {
            Error::invalid(ACTION, format!("{} to `{name}`", Quoted(&self.name)), reason)
        })?;
        let request = LinkRequest::at(self.index).name(name);
        let renamed = self.change(ACTION, request).map_err(|error| {
            let taken = || format!("a link named `{name}` is already in {}", self.netns);
            let up = || {
                "this kernel renames a link only while it is down (6.3 and later do while it is up): \
                 set_down(), rename, set_up(), and its routes have to be made again"
                    .into()
            };
            error.hint_on(Errno::EEXIST, taken).hint_on(Errno::EBUSY, up)
        });
        // Before 6.3 it is refused also where it is its name already.
        let has_it = || self.info().is_ok_and(|listed| listed.name == name);
        match renamed {
            Err(error) if error.errno() == Some(Errno::EBUSY) && has_it() => {}
            renamed => renamed?,
        }
        self.name = name.into();
        Ok(())
    }

    /// Makes it a port of a bridge in the same namespace, as `ip link set DEV master BRIDGE`.
    ///
    /// # Errors
    ///
    /// Where `master` is not there, is no bridge, or is full: a bridge takes 1,023 ports.
    pub fn set_master(&self, master: impl Into<LinkRef>) -> Result<(), Error> {
        const ACTION: &str = "enslave";
        let master = master.into();
        let index = master.resolve(&self.netns, ACTION, Quoted(&self.name))?;
        self.change(ACTION, LinkRequest::at(self.index).master(index))
            .map_err(|error| explain_master(error, &self.netns, &master, index))
    }

    /// Releases it from its bridge, as `ip link set DEV nomaster`.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses, or the link is gone. A link without a master is no error.
    pub fn release(&self) -> Result<(), Error> {
        self.change("release", LinkRequest::at(self.index).master(0))
    }

    /// Moves it to another namespace, as `ip link set DEV netns NAME`. It goes down and loses its
    /// addresses and its master; where its index is taken there, it gets another. The handle follows.
    ///
    /// A move makes the kernel wait (16 ms measured): rather have links born in place.
    ///
    /// # Errors
    ///
    /// Where a link of its name is there already ([`is_already_exists`](Error::is_already_exists)), or
    /// its kind can't move.
    pub fn move_to(&mut self, namespace: &Netns) -> Result<(), Error> {
        const ACTION: &str = "move";
        // Under the name it has now: somebody may have renamed it.
        let name = self.info()?.name;
        let taken = || format!("a link named `{name}` is already in {namespace}");
        let is_here = |link: &Self| link.is_there().is_ok_and(|it_is| it_is);
        let mut request = LinkRequest::at(self.index).namespace(namespace);
        // One message: there is no moment in which its tag is another namespace's.
        if let Some(group) = self.group_in(namespace)? {
            request = request.group(group);
        }
        match self.change(ACTION, request) {
            Err(error) if !error.is_outcome_unknown() || is_here(self) => {
                return Err(error.hint_on(Errno::EEXIST, taken));
            }
            _ => {}
        }
        // Whatever comes now, it is not here any more: the old index must not stay in the handle.
        let listed = || {
            let is_it = |view: LinkView<'_>| self.identity.is(&name, view).then_some(view.index);
            let all = LinkRequest::default().get();
            namespace.dump("links", &all, |message| is_it(LinkView::read(message)?))
        };
        let there = listed().or_else(|_| listed());
        self.netns = namespace.clone();
        self.name = name.into();
        self.index = NOWHERE;
        let found = there?.into_iter().min();
        self.index = found.unwrap_or(NOWHERE);
        let gone = || Cause::from(Errno::ENODEV).doing("find", Quoted(&self.name));
        found.map(|_| ()).ok_or_else(|| gone().in_namespace(namespace))
    }

    /// The per-device IPv4 setting with this number (`IPV4_DEVCONF_*`), read over netlink.
    pub(crate) fn ipv4_setting(&self, number: u16) -> Result<i32, Error> {
        let read = |view: LinkView<'_>| view.ipv4_setting(usize::from(number));
        self.netns.look_up_link(WhichLink::At(self.index), read).map_err(|cause| {
            cause.doing("read IPv4 settings of", Quoted(&self.name)).in_namespace(&self.netns)
        })
    }

    /// Sets the per-device IPv4 setting with this number, over netlink, without `/proc`.
    pub(crate) fn set_ipv4_setting(&self, number: u16, value: u32) -> Result<(), Error> {
        self.change(
            "change IPv4 settings of",
            LinkRequest::at(self.index).ipv4_setting(number, value),
        )
    }

    fn change(&self, action: &'static str, request: LinkRequest) -> Result<(), Error> {
        self.request(action, request, LinkRequest::change)
    }
}

/// What an errno means when it was a master that the kernel did not like.
pub(super) fn explain_master(error: Error, netns: &Netns, master: &LinkRef, index: u32) -> Error {
    let kind =
        || netns.look_up_link(WhichLink::At(index), |view| Some(view.kind().map(Cow::into_owned)));
    match error.errno() {
        Some(Errno::EXFULL) => {
            error.hint(format!("{master} has 1,023 ports, as many as a bridge takes"))
        }
        Some(Errno::EOPNOTSUPP | Errno::EINVAL) => match kind() {
            Ok(Some(kind)) if kind == "bridge" => error,
            Ok(kind) => not_a_bridge(&error, netns, master, kind.as_deref()),
            // The kernel says EINVAL for an index that nothing has.
            Err(Cause::Kernel(gone)) if gone.errno == Errno::ENODEV => Cause::from(gone)
                .doing(error.action().to_owned(), error.object())
                .in_namespace(netns)
                .hint(format!("{master} is gone")),
            Err(_) => error,
        },
        Some(Errno::ENODEV) => error.hint(format!("{master} is gone, or the link itself")),
        _ => error,
    }
}

fn not_a_bridge(error: &Error, netns: &Netns, master: &LinkRef, kind: Option<&str>) -> Error {
    let what = kind.map(|kind| format!(" but {kind}")).unwrap_or_default();
    Cause::Invalid(format!("{master} is not a bridge{what}"))
        .doing(error.action().to_owned(), error.object())
        .in_namespace(netns)
}
