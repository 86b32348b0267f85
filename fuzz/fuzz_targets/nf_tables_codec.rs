#![no_main]

// The first byte says which: a list of expressions, or messages.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let [which, bytes @ ..] = data {
        netloom_fuzz::within_bounds(bytes, || match which {
            0 => netloom::fuzzing::nf_tables_expressions(bytes),
            _ => netloom::fuzzing::nf_tables_objects(bytes),
        });
    }
});
