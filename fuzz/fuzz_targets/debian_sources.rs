#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provenv_lock::debian::fuzzing::sources(data));
