//! `log`: logs the packet to the kernel's log or to a netlink group.
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

use super::prelude::*;

wire_flags! {
    #[doc(alias = "NF_LOG_TCPSEQ")]
    LogFlags: u32 {
        TCP_SEQUENCE = 1,
        TCP_OPTIONS = 1 << 1,
        IP_OPTIONS = 1 << 2,
        SOCKET_USER = 1 << 3,
        HARDWARE_ADDRESS = 1 << 5,
    }
}

attribute_table! {
    #[derive(Default, Hash)]
    strict struct Log {
        prefix: Option<String> = 2,
        group: Option<u16> = 1,
        snaplen: Option<u32> = 3,
        queue_threshold: Option<u16> = 4,
        /// A syslog level; 8 is the audit log.
        level: Option<u32> = 5,
        flags: LogFlags = 6 unless_default,
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
                level: Some(4),
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
