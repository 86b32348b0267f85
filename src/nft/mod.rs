//! `nf_tables`, typed: tables, chains, rules, sets and maps.
//!
//! What a person writes for `nft -f` is said here with builders, made in one transaction, owned like a link,
//! and read back into the same types. [`NatRule`](crate::NatRule) and [`Firewall`](crate::Firewall) are
//! simpler doors to what most container hosts need.
//!
//! ```
//! use netloom::nft::{Chain, CtState, Family, Hook, Limit, Policy, Priority, Reject, Rule, Table};
//! use netloom::Namespace;
//! # netloom::sandbox::enter()?;
//!
//! let netns = Namespace::anonymous().create()?;
//! let rules = [
//!     Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept(),
//!     Rule::new().in_link("lo").accept(),
//!     Rule::new().icmp_echo().limit(Limit::packets(10)).accept(),
//!     Rule::new().source("10.0.0.0/24").tcp().dports([80, 443]).counter().accept(),
//!     Rule::new().tcp().reject(Reject::TcpReset),
//! ];
//! let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).policy(Policy::Drop);
//! let input = rules.into_iter().fold(input, Chain::rule);
//! let table = Table::new(Family::Inet, "filter").chain(input).create(&netns)?;
//! assert_eq!(table.read()?.chains[0].rules.len(), 5);
//! # Ok::<(), netloom::Error>(())
//! ```
//!
//! # One rule for many containers
//!
//! What differs from one container to the next belongs into a set: an element costs the same however many there
//! are, and coming and going touches no rule. Short-lived programs share a persistent table, of which the first
//! to come makes all and the others find it there:
//!
//! ```
//! use netloom::nft::{Chain, ChainKind, Element, Family, Field, Hook, Priority, Rule, Set, Table, TableHandle, Type};
//! use netloom::{Error, Namespace, Netns};
//! # netloom::sandbox::enter()?;
//!
//! /// Masquerades what the containers send to others than their own network.
//! fn shared_table(netns: &Netns) -> Result<TableHandle, Error> {
//!     let way_out = Rule::new()
//!         .in_set([Field::Ip4Source], "containers")
//!         .not()
//!         .in_set([Field::Ip4Source, Field::Ip4Destination], "networks")
//!         .masquerade();
//!     let table = Table::new(Family::Inet, "my-plugin")
//!         .persistent("my-plugin")
//!         .set(Set::new("containers", Type::Ipv4).size(65_536))
//!         .set(Set::new("networks", [Type::Ipv4, Type::Ipv4]).interval())
//!         .chain(
//!             Chain::new("way-out")
//!                 .hook(Hook::Postrouting, Priority::SOURCE_NAT)
//!                 .kind(ChainKind::Nat)
//!                 .rule(way_out),
//!         );
//!     match table.create(netns) {
//!         Err(error) if error.is_already_exists() => {
//!             Ok(Table::find_tagged(netns, "my-plugin")?.swap_remove(0))
//!         }
//!         made => Ok(made?.keep()),
//!     }
//! }
//!
//! let host = Namespace::anonymous().create()?;
//! let table = shared_table(&host)?;
//! table.set("networks")?.add([("10.0.0.0/16", "10.0.0.0/16")])?;
//! table.set("containers")?.add([Element::new("10.0.0.2").comment("web")])?;
//!
//! // Another program, later:
//! shared_table(&host)?.set("containers")?.remove(["10.0.0.2"])?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Source: nft(8), `include/uapi/linux/netfilter/nf_tables.h`.

mod chain;
mod context;
mod datum;
mod decode;
mod device;
mod divert;
mod element;
mod element_handle;
mod encode;
mod family;
mod field;
mod find;
mod flowtable;
mod generation;
mod info;
mod interval;
mod limit;
mod log;
mod lookup;
mod matches;
mod name;
mod number;
mod numgen;
mod object;
mod operations;
mod part;
mod queue;
pub(crate) mod read;
mod reject;
mod request;
mod rule;
mod rule_handle;
mod ruleset;
mod set;
mod set_handle;
mod set_message;
mod stateful;
mod statement;
mod synproxy;
mod table;
mod transaction;
mod types;
mod undo;

pub use chain::{Chain, ChainHandle};
pub use datum::{Datum, Span};
pub use element::{Element, Verdict};
pub use element_handle::ElementHandle;
pub use family::{ChainKind, Family, Hook, Policy, Priority};
pub use field::Field;
pub use flowtable::{Flowtable, FlowtableHandle};
pub use generation::Generation;
pub use info::{ChainInfo, RuleInfo, SetInfo, SetOrMap, TableInfo};
pub use limit::Limit;
pub use log::Log;
pub use numgen::Numgen;
pub use object::{Object, ObjectHandle, ObjectKind};
pub use queue::Queue;
pub use reject::Reject;
pub use rule::{CtState, CtStatus, Rule};
pub use rule_handle::RuleHandle;
pub use set::{Map, Set, Types};
pub use set_handle::SetHandle;
pub use synproxy::Synproxy;
pub use table::{Table, TableHandle};
pub use transaction::{Refused, Transaction, TransactionError};
pub use types::Type;

pub(crate) use generation::at_one_generation;
pub(crate) use operations::{Operations, is_outdated};
pub(crate) use ruleset::{base_chains, makers};
pub(crate) use table::persistent_tables;
