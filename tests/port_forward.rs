//! Published ports, tested with packets: every path to them, and the paths that must stay closed.
#![allow(clippy::unwrap_used, clippy::print_stdout, let_underscore_drop)] // tests fail by them

mod support;
mod traffic;

#[path = "port_forward/bad_input.rs"]
mod bad_input;
#[path = "port_forward/conflicts.rs"]
mod conflicts;
#[path = "port_forward/held.rs"]
mod held;
#[path = "port_forward/lab.rs"]
mod lab;
#[path = "port_forward/loopback.rs"]
mod loopback;
#[path = "port_forward/reload.rs"]
mod reload;
#[path = "port_forward/sctp.rs"]
mod sctp;
#[path = "port_forward/stale.rs"]
mod stale;
#[path = "port_forward/tagged.rs"]
mod tagged;
#[path = "port_forward/ways.rs"]
mod ways;
