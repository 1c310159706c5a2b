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

/// Writes a list. Lines end with LF alone, because rOCCI-api 4 keeps a CR as part of the URI.
pub(crate) fn write<'a>(uris: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut body = Vec::new();
    for uri in uris {
        body.extend_from_slice(uri.as_bytes());
        body.push(b'\n');
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_15_comments_and_crlf_are_accepted() {
        let body = b"# mine\r\nhttp://a/1\r\n\r\n  http://a/2 \n#end";
        assert_eq!(read(body), ["http://a/1", "http://a/2"]);
    }

    #[test]
    fn text_34_lists_are_written_with_lf() {
        assert_eq!(write(["http://a/1", "http://a/2"]), b"http://a/1\nhttp://a/2\n");
    }
}
