//! `log`: tells of the packet, in the kernel's log or to a listener on a netlink group.
//!
//! ```text
//! NFTA_LOG_GROUP       1  be16     to nfnetlink_log
//! NFTA_LOG_PREFIX      2  string
//! NFTA_LOG_SNAPLEN     3  be32     to nfnetlink_log: bytes of the packet
//! NFTA_LOG_QTHRESHOLD  4  be16     to nfnetlink_log: packets a message
//! NFTA_LOG_LEVEL       5  be32     to the kernel's log
//! NFTA_LOG_FLAGS       6  be32     to the kernel's log
//! ```
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `nft_log_attributes`; flags: `nf_log.h`.

use bitflags::bitflags;

use crate::wire::attribute::{Attributes, Writer};
use crate::wire::nft::codec::{Codec, Fields, flags_field, wire_enum};

const NFTA_LOG_GROUP: u16 = 1;
const NFTA_LOG_PREFIX: u16 = 2;
const NFTA_LOG_SNAPLEN: u16 = 3;
const NFTA_LOG_QTHRESHOLD: u16 = 4;
const NFTA_LOG_LEVEL: u16 = 5;
const NFTA_LOG_FLAGS: u16 = 6;

wire_enum! {
    #[doc(alias = "nft_log_level")]
    LogLevel: u32 {
        Emergency = 0,
        Alert = 1,
        Critical = 2,
        Error = 3,
        Warning = 4,
        Notice = 5,
        Info = 6,
        Debug = 7,
        /// To the audit log instead.
        Audit = 8,
    }
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[doc(alias = "NF_LOG_TCPSEQ")]
    pub(crate) struct LogFlags: u32 {
        const TCP_SEQUENCE = 1;
        const TCP_OPTIONS = 1 << 1;
        const IP_OPTIONS = 1 << 2;
        const SOCKET_USER = 1 << 3;
        const HARDWARE_ADDRESS = 1 << 5;
    }
}
flags_field!(LogFlags: u32);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) prefix: Option<String>,
    pub(crate) group: Option<u16>,
    pub(crate) snaplen: Option<u32>,
    pub(crate) queue_threshold: Option<u16>,
    pub(crate) level: Option<LogLevel>,
    pub(crate) flags: LogFlags,
}

impl Codec for Log {
    fn encode(&self, out: &mut Writer<'_>) {
        out.optional(NFTA_LOG_PREFIX, self.prefix.as_ref());
        out.optional(NFTA_LOG_GROUP, self.group.as_ref());
        out.optional(NFTA_LOG_SNAPLEN, self.snaplen.as_ref());
        out.optional(NFTA_LOG_QTHRESHOLD, self.queue_threshold.as_ref());
        out.optional(NFTA_LOG_LEVEL, self.level.as_ref());
        if !self.flags.is_empty() {
            out.field(NFTA_LOG_FLAGS, &self.flags);
        }
    }

    fn decode(attributes: Attributes<'_>) -> Option<Self> {
        let fields = Fields::up_to(attributes, NFTA_LOG_FLAGS)?;
        Some(Self {
            prefix: fields.optional(NFTA_LOG_PREFIX)?,
            group: fields.optional(NFTA_LOG_GROUP)?,
            snaplen: fields.optional(NFTA_LOG_SNAPLEN)?,
            queue_threshold: fields.optional(NFTA_LOG_QTHRESHOLD)?,
            level: fields.optional(NFTA_LOG_LEVEL)?,
            flags: fields.or_default(NFTA_LOG_FLAGS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::testing::expression;

    #[test]
    fn as_nft_sends_it() {
        // tools/nft-bytes 'add table ip t' 'add chain ip t c' 'add rule ip t c log'
        expression(Log::default(), "10000180 08000100 6c6f6700 04000280");
        // The same with: log prefix "x: " level warn flags tcp options
        let prefix = Some("x: ".to_owned());
        expression(
            Log {
                prefix: prefix.clone(),
                level: Some(LogLevel::Warning),
                flags: LogFlags::TCP_OPTIONS,
                ..Log::default()
            },
            "28000180 08000100 6c6f6700 1c000280 08000200 783a2000
             08000500 00000004 08000600 00000002",
        );
        // The same with: log prefix "x: " group 5 snaplen 64 queue-threshold 3
        let group =
            Log { group: Some(5), snaplen: Some(64), queue_threshold: Some(3), ..Log::default() };
        expression(
            Log { prefix, ..group },
            "30000180 08000100 6c6f6700 24000280 08000200 783a2000
             06000100 00050000 08000300 00000040 06000400 00030000",
        );
        // The same with: log flags all
        expression(
            Log { flags: LogFlags::all(), ..Log::default() },
            "18000180 08000100 6c6f6700 0c000280 08000600 0000002f",
        );
    }
}
