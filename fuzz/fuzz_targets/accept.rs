#![no_main]

use libfuzzer_sys::fuzz_target;
use occi_rendering::{Accept, Agent, MediaType, content_type, is_occi_field};

fuzz_target!(|input: &[u8]| {
    let values: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let accept = Accept::parse(values.iter().copied());
    for offered in [&MediaType::ALL[..], &[MediaType::UriList]] {
        let chosen = accept.choose(offered);
        assert!(chosen.is_none_or(|media| offered.contains(&media)));
    }
    let _ = content_type(values.iter().copied(), true, b"");
    let text = String::from_utf8_lossy(input);
    let _ = Agent::from_user_agent(&text);
    let _ = is_occi_field(&text);
});
