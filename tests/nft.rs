//! The model of `nf_tables`: `nft` lists what netloom installs, and netloom reads what `nft`
//! installs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

#[path = "nft/bad_input.rs"]
mod bad_input;
#[path = "nft/divert.rs"]
mod divert;
#[path = "nft/elsewhere.rs"]
mod elsewhere;
#[path = "nft/every_field.rs"]
mod every_field;
#[path = "nft/generated.rs"]
mod generated;
#[path = "nft/generated_elsewhere.rs"]
mod generated_elsewhere;
#[path = "nft/golden.rs"]
mod golden;
#[path = "nft/intervals.rs"]
mod intervals;
#[path = "nft/objects.rs"]
mod objects;
#[path = "nft/owners.rs"]
mod owners;
#[path = "nft/packets.rs"]
mod packets;
#[path = "nft/readings.rs"]
mod readings;
#[path = "nft/said.rs"]
mod said;
#[path = "nft/sets.rs"]
mod sets;
#[path = "nft/spread.rs"]
mod spread;
#[path = "nft/transactions.rs"]
mod transactions;
