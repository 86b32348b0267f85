//! The feature `serde`: listed values can be written as JSON and in other formats.
//!
//! A value that has a text form is serialized as that text, as `Display` writes it. The same
//! applies to the rules of nf_tables, in the words of nft. Decision record 024 says why builders
//! cannot be deserialized.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::link::builders::{
    BondAggregator, BondArpValidate, BondFailoverMac, BondHash, BondMode, BondReselect,
    IpvlanForwarding, IpvlanMode, MacvlanMode, VlanProtocol, VxlanFragment,
};
use crate::link::{BridgePortState, LinkFlags, LinkKind, OperationalState};
use crate::mac::MacAddr;
use crate::nat::{NatRuleInfo, PortForwardHandle};
use crate::neighbor::NeighborState;
use crate::netns::NetnsId;
use crate::nft::{Chain, Element, Family, Flowtable, Object, Rule, SetOrMap};
use crate::port::PortRange;
use crate::protocol::Protocol;
use crate::reap::Leftover;
use crate::route::{Destination, RouteOption, RouteOptions, RoutePreference, RouteType};
use crate::rule::PolicyRuleAction;
use crate::scope::Scope;

macro_rules! as_text {
    ($($type:ty),+ $(,)?) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

as_text!(
    BondAggregator,
    BondArpValidate,
    BondFailoverMac,
    BondHash,
    BondMode,
    BondReselect,
    BridgePortState,
    Destination,
    Element,
    Family,
    Flowtable,
    Leftover,
    IpvlanForwarding,
    IpvlanMode,
    LinkKind,
    MacAddr,
    MacvlanMode,
    NeighborState,
    NetnsId,
    Object,
    OperationalState,
    PolicyRuleAction,
    PortRange,
    Protocol,
    RouteOption,
    RouteOptions,
    RoutePreference,
    RouteType,
    Rule,
    Scope,
    VlanProtocol,
    VxlanFragment,
    crate::conntrack::TcpState,
    crate::doctor::Check,
    crate::doctor::Verdict,
    crate::persistent::Persistent,
);

/// Writes the names of the flags, as `ip -json link` does.
impl Serialize for LinkFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter_names().map(|(name, _)| name))
    }
}

impl Serialize for NatRuleInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("NatRuleInfo", 3)?;
        fields.serialize_field("tag", self.tag())?;
        fields.serialize_field("rule", self.rule())?;
        fields.serialize_field("counter", &self.counter())?;
        fields.end()
    }
}

impl Serialize for PortForwardHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PortForwardHandle", 6)?;
        fields.serialize_field("tag", &self.tag())?;
        fields.serialize_field("protocol", &self.protocol())?;
        fields.serialize_field("host_address", &self.host_address())?;
        fields.serialize_field("host_ports", &self.host_ports())?;
        fields.serialize_field("target", &self.target())?;
        fields.serialize_field("target_ports", &self.target_ports())?;
        fields.end()
    }
}

/// Writes the chain without its rules. A `ChainInfo` has both.
impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (hook, priority) = self.hook_of().unzip();
        let mut fields = serializer.serialize_struct("Chain", 4)?;
        fields.serialize_field("name", self.name())?;
        fields.serialize_field("hook", &hook.map(|hook| hook.to_string()))?;
        fields.serialize_field("priority", &priority.map(|priority| priority.to_string()))?;
        fields.serialize_field("policy", &hook.map(|_| self.policy_of().to_string()))?;
        fields.end()
    }
}

/// Writes only the name. A `SetInfo` also has the elements.
impl Serialize for SetOrMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, name) = match self {
            Self::Set(set) => ("set", set.name()),
            Self::Map(map) => ("map", map.name()),
        };
        let mut fields = serializer.serialize_struct("SetOrMap", 2)?;
        fields.serialize_field("kind", kind)?;
        fields.serialize_field("name", name)?;
        fields.end()
    }
}
