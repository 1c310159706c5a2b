#![no_main]

use libfuzzer_sys::fuzz_target;
use occi_rendering::MediaType;

fuzz_target!(|body: &[u8]| occi_fuzz::read_as_everything(MediaType::TextPlain, &[], body));
