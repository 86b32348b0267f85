//! Settings of a bridge port that exists, as `bridge link set`.

use nix::errno::Errno;

use super::handle::Link;
use crate::error::Error;
use crate::netlink::{RequestType, Requests, RouteRequest};
use crate::netns::Quoted;
use crate::wire::attribute::Writer;
use crate::wire::link::{AF_BRIDGE, IFLA_PROTINFO, header};

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
        let request = self.of_bridge(RequestType::SetLink, IFLA_PROTINFO, |port| {
            port.u8(setting, on.into());
        });
        self.ask(action, &request).map_err(|error| {
            let reason = || format!("`{}` is no bridge's port", self.name);
            error.hint_on(Errno::EOPNOTSUPP, reason).hint_on(Errno::EINVAL, reason)
        })
    }

    /// A request about it to the bridge's own family: one nest.
    pub(super) fn of_bridge(
        &self,
        kind: RequestType,
        nest: u16,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> RouteRequest {
        RouteRequest::new(kind, &header(AF_BRIDGE, self.index), |out| out.nested(nest, write))
    }

    pub(super) fn ask(&self, action: &'static str, request: &RouteRequest) -> Result<(), Error> {
        let object = Quoted(&self.name);
        let mut requests = Requests::new();
        requests.push(action, &object, request, 0);
        self.netns.send(requests, |_, _| ())
    }
}
