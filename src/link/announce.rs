//! Telling the neighbours who has an address by now.

use super::handle::Link;
use super::ipv4_conf::Ipv4Conf;
use super::message::LinkRequest;
use crate::error::Error;
use crate::netns::{Sysctl, SysctlHandle};
use crate::owned::Owned;

impl Link {
    /// Tells the neighbours that the addresses of this link are at its hardware address: by gratuitous
    /// ARP, and by unsolicited neighbour advertisements for IPv6. For an address that somebody else had
    /// before: neighbours would go on sending there for half a minute.
    ///
    /// Replaces `arping -U -I DEV ADDRESS`. To be called once packets get through: on a bridge, once the
    /// other end is [up](super::OperationalState::Up) there.
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
    /// The kernel does it when a link's hardware address is set, even to the same, while `arp_notify` and
    /// `ndisc_notify` are on (`net/ipv4/devinet.c`, `net/ipv6/ndisc.c`); they are put back.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) where the link is gone.
    #[doc(alias("arping", "gratuitous ARP", "unsolicited NA"))]
    pub fn announce(&self) -> Result<(), Error> {
        const ACTION: &str = "announce addresses of";
        let addresses = self.addresses()?;
        let (v4, v6): (Vec<_>, Vec<_>) =
            addresses.iter().partition(|info| info.prefix.addr().is_ipv4());
        let Some(mac) = self.info()?.mac.filter(|_| !addresses.is_empty()) else { return Ok(()) };
        let _arp = (!v4.is_empty()).then(|| Ipv4Conf::ArpNotify.to(1).create(self)).transpose()?;
        let _ndisc = (!v6.is_empty()).then(|| self.notify_by_ndisc()).transpose()?;
        self.request(ACTION, LinkRequest::at(self.index).mac(mac), LinkRequest::change)
    }

    fn notify_by_ndisc(&self) -> Result<Owned<SysctlHandle>, Error> {
        let link = (self.index, &*self.name);
        let setting = ("ipv6/conf", "ndisc_notify");
        Sysctl::create_on_link(&self.netns, link, setting, 1).map(Owned::new)
    }
}
