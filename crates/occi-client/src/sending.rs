//! The body of a request on its way, of which whoever waits for the answer sees when its bytes went.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::watch;
use tokio::time::Instant;

/// So much is given to the connection at once.
const PIECE: usize = 64 << 10;

pub(crate) struct Sending {
    rest: Bytes,
    moved: watch::Sender<Instant>,
}

impl Sending {
    /// The body, and when the connection took bytes of it last; before the first, now.
    pub(crate) fn new(body: Bytes) -> (Self, watch::Receiver<Instant>) {
        let (moved, seen) = watch::channel(Instant::now());
        (Self { rest: body, moved }, seen)
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.moved.send_replace(Instant::now());
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // A length and no chunks: not every server takes those.
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
