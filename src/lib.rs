//! netloom
#![allow(dead_code, unreachable_pub, missing_docs)]
mod error;
mod wire;
pub use error::Error;
