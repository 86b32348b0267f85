//! Reports which features of netloom work here: `cargo run --example doctor`. With
//! `NETLOOM_SANDBOX=off`, it examines the machine's own network, and changes nothing there.
#![allow(clippy::print_stdout)]

// For netloom's own tests, which let every step of it fail.
pub(crate) fn main() {
    println!("{}", netloom::doctor::examine());
}
