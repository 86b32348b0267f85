//! The announcement of a link's addresses to its neighbours.

use super::handle::Link;
use super::ipv4_conf::Ipv4Conf;
use crate::error::{Cause, Error};
use crate::netns::{Sysctl, SysctlHandle};
use crate::owned::Owned;

impl Link {
    /// Announces the addresses of this link to the neighbours, as `arping -U -I DEV ADDRESS`.
    ///
    /// Sends gratuitous ARP for IPv4 and unsolicited neighbour advertisements for IPv6. Without them,
    /// neighbours of an address that another host had before keep sending there for half a minute. Call it
    /// when packets get through: on a bridge, when the other end's port is
    /// [up](super::OperationalState::Up).
    ///
    /// ```
    /// use netloom::{Namespace, VethEnd, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let eth0 = VethEnd::new("eth0").address("10.0.0.2/24").up();
    /// let cable = VethPair::new(eth0, VethEnd::new("port1").up()).create(&red)?;
    /// cable.near().announce()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// The kernel announces addresses when the hardware address is set, even to the same value, while
    /// `arp_notify` and `ndisc_notify` are on (`net/ipv4/devinet.c`, `net/ipv6/ndisc.c`). Both settings are
    /// put back.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - `is_invalid_input()` if the link is down: the kernel would send nothing.
    #[doc(alias("arping", "gratuitous ARP", "unsolicited NA"))]
    pub fn announce(&self) -> Result<(), Error> {
        const ACTION: &str = "announce addresses of";
        let info = self.info()?;
        if !info.is_up() {
            let cause = Cause::Invalid("the link is down, so that nothing is sent".into());
            return Err(self.place().failure(ACTION, cause));
        }
        let addresses = self.addresses()?;
        let (v4, v6): (Vec<_>, Vec<_>) =
            addresses.iter().partition(|info| info.prefix.addr().is_ipv4());
        let Some(mac) = info.mac.filter(|_| !addresses.is_empty()) else { return Ok(()) };
        let _arp = (!v4.is_empty()).then(|| Ipv4Conf::ArpNotify.to(1).create(self)).transpose()?;
        let _ndisc = (!v6.is_empty()).then(|| self.notify_by_ndisc()).transpose()?;
        self.change(ACTION, |link| link.mac(mac))
    }

    fn notify_by_ndisc(&self) -> Result<Owned<SysctlHandle>, Error> {
        let place = self.place();
        let link = (place.id.index, &*place.id.name);
        let setting = ("ipv6/conf", "ndisc_notify");
        Sysctl::create_on_link(&place.netns, link, setting, 1).map(Owned::new)
    }
}
