//! The common parts of integration tests, which the library's own tests use, too: `src/testing/`.
#![allow(dead_code, unused_imports)] // each test program uses its own part

#[path = "../../src/testing/mod.rs"]
mod testing;

pub(crate) use testing::*;
