//! The creation of links, for all kinds.

use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::configure::{Pending, configure};
use super::handle::Link;
use super::kind::LinkKind;
use super::master::explain_master;
use super::message::write_kind;
use super::reference::LinkRef;
use super::settings::{CreateParams, Settings};
use super::taken::taken;
use crate::error::{Cause, Error};
use crate::mac::MacAddr;
use crate::netlink::{RequestType, Requests};
use crate::netns::{LinkIdentity, Netns, Quoted, Tagged};
use crate::owned::Owned;
use crate::wire::attribute::Writer;
use crate::wire::link::{
    AF_UNSPEC, IFF_UP, IFLA_LINK, IFLA_MASTER, IFLA_NET_NS_FD, LinkView, WhichLink,
    header_with_flags,
};
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};

/// The kernel's words for a kind that it lacks (`rtnl_newlink` in `net/core/rtnetlink.c`).
const UNKNOWN_KIND: &str = "Unknown device type";

/// A link to create.
#[derive(Clone, Copy)]
pub(super) struct NewLink<'a> {
    pub(super) action: &'static str,
    pub(super) kind: &'a LinkKind,
    pub(super) settings: &'a Settings,
    /// The namespace of the new link.
    pub(super) netns: &'a Netns,
    /// The namespace that gets the request: that of the parent, or of a tunnel's underlay.
    pub(super) sender: &'a Netns,
    /// The link that the new one is made on, in the namespace of the request.
    pub(super) parent: Option<&'a LinkRef>,
    /// True if the new link keeps the hardware address of the request.
    pub(super) keeps_address: bool,
    /// The name and the namespace of a link that is made along with the new one.
    pub(super) peer: Option<(&'a str, &'a Netns)>,
    /// Writes the options of the kind (`IFLA_INFO_DATA`).
    pub(super) options: &'a dyn Fn(&mut Writer<'_>),
}

impl<'a> NewLink<'a> {
    /// Describes a link without a parent, a peer and options.
    pub(super) fn of(
        action: &'static str,
        kind: &'a LinkKind,
        settings: &'a Settings,
        netns: &'a Netns,
    ) -> Self {
        let keeps_address = kind.facts().keeps_address;
        let (parent, peer, options) = (None, None, &|_: &mut Writer<'_>| ());
        Self { action, kind, settings, netns, sender: netns, parent, keeps_address, peer, options }
    }

    /// Creates the link and applies all its settings.
    pub(super) fn create(self) -> Result<Owned<Link>, Error> {
        self.settings.check(self.action)?;
        let mut params = self.settings.create_params(self.action, self.netns, MacAddr::random())?;
        if !self.keeps_address {
            params.mark_by_queue_length();
        }
        let (link, is_up) = match self.send(&params) {
            Err(error) if self.is_name_taken_at_sender(&error) => {
                (self.send_renamed(&params)?, false)
            }
            link => (Owned::new(link?), self.settings.starts_up()),
        };
        let pending = Pending {
            up: self.settings.up && !is_up,
            queue_length: params.queue_length.map(|_| self.kind.facts().queue_length),
            master: None,
        };
        configure(&link, self.settings, &pending)?;
        Ok(link)
    }

    /// Returns whether only the name is in the way, and that in the namespace of the request:
    /// kernels before 6.13 want a name that is free there, too (`__rtnl_newlink`).
    fn is_name_taken_at_sender(self, error: &Error) -> bool {
        let is_free = |netns: &Netns| {
            netns.link(&self.settings.name).is_err_and(|error| error.is_not_found())
        };
        error.is_already_exists()
            && self.sender != self.netns
            && error.kernel_message().is_none()
            && is_free(self.netns)
            && !is_free(self.sender)
    }

    /// Creates the link under a random name, and renames it in its namespace.
    fn send_renamed(self, params: &CreateParams) -> Result<Owned<Link>, Error> {
        let [_, _, a, b, c, d] = params.mac.octets();
        let name = format!("nl{:08x}", u32::from_be_bytes([a, b, c, d]));
        let mut settings = self.settings.clone();
        (settings.name, settings.up) = (name, false);
        let link = Owned::new(NewLink { settings: &settings, ..self }.send(params)?);
        link.rename(&self.settings.name)?;
        Ok(link)
    }

    /// Sends the create request and returns the created link.
    ///
    /// The hardware address in `params` must be random and used for this request alone. If the
    /// answer is lost, that address proves that the request created the link. An address that the
    /// user chose proves nothing, so it is set afterwards. A kind that keeps no address has a
    /// random queue length instead.
    pub(super) fn send(self, params: &CreateParams) -> Result<Link, Error> {
        let Self { action, settings, netns, .. } = self;
        let object = Quoted(&settings.name);
        let failed = |cause: Cause| cause.doing(action, &object).in_namespace(netns);
        let sender = self.sender;
        let parent = self.parent.map(|parent| parent.resolve(sender, action, &object));
        let parent = parent.transpose()?;
        let is_elsewhere = !sender.is_clone_of(netns);
        let up = if settings.starts_up() { IFF_UP } else { 0 };
        let header = header_with_flags(AF_UNSPEC, 0, up, IFF_UP);
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
        let attributes = |link: &mut Writer<'_>| {
            settings.write(link, params);
            for (attribute, index) in [(IFLA_MASTER, params.master), (IFLA_LINK, parent)] {
                if let Some(index) = index {
                    link.u32(attribute, index);
                }
            }
            if is_elsewhere {
                link.bytes(IFLA_NET_NS_FD, &netns.fd().as_raw_fd().to_ne_bytes());
            }
            write_kind(link, self.kind.name(), self.options);
        };
        let mut requests = Requests::default();
        requests.push(action, &object, |batch| {
            batch.push(RequestType::NewLink, flags, &header, attributes)
        });
        let created = |mut id: LinkIdentity| {
            id.tag = params.tag.map(|tag| Tagged::new(tag, (netns.id(), id.index)));
            Link::new(netns.clone(), id)
        };
        let echo = sender
            .send_for_echo(requests, |answer| LinkView::read(answer).and_then(LinkIdentity::of));
        let failure = match echo {
            Ok(Some(id)) => return Ok(created(id)),
            // Kernels before 6.2 send no echo. No kernel echoes to another namespace.
            Ok(None) => match self.find(params) {
                Ok(Some(id)) => return Ok(created(id)),
                Ok(None) => failed(Errno::ENODEV.into())
                    .hint("another program replaced the new link by one with the same name"),
                Err(cause) => failed(cause),
            },
            Err(error) if error.is_outcome_unknown() => error,
            Err(error) => return Err(self.explain(error, params.master)),
        };
        // The answer was lost, but the link may exist: delete it.
        if let Ok(Some(id)) = self.find(params) {
            drop(Owned::new(created(id)));
        }
        Err(failure)
    }

    /// Looks for the link that the request with these values created. Another link may have the
    /// name.
    fn find(self, params: &CreateParams) -> Result<Option<LinkIdentity>, Cause> {
        self.netns.look_up_link(WhichLink::Named(&self.settings.name), |view| {
            let is_same = match params.queue_length {
                Some(length) => {
                    view.tx_queue_length() == Some(length)
                        && view.kind().as_deref() == Some(self.kind.name())
                }
                None => view.mac() == Some(params.mac.octets()),
            };
            Some(if is_same { LinkIdentity::of(view) } else { None })
        })
    }

    fn explain(self, error: Error, master: Option<u32>) -> Error {
        let Self { settings, netns, .. } = self;
        if let (Some(index), Some(master), false) =
            (master, &settings.master, error.is_already_exists())
        {
            return explain_master(error, netns, master, index);
        }
        // An explanation of the kernel's is about the kind: a VLAN that the parent has already.
        match error.kernel_message() {
            Some(UNKNOWN_KIND) => return error.hint(self.kind.unsupported()),
            Some(_) => return error,
            None => {}
        }
        error
            .hint_on(Errno::EEXIST, || {
                // A pair has two names, and the kernel does not say which of them is taken.
                let is_free = |_: &_| netns.link(&settings.name).is_err();
                let (name, netns) = self.peer.filter(is_free).unwrap_or((&settings.name, netns));
                taken(name, netns)
            })
            .hint_on(Errno::ENETDOWN, || {
                "the parent is down, and this link can't be up before it is".into()
            })
            .hint_on(Errno::EBUSY, || match self.parent {
                Some(parent) => format!("{parent} serves another purpose, such as a bridge's port"),
                None => "a link with these options exists".into(),
            })
            .hint_on(Errno::EINVAL, || match self.parent {
                Some(parent) => format!("{parent} may be no parent of a `{}` link", self.kind),
                None => format!("the kernel refuses these options for a `{}` link", self.kind),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::change;
    use crate::netlink::Batch;
    use crate::wire::link::LinkView;
    use crate::wire::message::messages;
    use netlink_packet_core::Parseable;
    use netlink_packet_route::link::{
        InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    };

    fn written(write: impl FnOnce(&mut Batch) -> usize) -> Vec<u8> {
        let mut batch = Batch::default();
        write(&mut batch);
        messages(batch.bytes()).next().unwrap().payload.to_vec()
    }

    fn create_params(last: u8) -> CreateParams {
        let mac = MacAddr::from([2, 0, 0, 0, 0, last]);
        CreateParams { mac, queue_length: None, tag: None, master: None }
    }

    #[test]
    fn netlink_packet_route_reads_the_same() {
        let mut near = Settings::new("veth1");
        near.set_mtu(1400);
        let mut peer = Settings::new("eth0");
        peer.set_queues(1);
        let pair = written(|batch| {
            let header = header_with_flags(AF_UNSPEC, 0, IFF_UP, IFF_UP);
            batch.push(RequestType::NewLink, 0, &header, |link| {
                near.write(link, &create_params(1));
                write_kind(link, "veth", |options| {
                    options.nested(1, |far| {
                        far.raw(&[0; 16]);
                        peer.write(far, &create_params(2));
                    });
                });
            })
        });
        let message = LinkMessage::parse(pair.as_slice()).unwrap();
        assert_eq!(
            (message.header.flags, message.header.change_mask),
            (LinkFlags::Up, LinkFlags::Up)
        );
        let [
            LinkAttribute::IfName(name),
            LinkAttribute::Address(mac),
            LinkAttribute::Mtu(1400),
            LinkAttribute::LinkInfo(info),
        ] = &message.attributes[..]
        else {
            panic!("{message:?}")
        };
        assert_eq!((name.as_str(), &mac[..]), ("veth1", &[2, 0, 0, 0, 0, 1][..]));
        let [LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far)))] =
            &info[..]
        else {
            panic!("{info:?}")
        };
        assert_eq!(
            far.attributes,
            [
                LinkAttribute::IfName("eth0".into()),
                LinkAttribute::Address(vec![2, 0, 0, 0, 0, 2]),
                LinkAttribute::NumTxQueues(1),
                LinkAttribute::NumRxQueues(1),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_settings_read_back(
            index in 1u32..,
            name in "[a-zA-Z0-9_.-]{1,15}",
            mac in proptest::array::uniform6(0u8..),
            mtu in 68u32..65_536,
            group in proptest::option::of(0u32..),
            tag in proptest::option::of(0u32..),
        ) {
            let mut settings = Settings::new(&name);
            settings.set_mtu(mtu);
            if let Some(group) = group {
                settings.set_group(group);
            }
            let tag = tag.filter(|_| group.is_none());
            let params = CreateParams { mac: mac.into(), queue_length: None, tag, master: None };
            let payload = written(change(index, |link| settings.write(link, &params)));
            let message = crate::wire::message::Message { kind: 19, flags: 0, sequence: 0, payload: &payload };
            let view = LinkView::read(message).unwrap();
            assert_eq!((view.index, view.name().as_deref()), (index, Some(&*name)));
            assert_eq!((view.mtu(), view.group()), (Some(mtu), group.or(tag)));
            assert_eq!((view.mac(), view.flags), (Some(mac), 0));
        }
    }
}
