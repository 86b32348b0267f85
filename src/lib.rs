//! netloom
mod wire;
