//! The creation of a link of any kind.

use nix::errno::Errno;

use super::configure::{Remaining, configure};
use super::handle::Link;
use super::kind::LinkKind;
use super::master::explain_master;
use super::message::LinkRequest;
use super::reference::LinkRef;
use super::settings::Settings;
use crate::error::{Cause, Error};
use crate::mac::MacAddr;
use crate::netlink::Requests;
use crate::netns::{LinkIdentity, Netns, Quoted, Tagged};
use crate::owned::Owned;
use crate::wire::attribute::Writer;
use crate::wire::link::{LinkView, WhichLink};
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};

/// A link to create.
#[derive(Clone, Copy)]
pub(super) struct NewLink<'a> {
    pub(super) action: &'static str,
    pub(super) kind: &'a LinkKind,
    pub(super) settings: &'a Settings,
    /// The namespace of the new link.
    pub(super) netns: &'a Netns,
    /// The link that the new one is made on, and its namespace, which may be another one.
    pub(super) parent: Option<(&'a LinkRef, &'a Netns)>,
    /// Writes the options of the kind.
    pub(super) options: &'a dyn Fn(&mut Writer<'_>),
}

impl NewLink<'_> {
    /// Creates a link and gives it all its settings.
    pub(super) fn create(self) -> Result<Owned<Link>, Error> {
        let Self { action, settings, netns, .. } = self;
        settings.check(action)?;
        let master = settings.master_in(netns, action)?;
        let mac = MacAddr::random();
        let (request, tag) = settings.create_request(action, mac, netns)?;
        let mut request = request.up(settings.starts_up()).kind(self.kind.name(), self.options);
        if let Some(index) = master {
            request = request.master(index);
        }
        // A link on a parent in another namespace is created there, and moved to its own namespace
        // by the same request.
        let sender = match self.parent {
            Some((parent, place)) => {
                request = request.link(parent.resolve(place, action, Quoted(&settings.name))?);
                if place.is_clone_of(netns) { netns } else { place }
            }
            None => netns,
        };
        if !sender.is_clone_of(netns) {
            request = request.namespace(netns);
        }
        let link = Owned::new(self.send(sender, mac, tag, request)?);
        let up = settings.up && !settings.starts_up();
        configure(&link, settings, Remaining { up, ..Remaining::default() })?;
        Ok(link)
    }

    /// Sends a create request to a namespace and returns the created link.
    ///
    /// `mac` is a random address, generated for this request alone. If the answer is lost, it
    /// proves that the request created the link. A requested address proves nothing, and is set
    /// afterwards.
    pub(super) fn send(
        self,
        sender: &Netns,
        mac: MacAddr,
        tag: Option<u32>,
        request: LinkRequest,
    ) -> Result<Link, Error> {
        let Self { action, settings, netns, .. } = self;
        let object = Quoted(&settings.name);
        let named = |cause: Cause| cause.doing(action, &object).in_namespace(netns);
        let created = |mut id: LinkIdentity| {
            id.tag = tag.map(|tag| Tagged::new(tag, (netns.id(), id.index)));
            Link::new(netns.clone(), id)
        };
        let mut requests = Requests::new();
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
        requests.push(action, &object, &request.create(), flags);
        let mut echo = None;
        let sent = sender.send(requests, |_, answer| {
            echo = LinkView::read(answer).and_then(LinkIdentity::of);
        });
        let failure = match (sent, echo) {
            (Ok(()), Some(echo)) => return Ok(created(echo)),
            // Kernels before 6.2 send no echo, and none to another namespace.
            (Ok(()), None) => match self.find(mac, true) {
                Ok(Some(id)) => return Ok(created(id)),
                Ok(None) => {
                    let taken = || "the link is gone, and another link has its name".into();
                    named(Errno::ENODEV.into()).hint_on(Errno::ENODEV, taken)
                }
                Err(cause) => named(cause),
            },
            (Err(error), _) if !error.is_outcome_unknown() => return Err(self.explain(error)),
            (Err(error), _) => error,
        };
        // The link may have been made.
        if let Ok(Some(id)) = self.find(mac, false) {
            drop(Owned::new(created(id)));
        }
        Err(failure)
    }

    /// Looks for the link that a request with this address made: another link may have its name.
    /// A link without an address is known by its kind, if the request was acknowledged.
    fn find(self, mac: MacAddr, is_acknowledged: bool) -> Result<Option<LinkIdentity>, Cause> {
        let keeps_address = self.kind.facts().keeps_address;
        self.netns.look_up_link(WhichLink::Named(&self.settings.name), |view| {
            let is_same = if keeps_address {
                view.mac() == Some(mac.octets())
            } else {
                is_acknowledged && view.kind().as_deref() == Some(self.kind.name())
            };
            Some(if is_same { LinkIdentity::of(view) } else { None })
        })
    }

    fn explain(self, error: Error) -> Error {
        let Self { settings, netns, .. } = self;
        if let Some(master) = &settings.master
            && let Ok(index) = master.resolve(netns, "find", master)
            && !error.is_already_exists()
        {
            return explain_master(error, netns, master, index);
        }
        error
            .hint_on(Errno::EEXIST, || {
                format!("a link named {} is already in {netns}", Quoted(&settings.name))
            })
            .hint_on(Errno::EOPNOTSUPP, || format!("this kernel has no `{}` links", self.kind))
    }
}
