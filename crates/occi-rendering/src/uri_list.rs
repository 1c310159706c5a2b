//! text/uri-list (RFC 2483): one absolute URI per line.

use crate::text::plain::decode;

/// The URIs of a list; comments and blank lines left out, any line end accepted.
pub(crate) fn read(body: &[u8]) -> Vec<String> {
    decode(body)
        .split(['\r', '\n'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_15_comments_and_crlf_are_accepted() {
        let body = b"# mine\r\nhttp://a/1\r\n\r\n  http://a/2 \n#end";
        assert_eq!(read(body), ["http://a/1", "http://a/2"]);
    }
}
