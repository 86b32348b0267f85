#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| netloom_fuzz::answer(netloom_fuzz::NF_TABLES, data));
