//! Routing tables as links.

use netlink_packet_route::link::InfoVrf;

use super::{Kind, LinkKind};
use crate::error::Error;
use crate::link::create::NewLink;
use crate::link::handle::Link;
use crate::link::options::link_info;
use crate::link::settings::{Settings, link_setters};
use crate::netns::Netns;
use crate::owned::Owned;

pub(super) const KIND: Kind =
    Kind { required: |out| out.emit(&InfoVrf::TableId(7)), ..Kind::PLAIN };

/// A VRF to create: the links that it is the master of route by its table alone.
///
/// Replaces `ip link add name NAME type vrf table N`.
///
/// ```no_run
/// use netloom::{Netns, Vrf};
///
/// let host = Netns::current()?;
/// let blue = Vrf::new("blue", 10).up().create(&host)?;
/// host.link("eth1")?.set_master(&blue)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// The first VRF of a namespace makes the kernel add a rule at priority 1,000 that stays. Source:
/// `Documentation/networking/vrf.rst`, `drivers/net/vrf.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Vrf {
    settings: Settings,
    table: u32,
}

impl Vrf {
    /// Describes a VRF with this routing table, by number, from 1.
    pub fn new(name: impl AsRef<str>, table: u32) -> Self {
        let mut settings = Settings::new(name.as_ref());
        if table == 0 {
            settings.rejected.reject("table", table, "a routing table is from 1 to 4,294,967,295");
        }
        Self { settings, table }
    }

    link_setters!(mac: "a random one", mtu: "65,575", queues: "1");

    /// Creates the VRF.
    ///
    /// # Errors
    ///
    /// A value that can be known wrong is refused before any system call. Nothing is left after a
    /// failure.
    /// - `is_already_exists()` if a link has the name.
    /// - `is_unsupported()` in a kernel without the module `vrf`.
    #[doc(alias("ip link add", "RTM_NEWLINK", "IFLA_VRF_TABLE"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<Link>, Error> {
        let new = NewLink {
            options: &|out| out.emit(&InfoVrf::TableId(self.table)),
            ..NewLink::of("create VRF", &LinkKind::Vrf, &self.settings, netns)
        };
        new.create()
    }
}

link_info! {
    /// The options of a VRF, as `ip -details link` lists them.
    VrfInfo of Vrf by
    /// Reads the options of this VRF. `None` if the link is of another kind.
    vrf_info, InfoVrf {
        /// The routing table, by number.
        table: u32 = InfoVrf::TableId(table) => *table;
    }
}

#[cfg(test)]
pub(super) fn example(netns: &Netns) -> Result<(), Error> {
    Vrf::new("vrf0", 7).up().create(netns)?.delete().map_err(Error::from)
}
