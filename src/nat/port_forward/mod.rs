//! Published ports: ports of this namespace, forwarded to a container.
//!
//! Each family has one table for each process, with the owner flag, and one for persistent ports. A
//! port is an element of one of two maps, so the cost is the same beside one port and beside ten
//! thousand:
//!
//! ```text
//! table ip netloom-ports-N {
//!     flags owner
//!     map addressed { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; size 65536; }
//!     map any { type inet_proto . inet_service : ipv4_addr . inet_service; size 65536; }
//!     set hairpin { type iface_index . iface_index; }
//!     set local { type iface_index; }         # links that have to route loopback addresses
//!
//!     chain loopback {                        # IPv4 only; the kernel itself does it for IPv6
//!         type filter hook prerouting priority raw;
//!         iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     }
//!
//!     chain ports {                           # IPv6 begins with: ip6 daddr { ::1, fe80::/10 } return
//!         fib daddr type != local return
//!         dnat to meta l4proto . ip daddr . th dport map @addressed
//!         dnat to meta l4proto . th dport map @any
//!     }
//!
//!     chain prerouting { type nat hook prerouting priority dstnat; jump ports }
//!     chain output { type nat hook output priority dstnat; jump ports }
//!
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat;
//!         ct status dnat meta iif . meta oif @hairpin masquerade
//!     }
//! }
//! ```
//!
//! `hairpin` has two pairs for each link to a container. The pair (link, link): replies to a
//! neighbour must return through this namespace, so the container sees the namespace's address. The
//! pair (none, link): connections from the namespace itself, perhaps from 127.0.0.1. If
//! `br_netfilter` makes a bridge call `nf_tables`, this pair also matches connections between ports
//! of the bridge.
//!
//! The persistent table, `netloom-ports`, has no owner. The comment of a port's element is its tag,
//! so that the error of a conflict names the holder. One more map lists the mappings by tag; see
//! [`rows`]:
//!
//! ```text
//!     map tags { type ipv6_addr . inet_service : counter; size 196608; elements = {
//!         HASH . 0 comment "net1/web" : "tags",            # a tag and its hash
//!         HASH . 1 comment "0.0.0.0:8080->10.0.0.2:80/tcp%5#1f" : "local-5",
//!         HASH . 2 comment "…" : "link-5", …               # its mappings
//!     } }
//! ```

mod builder;
mod fib;
mod find;
mod guard;
mod handle;
mod in_force;
mod loopback;
mod mapping;
mod publish;
mod record;
mod route;
mod row_changes;
mod rows;
mod ruleset;
mod stale;
mod state;
mod switch;
mod table;
mod tag;
mod withdraw;

pub use builder::PortForward;
pub use handle::PortForwardHandle;
pub(crate) use loopback::{is_left_over as is_loopback_left_over, restore as restore_loopback};
