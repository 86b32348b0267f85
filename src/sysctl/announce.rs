//! The announcement of a link's addresses to its neighbours.

use super::setting::Setting;
use crate::error::Error;
use crate::link::Link;
use crate::netns::Quoted;

impl Link {
    /// Announces the addresses of this link to the neighbours, as `arping -U -I DEV ADDRESS`.
    ///
    /// Sends gratuitous ARP for IPv4 and unsolicited neighbour advertisements for IPv6. If another
    /// host had the address before, its neighbours otherwise keep sending to that host for half a
    /// minute. Call this when packets can get through: on a bridge, when the port of the other end
    /// is [up](crate::OperationalState::Up).
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
    /// The kernel announces addresses when the hardware address is set, even to the same value,
    /// while `arp_notify` and `ndisc_notify` are on (`net/ipv4/devinet.c`, `net/ipv6/ndisc.c`).
    /// netloom restores both settings afterwards.
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
            let why = "the link is down, so the kernel would send nothing";
            return Err(Error::invalid(ACTION, Quoted(&self.name()), why));
        }
        let addresses = self.addresses()?;
        let (v4, v6): (Vec<_>, Vec<_>) =
            addresses.iter().partition(|info| info.prefix.addr().is_ipv4());
        let Some(mac) = info.mac.filter(|_| !addresses.is_empty()) else { return Ok(()) };
        let on = |setting: Setting<bool>| setting.to(true).create(&self.namespace());
        let _arp = (!v4.is_empty()).then(|| on(Setting::arp_notify(self))).transpose()?;
        let _ndisc = (!v6.is_empty()).then(|| on(Setting::ndisc_notify(self))).transpose()?;
        let announced = self.set_mac(mac);
        announced.map_err(|error| error.while_doing(ACTION, Quoted(&self.name())))
    }
}
