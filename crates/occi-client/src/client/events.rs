//! What an `occid` tells of itself: `/events`.

use super::Client;
use super::exchange::AsItIs;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventPage;
use crate::model::Model;
use crate::request::EventsOf;
use crate::retry::Retries;
use crate::stream;
use crate::transport::Endless;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use http::{StatusCode, header};
use std::fmt::{self, Debug};
use std::time::Duration;
use tokio::time::Instant;

/// For so long a stream may take to begin.
const OPENING: Duration = Duration::from_secs(5);
/// Before a stream that broke is asked for again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// So many events that have come together are heard as one.
const TOGETHER: usize = 1000;

type Frames = BoxStream<'static, Result<Bytes>>;

/// Says when it is time to look again.
///
/// It says less than [`Event`](crate::Event)s do, and so nothing can be missed: whoever looks whenever it says so, which
/// is first when the server begins to tell, has seen everything. A stream that breaks is asked for again, at ever longer
/// intervals; until it is there, and with servers that tell nothing, one has to look now and then.
// Without `Last-Event-ID`: what was missed in between is seen by the look after the next beginning, in one question. To be
// told of it instead would take the number of the last event, and the same look all the same where the server keeps so
// much no more (410).
pub struct News {
    client: Client,
    of: EventsOf,
    state: State,
    pause: Duration,
}

enum State {
    Told(Frames),
    Waiting(Instant),
    Opening(BoxFuture<'static, Opened>),
    Never,
}

enum Opened {
    Yes(Frames),
    NotNow,
    Never,
}

impl Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Client {
    /// The last events of an `occid`, at most so many, the oldest first; with [`EventsOf::after`] the first after that one.
    /// A server has a limit of its own, and looks at so many events only: [`EventPage::more`] goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: the server tells none. [`ErrorKind::NotFound`]: it keeps none that old.
    pub async fn events(&self, of: &EventsOf, number: u32) -> Result<EventPage> {
        // What answers is known then.
        self.model().await?;
        let unsupported = || {
            let message = format!("{} tells no events", self.endpoint());
            Error::new(ErrorKind::Unsupported, message)
        };
        if !self.dialect().is_occid {
            return Err(unsupported());
        }
        let request = self.requests(&self.dialect(), &Model::default()).events(of, number)?;
        let answer = self.exchange_whole(request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Err(unsupported()),
            _ => EventPage::read(&self.judged(answer)?, of, self.endpoint()),
        }
    }

    /// News, as soon as the server tells them: see there. Nothing is asked before [`News::next`] is, and never what is not
    /// known to be an `occid`.
    pub fn news(&self, of: &EventsOf) -> News {
        let mut news = News {
            client: self.clone(),
            of: of.clone(),
            state: State::Never,
            pause: PAUSE.0,
        };
        if self.dialect().is_occid {
            news.open();
        }
        news
    }
}

impl News {
    /// Whether the server tells what happens, as far as is known.
    pub fn is_told(&self) -> bool {
        matches!(self.state, State::Told(_))
    }

    /// Returns when it is time to look again; with a server that tells nothing, never. May be dropped at any time.
    pub async fn next(&mut self) {
        loop {
            match &mut self.state {
                State::Never => return std::future::pending().await,
                State::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.open();
                }
                State::Opening(opening) => {
                    let opened = opening.await;
                    self.opened(opened);
                    if self.is_told() {
                        return;
                    }
                }
                State::Told(frames) => match frames.next().await {
                    Some(Ok(frame)) if !is_event(&frame) => {}
                    Some(Ok(_)) => {
                        self.pause = PAUSE.0;
                        self.skip();
                        return;
                    }
                    Some(Err(_)) | None => {
                        self.opened(Opened::NotNow);
                        return;
                    }
                },
            }
        }
    }

    /// Lets go of what has come by now.
    pub(crate) fn skip(&mut self) {
        for _ in 0..TOGETHER {
            let State::Told(frames) = &mut self.state else { return };
            if !matches!(frames.next().now_or_never(), Some(Some(Ok(_)))) {
                return;
            }
        }
    }

    fn open(&mut self) {
        self.state = State::Opening(open(self.client.clone(), self.of.clone()).boxed());
    }

    fn opened(&mut self, opened: Opened) {
        self.state = match opened {
            Opened::Yes(frames) => State::Told(frames),
            Opened::Never => State::Never,
            Opened::NotNow => {
                let again = Instant::now() + self.pause;
                self.pause = PAUSE.1.min(self.pause * 2);
                State::Waiting(again)
            }
        };
    }
}

async fn open(client: Client, of: EventsOf) -> Opened {
    let opening = async {
        let dialect = client.dialect();
        let mut request = client.requests(&dialect, &Model::default()).follow_events(&of)?;
        request.extensions_mut().insert(AsItIs);
        request.extensions_mut().insert(Endless);
        // Who asks for news asks again after a while.
        let mut once = Retries::NONE.tries(&request, &dialect);
        client.exchange_within(request, &mut once).await
    };
    let Ok(Ok(incoming)) = tokio::time::timeout(OPENING, opening).await else {
        return Opened::NotNow;
    };
    let head = &incoming.head;
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let is_stream = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    match head.status {
        StatusCode::OK if is_stream => Opened::Yes(stream::frames(incoming.body)),
        StatusCode::TOO_MANY_REQUESTS => Opened::NotNow,
        status if status.is_server_error() => Opened::NotNow,
        _ => Opened::Never,
    }
}

/// Whether something happened, and the stream does not only say that it is there.
fn is_event(frame: &[u8]) -> bool {
    frame.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"data"))
}
