//! Published ports: ports of this namespace that lead to a container.
//!
//! One table a family, held by the owner flag. A mapping is an element of one of two maps, so the
//! ten-thousandth costs what the first does; each container has two elements of a set besides:
//!
//! ```text
//! table ip netloom-ports-N {
//!     flags owner
//!     map addressed { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; size 65536; }
//!     map any { type inet_proto . inet_service : ipv4_addr . inet_service; size 65536; }
//!     set hairpin { type iface_index . iface_index . ipv4_addr; }
//!     set local { type iface_index; }         # IPv4 only: links that have to have route_localnet
//!     chain loopback {                        # IPv4 only; the kernel itself does it for IPv6
//!         type filter hook prerouting priority raw;
//!         iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     }
//!     chain ports {                           # IPv6 begins with: ip6 daddr ::1 return
//!         fib daddr type != local return
//!         dnat to meta l4proto . ip daddr . th dport map @addressed
//!         dnat to meta l4proto . th dport map @any
//!     }
//!     chain prerouting { type nat hook prerouting priority dstnat; jump ports }
//!     chain output { type nat hook output priority dstnat; jump ports }
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat;
//!         ct status dnat meta iif . meta oif . ip daddr @hairpin masquerade
//!     }
//! }
//! ```
//!
//! The set has, for each container, the link that leads to it with itself: what came in by the link it
//! leaves by (a neighbour's, and the container's own) must come back through here, so it gets our
//! address. And with no link at all: what was sent from here, perhaps from 127.0.0.1, and, where
//! `br_netfilter` has a bridge call us, what passes from port to port.
//!
//! The persistent table is called `netloom-ports` and has no owner. An element of a map has the tag as its
//! comment, which is how a conflict names the holder. Beside it there are notes (`persistent/note.rs`), the
//! comments of elements:
//!
//! ```text
//!     map tags { type ipv6_addr . inet_service : verdict; size 196608; elements = {
//!         HASH . 0 comment "net1/web" : return,            # a tag, which HASH is of
//!         HASH . 1 comment "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f" : goto local-5,
//!         HASH . 2 comment "…" : goto mappings, …          # its mappings
//!         HASH . 1 comment "2" : return, …                 # of a container: so many came at once
//!     } }
//!     map local {                                                                 # route_localnet
//!         type iface_index : verdict; elements = { "br0" comment "route_localnet" : goto mappings }
//!     }
//!     chain mappings { }                                   # empty: the kernel counts what leads there
//!     chain local-5 { }
//! ```

mod builder;
mod elements;
mod guard;
mod handle;
mod held;
mod local;
mod loopback;
mod mapping;
mod numbers;
mod persistent;
mod ruleset;
mod stale;
mod tables;

pub use builder::PortForward;
pub use handle::PortForwardHandle;
pub(crate) use local::{is_unsettled as is_loopback_unsettled, settle as settle_loopback};
pub(crate) use persistent::all as all_ports;
