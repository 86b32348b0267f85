//! Tracked connections, as the kernel lists them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::counter::Counter;
use crate::numbered::numbered;
use crate::protocol::Protocol;
use crate::wire::conntrack::{Entry, Tuple};

/// The type, code and identifier of an ICMP query. Connection tracking uses them instead of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct IcmpQuery {
    /// The type of the message: 8 for an echo request, 128 for an `ICMPv6` echo request.
    pub kind: u8,
    /// The code of the message.
    pub code: u8,
    /// The identifier of the query.
    pub id: u16,
}

/// The addresses and ports of one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConntrackTuple {
    /// The source address of the packets.
    pub source: IpAddr,
    /// The destination address of the packets.
    pub destination: IpAddr,
    /// The source port, if the protocol has ports.
    pub source_port: Option<u16>,
    /// The destination port, if the protocol has ports.
    pub destination_port: Option<u16>,
    /// The ICMP query, if the protocol is ICMP or `ICMPv6`.
    pub icmp: Option<IcmpQuery>,
}

numbered! {
    /// The state of a TCP connection in connection tracking. Prints the word of `conntrack -L`.
    ///
    /// Source: `include/uapi/linux/netfilter/nf_conntrack_tcp.h`.
    #[doc(alias = "TCP_CONNTRACK_ESTABLISHED")]
    TcpState: u8 {
        /// No packet was seen.
        None = 0 "NONE",
        /// A SYN was seen.
        SynSent = 1 "SYN_SENT",
        /// A SYN and its acknowledgement were seen.
        SynRecv = 2 "SYN_RECV",
        /// The handshake is complete.
        Established = 3 "ESTABLISHED",
        /// One side sent a FIN.
        FinWait = 4 "FIN_WAIT",
        /// The FIN was acknowledged.
        CloseWait = 5 "CLOSE_WAIT",
        /// Both sides sent a FIN.
        LastAck = 6 "LAST_ACK",
        /// Both FINs were acknowledged.
        TimeWait = 7 "TIME_WAIT",
        /// A reset was seen.
        Close = 8 "CLOSE",
        /// Both sides sent a SYN.
        SynSent2 = 9 "SYN_SENT2",
    }
}

/// A tracked connection: a line of `conntrack -L`.
///
/// With NAT the two directions differ. With destination NAT, the source of the reply is another
/// address or port than the destination of the original packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConntrackEntry {
    /// The protocol. UDP and ICMP have connections too, as long as packets keep coming.
    pub protocol: Protocol,
    /// The addresses and ports of the first packet, before NAT.
    pub original: ConntrackTuple,
    /// The addresses and ports of reply packets, as they arrive: before the kernel undoes NAT.
    pub reply: ConntrackTuple,
    /// The time after which the entry expires if no packet arrives.
    pub timeout: Option<Duration>,
    /// The state of a TCP connection.
    pub tcp_state: Option<TcpState>,
    /// The conntrack mark; 0 if none was set.
    pub mark: u32,
    /// The conntrack zone; 0 is the default one.
    pub zone: u16,
    /// The packets and bytes of the original direction. The kernel counts them if the sysctl
    /// `net.netfilter.nf_conntrack_acct` is on.
    pub original_counter: Option<Counter>,
    /// The packets and bytes of the reply direction. The kernel counts them if the sysctl
    /// `net.netfilter.nf_conntrack_acct` is on.
    pub reply_counter: Option<Counter>,
    #[cfg_attr(feature = "serde", serde(skip))]
    status: u32,
}

const IPS_SEEN_REPLY: u32 = 1 << 1;
const IPS_ASSURED: u32 = 1 << 2;
const IPS_SRC_NAT: u32 = 1 << 4;
const IPS_DST_NAT: u32 = 1 << 5;

impl ConntrackEntry {
    pub(crate) fn read(entry: &Entry<'_>) -> Option<Self> {
        let counter = |counted: Option<(u64, u64)>| counted.map(|(p, b)| Counter::new(p, b));
        let [original_counter, reply_counter] = entry.counters.map(counter);
        Some(Self {
            protocol: Protocol::new(entry.original.protocol?),
            original: direction(entry.original)?,
            reply: direction(entry.reply)?,
            timeout: entry.timeout.map(u64::from).map(Duration::from_secs),
            tcp_state: entry.tcp_state.map(TcpState::from),
            mark: entry.mark,
            zone: entry.zone,
            original_counter,
            reply_counter,
            status: entry.status,
        })
    }

    /// Reports whether a reply was seen; without one `conntrack -L` prints `[UNREPLIED]`.
    pub fn is_replied(&self) -> bool {
        self.status & IPS_SEEN_REPLY != 0
    }

    /// Reports whether the kernel keeps the entry even if the table is full: `[ASSURED]`.
    pub fn is_assured(&self) -> bool {
        self.status & IPS_ASSURED != 0
    }

    /// Reports whether NAT rewrites the source.
    #[doc(alias = "IPS_SRC_NAT")]
    pub fn is_source_nat(&self) -> bool {
        self.status & IPS_SRC_NAT != 0
    }

    /// Reports whether NAT rewrites the destination.
    #[doc(alias = "IPS_DST_NAT")]
    pub fn is_destination_nat(&self) -> bool {
        self.status & IPS_DST_NAT != 0
    }
}

fn direction(tuple: Tuple) -> Option<ConntrackTuple> {
    let icmp = tuple.icmp.map(|(kind, code, id)| IcmpQuery { kind, code, id });
    Some(ConntrackTuple {
        source: tuple.source?,
        destination: tuple.destination?,
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
        icmp,
    })
}

/// Formats the addresses and ports in the words of `conntrack -L`.
impl fmt::Display for ConntrackTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src={} dst={}", self.source, self.destination)?;
        if let Some(port) = self.source_port {
            write!(f, " sport={port}")?;
        }
        if let Some(port) = self.destination_port {
            write!(f, " dport={port}")?;
        }
        match self.icmp {
            Some(IcmpQuery { kind, code, id }) => write!(f, " type={kind} code={code} id={id}"),
            None => Ok(()),
        }
    }
}

/// Formats the connection as one line of `conntrack -L`.
impl fmt::Display for ConntrackEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |f: &mut fmt::Formatter<'_>, counter: Option<Counter>| match counter {
            Some(Counter { packets, bytes }) => write!(f, " packets={packets} bytes={bytes}"),
            None => Ok(()),
        };
        write!(f, "{} {}", self.protocol, self.protocol.number())?;
        if let Some(timeout) = self.timeout {
            write!(f, " {}", timeout.as_secs())?;
        }
        if let Some(state) = self.tcp_state {
            write!(f, " {state}")?;
        }
        write!(f, " {}", self.original)?;
        counted(f, self.original_counter)?;
        if !self.is_replied() {
            f.write_str(" [UNREPLIED]")?;
        }
        write!(f, " {}", self.reply)?;
        counted(f, self.reply_counter)?;
        if self.is_assured() {
            f.write_str(" [ASSURED]")?;
        }
        write!(f, " mark={}", self.mark)?;
        match self.zone {
            0 => Ok(()),
            zone => write!(f, " zone={zone}"),
        }
    }
}
