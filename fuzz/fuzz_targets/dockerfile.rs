#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provenv_fuzz::definition(data, "Dockerfile"));
