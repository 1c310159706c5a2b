//! What a client's user data is found to be.

use occi_model::userdata::{Format, read};
use rstest::rstest;

#[rstest]
#[case("#!/bin/sh\necho hello\n", Format::Script)]
#[case("#cloud-config\npackages: [curl]\n", Format::CloudConfig)]
#[case("#cloud-config\r\npackages: [curl]\r\n", Format::CloudConfig)]
#[case("#cloud-config-archive\n- x\n", Format::CloudConfigArchive)]
#[case("#include\nhttps://example.org/x\n", Format::Include)]
#[case("#cloud-boothook\nx\n", Format::Boothook)]
#[case("#part-handler\nx\n", Format::PartHandler)]
#[case("## template: jinja\n#cloud-config\n", Format::Jinja)]
#[case("Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n", Format::Mime)]
#[case("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n", Format::Mime)]
#[case("some notes, nothing to run", Format::Text)]
#[case("\0\u{1}\u{2}binary", Format::Binary)]
fn infra_41_user_data_is_recognised_plain_and_in_base64(#[case] document: &str, #[case] format: Format) {
    use base64::Engine as _;
    let packed = base64::engine::general_purpose::STANDARD.encode(document);
    let folded = packed
        .as_bytes()
        .chunks(10)
        .map(|line| std::str::from_utf8(line).unwrap());
    let folded: String = folded.flat_map(|line| [line, "\n"]).collect();
    for text in [packed.as_str(), packed.trim_end_matches('='), &folded] {
        let data = read(text);
        assert_eq!(data.format, format);
        assert_eq!(data.content, document.as_bytes());
    }
    if format != Format::Binary {
        let data = read(document);
        assert_eq!((data.format, data.content.as_slice()), (format, document.as_bytes()));
    }
}

#[test]
fn compressed_user_data_is_binary() {
    assert_eq!(read("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==").format, Format::Binary);
    assert_eq!(read("").format, Format::Text);
}
