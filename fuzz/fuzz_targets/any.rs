//! All targets in one program, which builds in a fraction of the time. `NETLOOM_FUZZ` names the
//! target.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("NETLOOM_FUZZ").expect("NETLOOM_FUZZ names a target"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| netloom_fuzz::read(&TARGET, data));
