//! The target `snapshot_reader`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raftkv_fuzz::snapshot_reader::run(data));
