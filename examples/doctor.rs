//! Reports which features of netloom work here: `cargo run --example doctor`. With
//! `NETLOOM_SANDBOX=off`, it examines the machine's own network, and changes nothing there.
#![allow(clippy::print_stdout)]

// Callable from netloom's own tests, which make every step of this example fail.
pub(crate) fn main() {
    println!("{}", netloom::doctor::examine());
}
