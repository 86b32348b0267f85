//! `nf_tables`, typed: tables, chains, rules, sets and maps.
//!
//! Builders are the typed form of the input of `nft -f`. A transaction creates the objects, owners
//! delete them, and lists return the same types. [`NatRule`](crate::NatRule) and
//! [`Firewall`](crate::Firewall) are simpler, and enough for most container hosts.
//!
//! ```
//! use netloom::nft::{Chain, CtState, Family, Hook, Limit, Policy, Priority, Reject, Rule, Table};
//! use netloom::Namespace;
//! # netloom::sandbox::enter()?;
//!
//! let netns = Namespace::anonymous().create()?;
//! let rules = [
//!     Rule::new().ct_state(CtState::ESTABLISHED | CtState::RELATED).accept(),
//!     Rule::new().iifname("lo").accept(),
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
//! Put what differs between containers into a set. An element costs the same however many there
//! are, and adding or removing a container changes no rule. Short-lived programs share a persistent
//! table: the first program creates the table, the others find it.
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
//!             Ok(netns.nft_tables_with_tag("my-plugin")?.swap_remove(0))
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

pub(crate) mod live;
mod model;

pub use live::{
    ChainHandle, ElementHandle, FlowtableHandle, Generation, ObjectHandle, Refused, RuleHandle,
    SetHandle, TableHandle, Transaction, TransactionError,
};
pub use model::{
    Chain, ChainInfo, ChainKind, Constant, CtState, CtStatus, Element, Family, Field, Flowtable,
    Hook, Interval, Limit, Log, Map, Numgen, Object, ObjectKind, Policy, Priority, Queue, Reject,
    Rule, RuleInfo, Set, SetInfo, SetOrMap, Synproxy, Table, TableInfo, Type, Types, Verdict,
};

pub(crate) use model::name::check_tag;

pub(crate) use live::{
    Step, at_one_generation, base_chains, makers, persistent_tables, read_at_one_generation, reader,
};
