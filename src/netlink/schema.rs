//! The names of the attributes in requests, for error texts.
//!
//! Only attributes that netloom sends have names here. Texts have the numbers of others.
//! Source: `include/uapi/linux/`: `if_link.h`, `if_addr.h`, `rtnetlink.h`, `neighbour.h`,
//! `netfilter/nf_tables.h`.

/// The attributes of one level: type, name, and what is nested inside.
#[derive(Debug)]
pub(super) struct Level(&'static [(u16, &'static str, Option<Nest>)]);

/// A nest: the fixed header of `skip` bytes it starts with, and its attributes.
#[derive(Debug)]
pub(super) struct Nest {
    pub(super) skip: usize,
    pub(super) level: &'static Level,
}

impl Level {
    pub(super) fn name(&self, kind: u16) -> Option<&'static str> {
        self.0.iter().find(|entry| entry.0 == kind).map(|entry| entry.1)
    }

    pub(super) fn nest(&self, kind: u16) -> Option<&Nest> {
        self.0.iter().find(|entry| entry.0 == kind)?.2.as_ref()
    }
}

/// The length of a message's fixed header and its attributes, by the message's type.
pub(super) fn level_of(kind: u16) -> Option<(usize, &'static Level)> {
    const NFNL_SUBSYS_NFTABLES: u16 = 10;
    match (kind >> 8, kind & 0xff) {
        (0, 16..=19) => Some((16, &LINK)),
        (0, 20..=22) => Some((8, &ADDRESS)),
        (0, 24..=26) => Some((12, &ROUTE)),
        (0, 28..=30) => Some((12, &NEIGHBOR)),
        (NFNL_SUBSYS_NFTABLES, 0..=2) => Some((4, &TABLE)),
        (NFNL_SUBSYS_NFTABLES, 3..=5) => Some((4, &CHAIN)),
        (NFNL_SUBSYS_NFTABLES, 6..=8) => Some((4, &RULE)),
        (NFNL_SUBSYS_NFTABLES, 9..=11) => Some((4, &SET)),
        (NFNL_SUBSYS_NFTABLES, 12..=14) => Some((4, &ELEMENTS)),
        _ => None,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what stands in the tables below is an Option")]
const fn nest(level: &'static Level) -> Option<Nest> {
    Some(Nest { skip: 0, level })
}

static LINK: Level = Level(&[
    (1, "IFLA_ADDRESS", None),
    (2, "IFLA_BROADCAST", None),
    (3, "IFLA_IFNAME", None),
    (4, "IFLA_MTU", None),
    (5, "IFLA_LINK", None),
    (10, "IFLA_MASTER", None),
    (12, "IFLA_PROTINFO", nest(&BRIDGE_PORT)),
    (13, "IFLA_TXQLEN", None),
    (18, "IFLA_LINKINFO", nest(&LINK_INFO)),
    (19, "IFLA_NET_NS_PID", None),
    (20, "IFLA_IFALIAS", None),
    (26, "IFLA_AF_SPEC", nest(&FAMILIES)),
    (27, "IFLA_GROUP", None),
    (28, "IFLA_NET_NS_FD", None),
    (29, "IFLA_EXT_MASK", None),
    (31, "IFLA_NUM_TX_QUEUES", None),
    (32, "IFLA_NUM_RX_QUEUES", None),
    (53, "IFLA_ALT_IFNAME", None),
]);

static LINK_INFO: Level = Level(&[
    (1, "IFLA_INFO_KIND", None),
    (2, "IFLA_INFO_DATA", nest(&VETH)),
    (4, "IFLA_INFO_SLAVE_KIND", None),
    (5, "IFLA_INFO_SLAVE_DATA", nest(&BRIDGE_PORT)),
]);

static VETH: Level = Level(&[(1, "VETH_INFO_PEER", Some(Nest { skip: 16, level: &LINK }))]);

static BRIDGE_PORT: Level = Level(&[
    (1, "IFLA_BRPORT_STATE", None),
    (4, "IFLA_BRPORT_MODE", None),
    (33, "IFLA_BRPORT_ISOLATED", None),
]);

static FAMILIES: Level = Level(&[(2, "AF_INET", nest(&INET)), (10, "AF_INET6", nest(&INET6))]);
static INET: Level = Level(&[(1, "IFLA_INET_CONF", None)]);
static INET6: Level = Level(&[(8, "IFLA_INET6_ADDR_GEN_MODE", None)]);

static ADDRESS: Level = Level(&[
    (1, "IFA_ADDRESS", None),
    (2, "IFA_LOCAL", None),
    (3, "IFA_LABEL", None),
    (4, "IFA_BROADCAST", None),
    (6, "IFA_CACHEINFO", None),
    (8, "IFA_FLAGS", None),
]);

static ROUTE: Level = Level(&[
    (1, "RTA_DST", None),
    (4, "RTA_OIF", None),
    (5, "RTA_GATEWAY", None),
    (6, "RTA_PRIORITY", None),
    (7, "RTA_PREFSRC", None),
    (8, "RTA_METRICS", None),
    (9, "RTA_MULTIPATH", None),
    (15, "RTA_TABLE", None),
    (18, "RTA_VIA", None),
]);

static NEIGHBOR: Level =
    Level(&[(1, "NDA_DST", None), (2, "NDA_LLADDR", None), (9, "NDA_MASTER", None)]);

static TABLE: Level = Level(&[
    (1, "NFTA_TABLE_NAME", None),
    (2, "NFTA_TABLE_FLAGS", None),
    (6, "NFTA_TABLE_USERDATA", None),
]);

static CHAIN: Level = Level(&[
    (1, "NFTA_CHAIN_TABLE", None),
    (3, "NFTA_CHAIN_NAME", None),
    (4, "NFTA_CHAIN_HOOK", nest(&HOOK)),
    (5, "NFTA_CHAIN_POLICY", None),
    (7, "NFTA_CHAIN_TYPE", None),
]);

static HOOK: Level = Level(&[
    (1, "NFTA_HOOK_HOOKNUM", None),
    (2, "NFTA_HOOK_PRIORITY", None),
    (3, "NFTA_HOOK_DEV", None),
    (4, "NFTA_HOOK_DEVS", None),
]);

static RULE: Level = Level(&[
    (1, "NFTA_RULE_TABLE", None),
    (2, "NFTA_RULE_CHAIN", None),
    (3, "NFTA_RULE_HANDLE", None),
    (4, "NFTA_RULE_EXPRESSIONS", nest(&LIST)),
    (6, "NFTA_RULE_POSITION", None),
    (7, "NFTA_RULE_USERDATA", None),
]);

static LIST: Level = Level(&[(1, "NFTA_LIST_ELEM", nest(&EXPRESSION))]);
static EXPRESSION: Level = Level(&[(1, "NFTA_EXPR_NAME", None), (2, "NFTA_EXPR_DATA", None)]);

static SET: Level = Level(&[
    (1, "NFTA_SET_TABLE", None),
    (2, "NFTA_SET_NAME", None),
    (3, "NFTA_SET_FLAGS", None),
    (4, "NFTA_SET_KEY_TYPE", None),
    (5, "NFTA_SET_KEY_LEN", None),
    (6, "NFTA_SET_DATA_TYPE", None),
    (7, "NFTA_SET_DATA_LEN", None),
    (9, "NFTA_SET_DESC", None),
]);

static ELEMENTS: Level = Level(&[
    (1, "NFTA_SET_ELEM_LIST_TABLE", None),
    (2, "NFTA_SET_ELEM_LIST_SET", None),
    (3, "NFTA_SET_ELEM_LIST_ELEMENTS", None),
]);
