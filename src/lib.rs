//! Container networking without shelling out.
//!
//! netloom replaces `ip netns`, `ip link`, `ip addr`, `ip route`, `bridge`, `arp`, `iptables` and
//! `sysctl` for connecting containers. Typed, synchronous calls speak netlink to the kernel. Every
//! created object is deleted when its owner goes out of scope:
//!
//! ```
//! use netloom::{Bridge, Forwarding, Namespace, NatRule, VethEnd, VethPair};
//! # netloom::sandbox::enter()?;
//!
//! let host = Namespace::anonymous().create()?;
//! let container = Namespace::anonymous().create()?;
//! let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
//! let cable = VethPair::new(
//!     VethEnd::new("port1").master(&bridge).up(),
//!     VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up(),
//! )
//! .create_between(&host, &container)?;
//! let forwarding = Forwarding::ipv4().create(&host)?;
//! let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host)?;
//!
//! container.ping("10.0.0.1")?;
//! # Ok::<(), netloom::Error>(())
//! ```
//!
//! # Words
//!
//! - A **builder** describes an object to create: plain data, no I/O. Setters take values or
//!   literals and never fail; the first bad literal is kept, and `create` returns it.
//! - A **handle** is the identity of an existing object: a namespace's device and inode, a link's
//!   namespace and index. Dropping it does nothing.
//! - An **owner**, [`Owned`], is a handle with the duty to delete. Every `create` returns one.
//!   [`Together`] deletes many of them faster.
//!
//! # What survives what
//!
//! | made with `create` | drop, `?`, panic | `abort`, SIGKILL |
//! |---|---|---|
//! | anonymous namespace | gone with its last handle, including handles of objects inside | gone |
//! | named namespace | name gone | stays, as with `ip netns add` |
//! | link, address, route, sysctl in an anonymous namespace | gone, restored | gone with the namespace |
//! | link, address, route in another namespace | gone | stays, unless a veth peer was in an anonymous one |
//! | sysctl, forwarding in another namespace | restored | stays |
//! | NAT rule, published port | gone | gone: the kernel deletes its table with netloom's socket |
//! | NAT rule with a tag | gone, unless kept | stays; found by its tag, or by [`persistent`] |
//!
//! A panic that unwinds drops owners; with `panic = "abort"` it is an abort. [`Owned::keep`] leaves
//! things in place, [`std::process::exit`] runs no drops, and `let _ = …create(&ns)?` deletes at
//! once.
//!
//! # Threads
//!
//! Everything is `Send + Sync`. netloom runs a program's code in another namespace only on request.
//! [`Netns::run`] runs a closure on a new thread, [`Netns::run_here`] on the calling thread. A
//! [`Worker`] is a thread that stays inside. For its own system calls netloom switches the calling
//! thread, with signals blocked, after it has tested the way back.
//!
//! Needs Linux 6.1 or later. Runs no other program: neither `ip` nor `nft` must be installed.

// The README's program is run as a test, too.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/commands.md"))]
#![warn(
    clippy::expect_used,
    clippy::map_err_ignore,
    clippy::mem_forget,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[cfg(not(target_os = "linux"))]
compile_error!("netloom speaks netlink and builds for Linux only");

#[cfg(test)]
extern crate self as netloom; // what examples and tests call it

mod address;

mod conntrack;
mod counter;
pub mod doctor;
mod drop_scope;
mod error;
mod fault;
mod firewall;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod link;
mod link_names;
mod link_pattern;
mod listed;
mod mac;
mod nat;
mod neighbor;
mod netlink;
mod netns;
pub mod nft;
mod numbered;
mod obstacle;
mod owned;
mod partial;
mod persistent;
mod port;
mod protocol;
mod reap;
mod route;
mod rule;
pub mod sandbox;
mod scope;
#[cfg(feature = "serde")]
mod serialize;
mod sys;
mod sysctl;
#[cfg(test)]
mod testing;
mod text;
mod together;
mod watch;
mod wire;

pub use address::{Address, AddressHandle, AddressInfo};
pub use conntrack::{ConntrackEntry, ConntrackFilter, ConntrackTuple, IcmpQuery, TcpState};
pub use counter::Counter;
pub use drop_scope::on_drop_failure;
pub use error::{Error, ErrorKind};
pub use firewall::{Firewall, FirewallHandle, PortGuard, PortGuardHandle};
pub use input::Input;
pub use ipnet;
pub use link::builders::*;
pub use link::{
    BridgeInfo, BridgePortInfo, BridgePortState, BridgeVlan, BridgeVlanHandle, BridgeVlanInfo,
    Link, LinkFlags, LinkIndex, LinkInfo, LinkKind, LinkRef, LinkView, OperationalState,
};
pub use link_names::LinkNames;
pub use link_pattern::LinkPattern;
pub use mac::{BadMacAddr, MacAddr};
pub use nat::{NatRule, NatRuleHandle, NatRuleInfo, NatTarget, PortForward, PortForwardHandle};
pub use neighbor::{NeighborInfo, NeighborState};
pub use netns::{
    Child, Command, EchoReply, HeldBy, Holder, Listener, NamedNetns, Namespace, Netns, NetnsId,
    NetnsLock, PeerId, Ping, PingSummary, Worker,
};
pub use obstacle::Obstacle;
pub use owned::{DeleteError, Handle, Owned};
pub use partial::PartialError;
pub use persistent::{Persistent, persistent};
pub use port::PortRange;
pub use protocol::Protocol;
pub use reap::{Leftover, Leftovers, Reaped, leftovers, reap};
pub use route::*;
pub use rule::{PolicyRule, PolicyRuleAction, PolicyRuleHandle, PolicyRuleInfo};
pub use scope::Scope;
pub use sysctl::{
    AcceptRa, ArpAccept, ArpAnnounce, ArpIgnore, Conf, Forwarding, ForwardingHandle, RpFilter,
    Setting, SettingValue, Sysctl, SysctlHandle,
};
pub use together::Together;
pub use watch::{Change, ConntrackEvent, Event, Resynced, RulesetChange, Watch, Watcher};
