//! A connection as the kernel tracks it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::filter::ConntrackFilter;
use crate::counter::Counter;
use crate::error::Error;
use crate::netns::Netns;
use crate::protocol::Protocol;
use crate::wire::conntrack::{EntryView, Tuple};

/// One direction of a connection: from where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConntrackTuple {
    /// Where its packets come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// The port they come from, where the protocol has ports.
    pub source_port: Option<u16>,
    /// The port they go to, where the protocol has ports.
    pub destination_port: Option<u16>,
}

/// A connection as the kernel tracks it, a line of `conntrack -L`.
///
/// NAT is where the two directions differ: with destination NAT the reply comes from another address
/// or port than the original went to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConntrackEntry {
    /// Its protocol. UDP and ICMP have connections too, as long as packets keep coming.
    pub protocol: Protocol,
    /// The direction of its first packet, as that packet was before NAT.
    pub original: ConntrackTuple,
    /// The direction of the answers, as they are before NAT is undone.
    pub reply: ConntrackTuple,
    /// When it is forgotten if no packet comes.
    pub timeout: Option<Duration>,
    /// Its mark.
    pub mark: u32,
    /// The zone it is tracked in; 0 where there are none.
    pub zone: u16,
    /// What came the original way, with the sysctl `net.netfilter.nf_conntrack_acct`.
    pub original_counter: Option<Counter>,
    /// What came the other way, with the sysctl `net.netfilter.nf_conntrack_acct`.
    pub reply_counter: Option<Counter>,
    status: u32,
}

const IPS_SEEN_REPLY: u32 = 1 << 1;
const IPS_ASSURED: u32 = 1 << 2;
const IPS_SRC_NAT: u32 = 1 << 4;
const IPS_DST_NAT: u32 = 1 << 5;

impl ConntrackEntry {
    pub(super) fn read(view: EntryView<'_>) -> Option<Self> {
        let (original, reply) = (view.original()?, view.reply()?);
        let counter = |is_reply| view.counter(is_reply).map(|(p, b)| Counter::new(p, b));
        Some(Self {
            protocol: Protocol::new(original.protocol?),
            original: direction(original)?,
            reply: direction(reply)?,
            timeout: view.timeout().map(u64::from).map(Duration::from_secs),
            mark: view.mark(),
            zone: view.zone(),
            original_counter: counter(false),
            reply_counter: counter(true),
            status: view.status(),
        })
    }

    /// Whether an answer was seen; without one `conntrack -L` says `[UNREPLIED]`.
    pub fn is_replied(&self) -> bool {
        self.status & IPS_SEEN_REPLY != 0
    }

    /// Whether it is kept when the table is full, `[ASSURED]`.
    pub fn is_assured(&self) -> bool {
        self.status & IPS_ASSURED != 0
    }

    /// Whether its source is translated.
    #[doc(alias = "IPS_SRC_NAT")]
    pub fn is_source_nat(&self) -> bool {
        self.status & IPS_SRC_NAT != 0
    }

    /// Whether its destination is translated.
    #[doc(alias = "IPS_DST_NAT")]
    pub fn is_destination_nat(&self) -> bool {
        self.status & IPS_DST_NAT != 0
    }
}

fn direction(tuple: Tuple) -> Option<ConntrackTuple> {
    Some(ConntrackTuple {
        source: tuple.source?,
        destination: tuple.destination?,
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
    })
}

/// In the words of `conntrack -L`.
impl fmt::Display for ConntrackTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src={} dst={}", self.source, self.destination)?;
        if let Some(port) = self.source_port {
            write!(f, " sport={port}")?;
        }
        match self.destination_port {
            Some(port) => write!(f, " dport={port}"),
            None => Ok(()),
        }
    }
}

/// One line, in the words of `conntrack -L`.
impl fmt::Display for ConntrackEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.original)?;
        if !self.is_replied() {
            f.write_str(" [UNREPLIED]")?;
        }
        write!(f, " {}", self.reply)?;
        if self.is_assured() {
            f.write_str(" [ASSURED]")?;
        }
        Ok(())
    }
}

impl Netns {
    /// The connections that are tracked, IPv4 and IPv6, as `conntrack -L`. Some of them, by a
    /// [`ConntrackFilter`].
    ///
    /// Connections are tracked once something asks for it, such as a NAT rule. The list is not taken
    /// at one moment: what comes and goes meanwhile may be in it or not.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// for entry in host.conntrack()? {
    ///     println!("{entry}");
    /// }
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_ADMIN` it is [`is_permission_denied`](Error::is_permission_denied), and at the first use in a
    /// namespace that the thread is not in without `CAP_SYS_ADMIN`.
    #[doc(alias("conntrack -L", "IPCTNL_MSG_CT_GET"))]
    pub fn conntrack(&self) -> Result<Vec<ConntrackEntry>, Error> {
        ConntrackFilter::new().list(self)
    }
}
