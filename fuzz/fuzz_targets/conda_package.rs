#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provenv_image::segment::fuzzing::conda_package(data));
