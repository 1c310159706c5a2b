//! Consoles of machines that are none: they say what becomes of them, and show what is typed.

use crate::client::Client;
use crate::links::missing;
use crate::object::{Key, Object, State};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use occi_backend::console::tail;
use occi_backend::names::COMPUTE;
use occi_backend::{BackendError, ErrorKind, Line, LogPart, Result, Scope, Target};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

/// So many bytes of a console's output are kept.
const KEPT: usize = 64 << 10;

/// What has come over the consoles, as long as this process lives.
#[derive(Default)]
pub(crate) struct Screens(HashMap<Key, watch::Sender<Screen>>);

/// What has come over one.
#[derive(Clone, Default)]
struct Screen {
    kept: Vec<u8>,
    /// How many bytes have come in all.
    end: u64,
    is_on: bool,
}

impl Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
        let over = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..over);
    }

    /// What is kept of that after the first `from` bytes.
    fn since(&self, from: u64) -> &[u8] {
        let new = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        &self.kept[self.kept.len().saturating_sub(new)..]
    }
}

impl Screens {
    /// A compute says what became of it.
    pub(crate) fn show(&mut self, key: &Key, before: Option<&Object>, after: Option<&Object>) {
        if key.kind != *COMPUTE {
            return;
        }
        let Some(after) = after else {
            // Whoever looks at it sees its end.
            self.0.remove(key);
            return;
        };
        let was = before.map(|object| object.state);
        let is_restarted = before.is_some_and(|before| before.operation != after.operation);
        let says = match (was, after.state) {
            (Some(State::Suspended), State::Active) => "continued",
            (Some(State::Active), State::Active) if !is_restarted => return,
            (_, State::Active) => "booted",
            (Some(State::Active), State::Suspended) => "suspended",
            (Some(State::Active | State::Suspended), State::Error) => "crashed",
            (Some(State::Active | State::Suspended), State::Inactive) => "switched off",
            _ => return,
        };
        let screen = self.0.entry(key.clone()).or_default();
        screen.send_modify(|screen| {
            screen.write(format!("{says}\r\n").as_bytes());
            screen.is_on = matches!(after.state, State::Active | State::Suspended);
        });
    }

    fn watch(&mut self, key: &Key) -> watch::Receiver<Screen> {
        self.0.entry(key.clone()).or_default().subscribe()
    }

    fn echo(&self, key: &Key, typed: &[u8]) {
        if let Some(screen) = self.0.get(key) {
            let mut shown = Vec::with_capacity(typed.len());
            for byte in typed {
                match byte {
                    b'\r' | b'\n' => shown.extend_from_slice(b"\r\n"),
                    other => shown.push(*other),
                }
            }
            screen.send_modify(|screen| screen.write(&shown));
        }
    }
}

/// The consoles of the engine's computes.
pub(crate) struct Consoles(pub(crate) Arc<Client>);

impl Consoles {
    async fn key(&self, scope: &Scope, target: &Target) -> Result<Key> {
        let named = self.0.read(|engine| engine.named(&scope.project, target)).await?;
        named.into_iter().next().ok_or_else(|| missing(target))
    }
}

#[async_trait]
impl occi_backend::Consoles for Consoles {
    async fn log(&self, scope: &Scope, target: &Target, part: LogPart) -> Result<BoxStream<'static, Result<Bytes>>> {
        let key = self.key(scope, target).await?;
        let screen = self.0.engine(|engine| engine.screens.watch(&key));
        let first = {
            let screen = screen.borrow();
            let lines = part.tail.unwrap_or(usize::MAX);
            (Bytes::copy_from_slice(tail(&screen.kept, lines)), screen.end)
        };
        let (now, seen) = first;
        let later = stream::unfold((screen, seen), async |(mut screen, seen)| {
            let (new, seen) = next(&mut screen, seen).await?;
            Some((Ok(new), (screen, seen)))
        });
        let now = stream::iter((!now.is_empty()).then_some(Ok(now)));
        Ok(match part.follow {
            true => now.chain(later).boxed(),
            false => now.boxed(),
        })
    }

    async fn open(&self, scope: &Scope, target: &Target) -> Result<Box<dyn Line>> {
        let key = self.key(scope, target).await?;
        let (screen, state) = self.0.engine(|engine| {
            let state = engine.get(&key).map(|object| object.state);
            (engine.screens.watch(&key), state)
        });
        if state != Some(State::Active) {
            let message = "the compute is not active: start it, then there is somebody at its console";
            return Err(BackendError::new(ErrorKind::Conflict, message));
        }
        let (line, machine) = tokio::io::duplex(4096);
        tokio::spawn(play(self.0.clone(), key, screen, machine));
        Ok(Box::new(line))
    }
}

/// What comes after the first `seen` bytes, and how many it is then; nothing once the machine is off.
async fn next(screen: &mut watch::Receiver<Screen>, seen: u64) -> Option<(Bytes, u64)> {
    loop {
        {
            let now = screen.borrow_and_update();
            if now.end > seen {
                return Some((Bytes::copy_from_slice(now.since(seen)), now.end));
            }
            if !now.is_on {
                return None;
            }
        }
        // The machine was removed.
        screen.changed().await.ok()?;
    }
}

/// The machine at the other end of a line.
async fn play(client: Arc<Client>, key: Key, mut screen: watch::Receiver<Screen>, line: DuplexStream) {
    let (mut typed, mut shown) = tokio::io::split(line);
    let mut seen = screen.borrow().end;
    let listen = async {
        let mut keys = [0; 512];
        while let Ok(count @ 1..) = typed.read(&mut keys).await {
            client.engine(|engine| engine.screens.echo(&key, &keys[..count]));
        }
    };
    let speak = async {
        while let Some((new, end)) = next(&mut screen, seen).await {
            seen = end;
            if shown.write_all(&new).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = listen => {}
        () = speak => {}
    }
}
