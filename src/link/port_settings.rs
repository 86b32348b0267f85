//! Settings of a bridge port that exists, as `bridge link set`.

use netlink_packet_core::{DefaultNla, NLA_F_NESTED};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use nix::errno::Errno;

use super::handle::Link;
use crate::error::Error;
use crate::netlink::{Requests, RouteRequest};
use crate::netns::Quoted;
use crate::wire::attribute::Writer;

const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

impl Link {
    /// Whether packets may go back out of this bridge port they came in, as
    /// `bridge link set dev PORT hairpin on`. A new port's do not.
    ///
    /// # Errors
    ///
    /// Where it is no bridge's port ([`is_unsupported`](Error::is_unsupported)) or gone.
    #[doc(alias("IFLA_BRPORT_MODE", "bridge link set"))]
    pub fn set_hairpin(&self, on: bool) -> Result<(), Error> {
        self.set_port("set hairpin mode of", IFLA_BRPORT_MODE, on)
    }

    /// Whether this bridge port is kept apart from the other isolated ones, as
    /// `bridge link set dev PORT isolated on`. A new port is not.
    ///
    /// # Errors
    ///
    /// Where it is no bridge's port ([`is_unsupported`](Error::is_unsupported)) or gone.
    #[doc(alias("IFLA_BRPORT_ISOLATED", "bridge link set"))]
    pub fn set_isolated(&self, on: bool) -> Result<(), Error> {
        self.set_port("isolate", IFLA_BRPORT_ISOLATED, on)
    }

    fn set_port(&self, action: &'static str, setting: u16, on: bool) -> Result<(), Error> {
        let mut settings = Vec::new();
        Writer::new(&mut settings).u8(setting, on.into());
        let request = self.of_bridge(IFLA_PROTINFO | NLA_F_NESTED, settings);
        self.ask(action, &RouteRequest::SetLink(request)).map_err(|error| {
            let reason = || format!("`{}` is no bridge's port", self.name);
            error.hint_on(Errno::EOPNOTSUPP, reason).hint_on(Errno::EINVAL, reason)
        })
    }

    /// A message about it to the bridge's own family.
    pub(super) fn of_bridge(&self, attribute: u16, value: Vec<u8>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.interface_family = AddressFamily::Bridge;
        message.header.index = self.index;
        message.attributes.push(LinkAttribute::Other(DefaultNla::new(attribute, value)));
        message
    }

    pub(super) fn ask(&self, action: &'static str, request: &RouteRequest) -> Result<(), Error> {
        let object = Quoted(&self.name);
        let mut requests = Requests::new();
        requests.push(action, &object, request, 0);
        self.netns.send(requests, |_, _| ())
    }
}
