#![no_main]

use libfuzzer_sys::fuzz_target;
use occi_rendering::MediaType;

fuzz_target!(|input: &[u8]| occi_fuzz::read_as_everything(MediaType::TextOcci, &occi_fuzz::fields(input), b"OK"));
