//! Serial consoles: what a machine has written on its own, and the line to it.

use crate::{Result, Scope, Target};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways: what is read is what the machine writes, what is written is typed on it. Dropping it hangs up.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Which part of a console's output is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// So many of the last lines that are kept; none: all of them.
    pub tail: Option<usize>,
    /// Whether what comes later is wanted too.
    pub follow: bool,
}

/// The consoles of an engine's computes.
///
/// # Behavior
/// - **Layers.** None is around this: bytes go as slowly as a person types and reads.
/// - **Dropping.** What is given may be dropped at any time; the machine does not notice, and whoever comes next is served.
/// - Missing: [`crate::ErrorKind::NotFound`].
#[async_trait]
pub trait Consoles: Send + Sync + 'static {
    /// What came over the console, from its beginning or as far back as it is kept: a bounded number of bytes, as the
    /// machine wrote them.
    ///
    /// # Behavior
    /// - Reads only, in every state. Nothing has come: an empty stream.
    /// - With [`LogPart::follow`] the stream goes on until the machine is off. What was cut off before it was taken is
    ///   passed over. Without, it ends where the output ended when it was asked for.
    /// - Nothing is read ahead: a stream that nobody polls costs nothing.
    async fn log(&self, scope: &Scope, target: &Target, part: LogPart) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Opens the line: what comes from now on, and what is typed.
    ///
    /// # Behavior
    /// - Not in this state ([`crate::KindCapability::console`]): [`crate::ErrorKind::Conflict`].
    /// - The line ends when the machine is off. It may outlast a suspension.
    /// - One at a time: the engine above gives out the place, and reads all the time what the machine writes, so that a
    ///   slow person holds no machine up.
    /// - When this process dies the machine goes on, and the line can be opened again.
    async fn open(&self, scope: &Scope, target: &Target) -> Result<Box<dyn Line>>;
}

/// The last `lines` of `bytes`. What follows the last line break is a line too, unless it is empty.
pub fn tail(bytes: &[u8], lines: usize) -> &[u8] {
    let Some(last) = bytes.len().checked_sub(1).filter(|_| lines > 0) else {
        return &[];
    };
    let mut breaks = (0..last).rev().filter(|at| bytes[*at] == b'\n');
    match breaks.nth(lines - 1) {
        Some(at) => &bytes[at + 1..],
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 5, "a\nb\n"),
            ("a\n\n", 1, "\n"),
            ("a", 1, "a"),
            ("a\nb", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(tail(text.as_bytes(), lines), expected.as_bytes(), "{text:?} {lines}");
        }
    }
}
