//! netloom
#![allow(dead_code, unreachable_pub, missing_docs)]
mod error;
pub mod sandbox;
mod sys;
mod wire;
pub use error::Error;
