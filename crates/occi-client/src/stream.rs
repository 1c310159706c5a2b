//! Takes long answers apart while they come, so that a listing of any length stays in little memory.

use crate::error::{Error, Result};
use crate::transport::{Body, goes_on};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use std::collections::VecDeque;
use std::time::Duration;

/// The largest piece of a listing: one entity, or one line.
const MOST: usize = 4 << 20;
/// The longest listing: whoever keeps its members has memory for no more.
const LONGEST: usize = 1 << 30;
/// So deep is what comes at most. No rendering needs more than ten.
const DEEPEST: usize = 128;

/// Cuts bytes into pieces.
trait Cut: Send + 'static {
    /// Takes the next bytes, and adds the pieces that are whole.
    fn feed(&mut self, bytes: &[u8], pieces: &mut VecDeque<Bytes>) -> Result<()>;
    /// There are no more bytes; false if they ended in the middle.
    fn end(&mut self, pieces: &mut VecDeque<Bytes>) -> bool;
}

fn cut(body: Body, cutter: impl Cut) -> BoxStream<'static, Result<Bytes>> {
    let state = (body, cutter, VecDeque::new(), false, 0);
    stream::try_unfold(
        state,
        |(mut body, mut cutter, mut pieces, mut ended, mut read)| async move {
            loop {
                if let Some(piece) = pieces.pop_front() {
                    return Ok(Some((piece, (body, cutter, pieces, ended, read))));
                }
                if ended {
                    return Ok(None);
                }
                let next = body.try_next().await?;
                read += next.as_ref().map_or(0, Bytes::len);
                if read > LONGEST {
                    return Err(endless(format!("{LONGEST} bytes")));
                }
                match next {
                    Some(bytes) => cutter.feed(&bytes, &mut pieces)?,
                    None if cutter.end(&mut pieces) => ended = true,
                    None => return Err(Error::protocol("the answer ends in the middle of a listing")),
                }
            }
        },
    )
    .boxed()
}

/// A listing, of so many members at most.
pub(crate) fn at_most<T: Send + 'static>(
    most: usize,
    members: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let members = members.take(most.saturating_add(1)).enumerate();
    members
        .map(move |(number, member)| match number < most {
            true => member,
            false => member.and_then(|_| Err(endless(format!("{most} members")))),
        })
        .boxed()
}

fn endless(most: String) -> Error {
    Error::protocol(format!("the listing has more than {most}, and was not read on"))
        .with_hint("a filter asks for less")
}

/// The lines of a text.
pub(crate) fn lines(body: Body) -> BoxStream<'static, Result<Bytes>> {
    cut(body, Lines::default())
}

#[derive(Default)]
struct Lines(BytesMut);

impl Cut for Lines {
    fn feed(&mut self, bytes: &[u8], pieces: &mut VecDeque<Bytes>) -> Result<()> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.0.extend_from_slice(&rest[..at]);
            if !self.0.is_empty() {
                pieces.push_back(self.0.split().freeze());
            }
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        check_size(self.0.len())
    }

    fn end(&mut self, pieces: &mut VecDeque<Bytes>) -> bool {
        if !self.0.is_empty() {
            pieces.push_back(self.0.split().freeze());
        }
        true
    }
}

/// The events of a stream of server-sent events, each as its lines.
pub(crate) fn frames(body: Body) -> BoxStream<'static, Result<Bytes>> {
    cut(body, Frames::default())
}

#[derive(Default)]
struct Frames {
    /// The lines that belong together, each with its end.
    frame: BytesMut,
    line: usize,
    after_return: bool,
}

impl Cut for Frames {
    fn feed(&mut self, bytes: &[u8], pieces: &mut VecDeque<Bytes>) -> Result<()> {
        for &byte in bytes {
            let is_pair = std::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n';
            match byte {
                // The return before it has ended the line.
                b'\n' if is_pair => {}
                b'\n' | b'\r' if self.line == 0 => {
                    if !self.frame.is_empty() {
                        pieces.push_back(self.frame.split().freeze());
                    }
                }
                b'\n' | b'\r' => {
                    self.frame.extend_from_slice(b"\n");
                    self.line = 0;
                }
                _ => {
                    self.frame.extend_from_slice(&[byte]);
                    self.line += 1;
                }
            }
        }
        check_size(self.frame.len())
    }

    /// What has no empty line after it does not count.
    fn end(&mut self, _: &mut VecDeque<Bytes>) -> bool {
        true
    }
}

/// The items of a collection in JSON: of the array that the document is, or of the arrays that are members of it. Each is
/// a piece of JSON for a reader of its own; what is between them is checked to be JSON's punctuation no further than
/// that it ends.
pub(crate) fn items(body: Body) -> BoxStream<'static, Result<Bytes>> {
    cut(body, Items::default())
}

#[derive(Default)]
struct Items {
    /// The brackets that are open.
    open: Vec<u8>,
    /// How many are open around an item.
    outside: usize,
    in_string: bool,
    escaped: bool,
    item: BytesMut,
    /// Bytes outside of the arrays since the last item.
    passed: usize,
    is_done: bool,
}

impl Items {
    /// Whether the place is within an array of items: in one of them, or between two.
    fn is_inside(&self) -> bool {
        self.outside > 0 && self.open.get(self.outside - 1) == Some(&b'[')
    }

    /// Whether it is between two.
    fn is_between(&self) -> bool {
        self.is_inside() && self.open.len() == self.outside
    }

    fn take(&mut self, last: &[u8], pieces: &mut VecDeque<Bytes>) {
        self.item.extend_from_slice(last);
        self.passed = 0;
        let item = self.item.split().freeze();
        let item = item.slice_ref(item.trim_ascii());
        if !item.is_empty() {
            pieces.push_back(item);
        }
    }
}

impl Cut for Items {
    fn feed(&mut self, bytes: &[u8], pieces: &mut VecDeque<Bytes>) -> Result<()> {
        let broken = || Err(Error::protocol("the answer is no collection in JSON"));
        // Where the bytes begin that belong to the item and are not kept yet.
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if !self.is_inside() {
                from = at + 1;
                self.passed += 1;
            }
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if !self.open.is_empty() => self.in_string = true,
                b',' | b']' if self.is_between() => {
                    self.take(&bytes[from..at], pieces);
                    from = at + 1;
                    if byte == b']' {
                        self.open.pop();
                        self.is_done = self.open.is_empty();
                    }
                }
                b'[' | b'{' => {
                    if self.open.is_empty() {
                        if self.is_done {
                            return broken();
                        }
                        self.outside = if byte == b'[' { 1 } else { 2 };
                    }
                    if self.open.len() == DEEPEST {
                        return Err(Error::protocol(
                            "the answer is nested deeper than anything that is meant",
                        ));
                    }
                    self.open.push(byte);
                }
                b']' | b'}' => {
                    let matching = if byte == b']' { b'[' } else { b'{' };
                    if self.open.pop() != Some(matching) {
                        return broken();
                    }
                    self.is_done = self.open.is_empty();
                }
                _ if self.open.is_empty() && !byte.is_ascii_whitespace() => return broken(),
                _ => {}
            }
        }
        if self.is_inside() {
            self.item.extend_from_slice(&bytes[from..]);
        }
        check_size(self.item.len().max(self.passed))
    }

    fn end(&mut self, _: &mut VecDeque<Bytes>) -> bool {
        self.open.is_empty()
    }
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > MOST {
        return Err(Error::protocol(format!(
            "one item of the listing is longer than {MOST} bytes"
        )));
    }
    Ok(())
}

/// A whole body, of so many bytes at most, that takes so long at most.
pub(crate) async fn whole(body: Body, limit: usize, within: Duration) -> Result<Bytes> {
    let read = tokio::time::timeout(within, all(body, limit)).await;
    read.unwrap_or_else(|_| Err(goes_on(within)))
}

async fn all(mut body: Body, limit: usize) -> Result<Bytes> {
    let Some(first) = body.try_next().await? else {
        return Ok(Bytes::new());
    };
    let too_long = || Error::protocol(format!("the answer is longer than {limit} bytes, and was not read on"));
    if first.len() > limit {
        return Err(too_long());
    }
    let Some(second) = body.try_next().await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(bytes) = next {
        if whole.len() + bytes.len() > limit {
            return Err(too_long());
        }
        whole.extend_from_slice(&bytes);
        next = body.try_next().await?;
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    fn body(text: &str, size: usize) -> Body {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(size)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        stream::iter(pieces).boxed()
    }

    fn found(pieces: BoxStream<'static, Result<Bytes>>) -> Result<Vec<String>> {
        block_on(
            pieces
                .map_ok(|piece| String::from_utf8(piece.to_vec()).unwrap())
                .try_collect(),
        )
    }

    #[test]
    fn a_collection_is_taken_apart_wherever_the_bytes_are_cut() {
        for (text, expected) in [
            (
                r#"{"resources":[{"a":[1,{"b":"],}\""}]},{"c":{}}],"links":[{"d":1}]}"#,
                vec![r#"{"a":[1,{"b":"],}\""}]}"#, r#"{"c":{}}"#, r#"{"d":1}"#],
            ),
            (
                r#" [ "http://a/1" , "http://a/2" ] "#,
                vec![r#""http://a/1""#, r#""http://a/2""#],
            ),
            (r#"{"resources":[]}"#, vec![]),
            ("{}", vec![]),
            ("", vec![]),
            (
                r#"{"title":"x, [y]","nested":{"z":[1]},"resources":[{"k":1}]}"#,
                vec![r#"{"k":1}"#],
            ),
        ] {
            for size in 1..text.len().max(2) {
                assert_eq!(found(items(body(text, size))).unwrap(), expected, "{text} by {size}");
            }
        }
    }

    #[test]
    fn what_ends_early_or_is_no_collection_is_an_error() {
        for text in [
            r#"{"resources":[{"a":1}"#,
            r#"["x"#,
            "{]",
            "<html>",
            r#"{"a":1}}"#,
            "[1][2]",
        ] {
            for size in [1, 100] {
                assert!(found(items(body(text, size))).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn lines_end_as_they_like() {
        for size in 1..20 {
            assert_eq!(found(lines(body("a\r\nb\n\nc", size))).unwrap(), ["a", "b", "c"]);
        }
    }

    #[test]
    fn server_sent_events_end_with_an_empty_line_wherever_the_bytes_are_cut() {
        let text = "\nid: 1\ndata: a\n\r\n: still there\r\n\r\n\rid: 2\rdata: b\r\rid: 3\ndata: half\n";
        for size in 1..text.len() {
            let expected = ["id: 1\ndata: a\n", ": still there\n", "id: 2\ndata: b\n"];
            assert_eq!(found(frames(body(text, size))).unwrap(), expected, "by {size}");
        }
    }

    const LONG: Duration = Duration::MAX;

    /// Somebody who never comes to an item is not listened to for ever.
    #[test]
    fn what_is_no_item_has_an_end_too() {
        let endless = |text: &'static str| stream::repeat_with(move || Ok(Bytes::from(text.repeat(4096)))).boxed();
        for (begin, text) in [
            ("", "{"),
            ("", "["),
            ("[", "{\"a\":["),
            ("{", "\"a\":1,"),
            ("{\"a\":\"", "x"),
            ("[\"", "x"),
            ("[", " "),
            ("", " "),
            ("[]", " "),
        ] {
            let body = stream::iter([Ok(Bytes::from(begin))]).chain(endless(text)).boxed();
            assert!(found(items(body)).is_err(), "{begin} and {text} for ever");
        }
        assert!(found(lines(endless("x"))).is_err());
        assert!(found(frames(endless("x"))).is_err() && found(frames(endless("x\n"))).is_err());
    }

    #[test]
    fn a_body_has_an_end() {
        assert_eq!(block_on(whole(body("abcdef", 2), 6, LONG)).unwrap(), "abcdef");
        for size in [1, 6] {
            assert!(block_on(whole(body("abcdef", size), 5, LONG)).is_err());
        }
    }
}
