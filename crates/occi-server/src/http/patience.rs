//! A stream whose other end has to take what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// So many bytes are to be taken while writes wait for ten times the timeout; as many as an upload has to bring.
const PROGRESS: usize = 1 << 20;

/// Breaks the connection when nothing could be written for a time, or hardly anything for ten times that: a client that
/// stops reading holds no memory and no place for ever.
pub(super) struct Patient<S> {
    stream: S,
    timeout: Duration,
    /// Since when a write waits, and until when it may.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// How many bytes were taken, and how long writes have waited meanwhile, since that was progress.
    taken: usize,
    waited: Duration,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        Self {
            stream,
            timeout,
            waiting: None,
            taken: 0,
            waited: Duration::ZERO,
        }
    }

    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = written {
            self.waited += self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            self.taken += written.as_ref().map_or(0, bytes);
            if self.taken >= PROGRESS {
                (self.taken, self.waited) = (0, Duration::ZERO);
            }
            return Poll::Ready(written);
        }
        let patience = self.timeout.min((10 * self.timeout).saturating_sub(self.waited));
        let (_, waiting) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + patience)))
        });
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.progress(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.progress(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, shut, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_cut_off_and_a_slow_one_is_not() {
        let (stream, mut client) = tokio::io::duplex(4);
        let mut patient = Patient::new(stream, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let mut taken = [0; 8];
            for byte in &mut taken {
                tokio::time::sleep(Duration::from_secs(20)).await;
                *byte = client.read_u8().await.unwrap();
            }
            client
        });
        patient.write_all(b"12345678").await.unwrap();
        let _client = reader.await.unwrap();
        let error = patient.write_all(b"123456789").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// How much a client got of so many bytes that takes `bytes` every 20 seconds.
    async fn taken(bytes: usize, of: usize) -> usize {
        let (stream, mut client) = tokio::io::duplex(bytes);
        let mut patient = Patient::new(stream, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let (mut piece, mut all) = (vec![0; bytes], 0);
            while let Ok(count @ 1..) = client.read(&mut piece).await {
                all += count;
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
            all
        });
        let _cut_off = patient.write_all(&vec![0; of]).await;
        drop(patient);
        reader.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_cut_off_in_the_end() {
        assert_eq!(taken(128 << 10, 8 << 20).await, 8 << 20);
        let cut_off = taken(32 << 10, 8 << 20).await;
        assert!((256 << 10..1 << 20).contains(&cut_off), "{cut_off}");
    }
}
