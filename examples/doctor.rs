//! What can be done here: `cargo run --example doctor`, or with `NETLOOM_SANDBOX=off` on the machine's
//! own network. It changes nothing there.
#![allow(clippy::print_stdout)]

// For netloom's own tests, which let every step of it fail.
pub(crate) fn main() {
    println!("{}", netloom::doctor::examine());
}
