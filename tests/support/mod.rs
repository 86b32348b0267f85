//! The shared code of integration tests, in `src/testing/`, which the library's own tests use as
//! well.
#![allow(dead_code, unused_imports)] // each test program uses its own part

#[path = "../../src/testing/mod.rs"]
mod testing;

pub(crate) use testing::*;
