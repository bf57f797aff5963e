#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provenv_lock::pypi::fuzzing::wheel_name(data));
