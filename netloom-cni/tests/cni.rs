//! `netloom-cni` as container engines call it: as a program, with variables and standard input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/traffic/mod.rs"]
mod traffic;

#[path = "cni/accept.rs"]
mod accept;
#[path = "cni/addresses.rs"]
mod addresses;
#[path = "cni/bad_input.rs"]
mod bad_input;
#[path = "cni/check.rs"]
mod check;
#[path = "cni/cost.rs"]
mod cost;
#[path = "cni/damage.rs"]
mod damage;
#[path = "cni/faults.rs"]
mod faults;
#[path = "cni/frames.rs"]
mod frames;
#[path = "cni/libcni.rs"]
mod libcni;
#[path = "cni/lifecycle.rs"]
mod lifecycle;
#[path = "cni/locks.rs"]
mod locks;
#[path = "cni/network.rs"]
mod network;
#[path = "cni/plugin.rs"]
mod plugin;
#[path = "cni/podman.rs"]
mod podman;
#[path = "cni/ports.rs"]
mod ports;
#[path = "cni/protocol.rs"]
mod protocol;
#[path = "cni/reference.rs"]
mod reference;
