//! The target `resp_scanner`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| raftkv_fuzz::resp_scanner::run(data));
