#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provenv_definition::fuzzing::dockerignore(data));
