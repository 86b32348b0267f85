//! The names of the attributes in requests, for error texts.
//!
//! Lists only attributes that netloom sends. Error texts show the numbers of all others.
//! Source: `include/uapi/linux/`: `if_link.h`, `if_addr.h`, `rtnetlink.h`,
//! `netfilter/nf_tables.h`.

/// The attributes of one message or one nest.
#[derive(Debug)]
pub(super) struct Level {
    /// The type and name of each attribute, in one string. Only error texts search it.
    names: &'static str,
    /// The attributes that are nests: type, length of the fixed header inside, and level.
    nests: &'static [(u16, usize, &'static Level)],
}

impl Level {
    pub(super) fn name(&self, kind: u16) -> Option<&'static str> {
        let mut names = self.names.split(", ").filter_map(|entry| entry.split_once(' '));
        names.find(|(number, _)| number.parse() == Ok(kind)).map(|(_, name)| name)
    }

    /// Returns the length of the fixed header inside a nest, and the nest's attributes.
    pub(super) fn nest(&self, kind: u16) -> Option<(usize, &'static Level)> {
        let (_, skip, level) = self.nests.iter().find(|nest| nest.0 == kind)?;
        Some((*skip, level))
    }
}

/// Returns the length of a message's fixed header and the message's attributes, by the message's
/// type.
pub(super) fn level_of(kind: u16) -> Option<(usize, &'static Level)> {
    const NFNL_SUBSYS_NFTABLES: u16 = 10;
    match (kind >> 8, kind & 0xff) {
        (0, 16..=19) => Some((16, &LINK)),
        (0, 20..=22) => Some((8, &ADDRESS)),
        (0, 24..=26) => Some((12, &ROUTE)),
        (NFNL_SUBSYS_NFTABLES, 0..=2) => Some((4, &TABLE)),
        (NFNL_SUBSYS_NFTABLES, 3..=5) => Some((4, &CHAIN)),
        (NFNL_SUBSYS_NFTABLES, 6..=8) => Some((4, &RULE)),
        (NFNL_SUBSYS_NFTABLES, 9..=11) => Some((4, &SET)),
        (NFNL_SUBSYS_NFTABLES, 12..=14) => Some((4, &ELEMENTS)),
        _ => None,
    }
}

static LINK: Level = Level {
    names: "1 IFLA_ADDRESS, 2 IFLA_BROADCAST, 3 IFLA_IFNAME, 4 IFLA_MTU, 5 IFLA_LINK, \
            10 IFLA_MASTER, 12 IFLA_PROTINFO, 13 IFLA_TXQLEN, 18 IFLA_LINKINFO, \
            19 IFLA_NET_NS_PID, 20 IFLA_IFALIAS, 26 IFLA_AF_SPEC, 27 IFLA_GROUP, \
            28 IFLA_NET_NS_FD, 29 IFLA_EXT_MASK, 31 IFLA_NUM_TX_QUEUES, \
            32 IFLA_NUM_RX_QUEUES, 53 IFLA_ALT_IFNAME",
    nests: &[(12, 0, &BRIDGE_PORT), (18, 0, &LINK_INFO), (26, 0, &FAMILIES)],
};

static LINK_INFO: Level = Level {
    names: "1 IFLA_INFO_KIND, 2 IFLA_INFO_DATA, 4 IFLA_INFO_SLAVE_KIND, \
            5 IFLA_INFO_SLAVE_DATA",
    nests: &[(2, 0, &VETH), (5, 0, &BRIDGE_PORT)],
};

static VETH: Level = Level { names: "1 VETH_INFO_PEER", nests: &[(1, 16, &LINK)] };

static BRIDGE_PORT: Level =
    Level { names: "1 IFLA_BRPORT_STATE, 4 IFLA_BRPORT_MODE, 33 IFLA_BRPORT_ISOLATED", nests: &[] };

static FAMILIES: Level =
    Level { names: "2 AF_INET, 10 AF_INET6", nests: &[(2, 0, &INET), (10, 0, &INET6)] };

static INET: Level = Level { names: "1 IFLA_INET_CONF", nests: &[] };

static INET6: Level = Level { names: "8 IFLA_INET6_ADDR_GEN_MODE", nests: &[] };

static ADDRESS: Level = Level {
    names: "1 IFA_ADDRESS, 2 IFA_LOCAL, 3 IFA_LABEL, 4 IFA_BROADCAST, 6 IFA_CACHEINFO, \
            8 IFA_FLAGS",
    nests: &[],
};

static ROUTE: Level = Level {
    names: "1 RTA_DST, 4 RTA_OIF, 5 RTA_GATEWAY, 6 RTA_PRIORITY, 7 RTA_PREFSRC, \
            8 RTA_METRICS, 9 RTA_MULTIPATH, 15 RTA_TABLE, 18 RTA_VIA",
    nests: &[],
};

static TABLE: Level =
    Level { names: "1 NFTA_TABLE_NAME, 2 NFTA_TABLE_FLAGS, 6 NFTA_TABLE_USERDATA", nests: &[] };

static CHAIN: Level = Level {
    names: "1 NFTA_CHAIN_TABLE, 3 NFTA_CHAIN_NAME, 4 NFTA_CHAIN_HOOK, 5 NFTA_CHAIN_POLICY, \
            7 NFTA_CHAIN_TYPE",
    nests: &[(4, 0, &HOOK)],
};

static HOOK: Level = Level {
    names: "1 NFTA_HOOK_HOOKNUM, 2 NFTA_HOOK_PRIORITY, 3 NFTA_HOOK_DEV, 4 NFTA_HOOK_DEVS",
    nests: &[],
};

static RULE: Level = Level {
    names: "1 NFTA_RULE_TABLE, 2 NFTA_RULE_CHAIN, 3 NFTA_RULE_HANDLE, \
            4 NFTA_RULE_EXPRESSIONS, 6 NFTA_RULE_POSITION, 7 NFTA_RULE_USERDATA",
    nests: &[(4, 0, &LIST)],
};

static LIST: Level = Level { names: "1 NFTA_LIST_ELEM", nests: &[(1, 0, &EXPRESSION)] };

static EXPRESSION: Level = Level { names: "1 NFTA_EXPR_NAME, 2 NFTA_EXPR_DATA", nests: &[] };

static SET: Level = Level {
    names: "1 NFTA_SET_TABLE, 2 NFTA_SET_NAME, 3 NFTA_SET_FLAGS, 4 NFTA_SET_KEY_TYPE, \
            5 NFTA_SET_KEY_LEN, 6 NFTA_SET_DATA_TYPE, 7 NFTA_SET_DATA_LEN, 9 NFTA_SET_DESC",
    nests: &[],
};

static ELEMENTS: Level = Level {
    names: "1 NFTA_SET_ELEM_LIST_TABLE, 2 NFTA_SET_ELEM_LIST_SET, \
            3 NFTA_SET_ELEM_LIST_ELEMENTS",
    nests: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_nests_are_found() {
        assert_eq!(LINK.name(3), Some("IFLA_IFNAME"));
        assert_eq!(LINK.name(53), Some("IFLA_ALT_IFNAME"));
        assert_eq!((LINK.name(0), LINK.name(99)), (None, None));
        for level in [&LINK, &LINK_INFO, &CHAIN, &RULE, &FAMILIES, &VETH] {
            for (kind, ..) in level.nests {
                assert!(level.name(*kind).is_some() && level.nest(*kind).is_some(), "{kind}");
            }
        }
    }
}
