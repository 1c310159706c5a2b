//! `occi log` and `occi console`: what a machine said on its serial port, and sitting down at it.

use crate::args::duration;
use crate::complete;
use crate::failure::{Exit, Failure, Result};
use crate::names::{Among, Found};
use crate::session::Session;
use crate::terminal::Raw;
use anstream::adapter::StripBytes;
use clap::Args;
use futures::TryStreamExt;
use occi_client::transport::Body;
use occi_client::{Error, ErrorKind};
use std::io::{IsTerminal, Read, Write};
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Ctrl-], as of telnet and virsh.
const ESCAPE: u8 = 0x1d;
/// Where servers of OpenStack say how to reach a console.
const VNC: &str = "org.openstack.compute.console.vnc";

/// Print what a machine wrote on its serial console
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi log web1
  occi log web1 --tail 20
  occi log web1 -f --for 2s
  occi log web1 --raw > web1.log

On a terminal the escape sequences of the guest are left out: they could change what it shows and what is typed on it.
Elsewhere, and with --raw, every byte is printed as the guest wrote it.")]
pub(crate) struct Log {
    /// What the machine is called
    #[arg(value_name = "NAME", add = complete::names(Some("compute")))]
    name: String,
    /// Go on until the machine is off, or Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The last so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,
    /// Leave nothing out, not even on a terminal
    #[arg(long)]
    raw: bool,
}

/// Sit down at the serial console of a machine
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  occi console web1
  occi console web1 --force
  occi console web1 --linger 2s < commands.txt

Every key goes to the machine, Ctrl-C too; Ctrl-] leaves. A console is silent until something happens there: press Enter.
What comes from a pipe or a file is typed, and the answer is listened to for a while after its end.")]
pub(crate) struct Console {
    /// What the machine is called
    #[arg(value_name = "NAME", add = complete::names(Some("compute")))]
    name: String,
    /// Whoever sits there has to go
    #[arg(long)]
    force: bool,
    /// How long to listen after the end of what is typed, where that is no terminal
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    linger: Duration,
}

impl Log {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let Some(limit) = self.limit else {
            let log = self.open(session).await?;
            return self.print(log, session).await;
        };
        let late = |what: &str| Failure::new(Exit::Timeout, format!("the log of {} {what} in that time", self.name));
        let log = tokio::time::timeout(limit, self.open(session)).await;
        let log = log.map_err(|_| late("has not begun"))??;
        match tokio::time::timeout(limit, self.print(log, session)).await {
            Ok(ended) => ended,
            // The time was given so that it ends.
            Err(_) if self.follow => Ok(()),
            Err(_) => Err(late("has not ended")),
        }
    }

    async fn open(&self, session: &Session) -> Result<Body> {
        let found = machine(&self.name, session).await?;
        let log = session
            .client
            .console_log(&found.location, self.tail, self.follow)
            .await;
        log.map_err(|error| self.about(error))
    }

    fn about(&self, error: Error) -> Failure {
        Failure::from(error).about(&self.name)
    }

    async fn print(&self, mut log: Body, session: &Session) -> Result<()> {
        let mut harmless = (!self.raw && std::io::stdout().is_terminal()).then(Harmless::default);
        while let Some(bytes) = log.try_next().await.map_err(|error| self.about(error))? {
            match &mut harmless {
                Some(harmless) => session.output.bytes(harmless.only(&bytes).as_bytes())?,
                None => session.output.bytes(&bytes)?,
            }
        }
        Ok(())
    }
}

/// How sitting at a console ended.
enum Ended {
    /// The other side closed it.
    There,
    /// Somebody pressed the escape.
    Escape,
    /// There is nothing more to type.
    Typed,
    /// We were told to end.
    Told,
}

impl Console {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let found = machine(&self.name, session).await?;
        let console = match session.client.console(&found.location, self.force).await {
            Ok(console) => console,
            Err(error) if error.kind() == ErrorKind::Unsupported => return elsewhere(&found, error, session).await,
            Err(error) => {
                let is_taken = error.kind() == ErrorKind::Conflict && error.message().contains("somebody else");
                let failure = Failure::from(error).about(&found.name);
                return Err(match is_taken {
                    true => failure.with_hint("--force takes the place, and theirs ends"),
                    false => failure,
                });
            }
        };
        let is_terminal = std::io::stdin().is_terminal();
        if is_terminal {
            session
                .output
                .note(format!("at the console of {}; Ctrl-] leaves", found.name));
        }
        let raw = is_terminal.then(Raw::enter).transpose()?;
        let (from, to) = tokio::io::split(console);
        let ended = self.sit(from, to, is_terminal).await;
        drop(raw);
        if is_terminal {
            let words = match &ended {
                Ok(Ended::Escape) => "left; the machine goes on",
                _ => "the console is closed",
            };
            session.output.note(format!("\n{words}"));
        }
        match ended {
            Ok(Ended::Told) => Err(Failure::new(Exit::Interrupted, "told to end")),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(
                Exit::Unavailable,
                format!("the console broke off: {error}"),
            )),
        }
    }

    /// Carries bytes both ways.
    async fn sit(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        is_terminal: bool,
    ) -> std::io::Result<Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let show = async {
            let mut bytes = [0; 8192];
            loop {
                let count = match from.read(&mut bytes).await {
                    Ok(0) => return Ok(Ended::There),
                    Ok(count) => count,
                    // A server that was killed says nothing more; what it said is shown.
                    Err(error) => return Err(error),
                };
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes[..count])?;
                out.flush()?;
            }
        };
        let mut show = pin!(show);
        let typing = async {
            let mut keyboard = keyboard();
            while let Some(typed) = keyboard.recv().await {
                let leaves = typed.iter().position(|key| is_terminal && *key == ESCAPE);
                to.write_all(&typed[..leaves.unwrap_or(typed.len())]).await?;
                to.flush().await?;
                if leaves.is_some() {
                    return Ok(Ended::Escape);
                }
            }
            Ok(Ended::Typed)
        };
        let ended = tokio::select! {
            ended = &mut show => ended?,
            ended = typing => match ended {
                Ok(ended) => ended,
                // What could not be typed any more is told by what is shown.
                Err::<_, std::io::Error>(_) => show.as_mut().await?,
            },
            _ = terminate.recv() => Ended::Told,
            _ = hang_up.recv() => Ended::Told,
        };
        if let Ended::Typed = ended {
            return match tokio::time::timeout(self.linger, show).await {
                Ok(ended) => ended,
                Err(_) => Ok(ended),
            };
        }
        Ok(ended)
    }
}

/// What is typed, to its end. Whoever waits for it in the end is a thread that holds nobody up.
fn keyboard() -> mpsc::Receiver<Vec<u8>> {
    let (to, typed) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut keys = [0; 1024];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut keys) {
            if to.blocking_send(keys[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    typed
}

async fn machine(name: &str, session: &Session) -> Result<Found> {
    session.find(name, &Among::Kind("compute".to_owned())).await
}

/// Another server may say where the console is.
async fn elsewhere(found: &Found, error: Error, session: &Session) -> Result<()> {
    let entity = session.client.show(&found.location).await?;
    let url = entity.attributes.get(VNC).and_then(|url| url.as_str());
    match url {
        Some(url) => {
            session.output.note("this server shows its consoles to browsers:");
            session.output.text(&format!("{}\n", url.replace(char::is_control, "")))
        }
        None => Err(Failure::from(error).about(&found.name)),
    }
}

/// Leaves out what does something to a terminal other than to show a text: escape sequences, and control characters but for the
/// ends of lines and tabs.
#[derive(Default)]
struct Harmless {
    strip: StripBytes,
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
}

impl Harmless {
    fn only(&mut self, bytes: &[u8]) -> String {
        let mut left = std::mem::take(&mut self.begun);
        left.extend(self.strip.strip_next(bytes).flatten());
        let mut text = String::new();
        let mut rest = left.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(all) => {
                    text.push_str(all);
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(good));
                    let Some(length) = error.error_len() else {
                        self.begun = bad.to_vec();
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &bad[length..];
                }
            }
        }
        // The control characters above ASCII too: to some terminals they are what an escape begins.
        text.retain(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_a_terminal_is_left_out_wherever_it_is_cut() {
        let said = "\u{1b}[0;32m OK \u{1b}[0m Grüße\r\n\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31mnext\tline\u{8}\u{7}\n";
        let shown = " OK  Grüße\r\n31mnext\tline\n";
        for size in [1, 2, 3, 7, 1000] {
            let mut harmless = Harmless::default();
            let parts = said.as_bytes().chunks(size).map(|part| harmless.only(part));
            assert_eq!(parts.collect::<String>(), shown, "{size}");
        }
        let mut harmless = Harmless::default();
        assert_eq!(harmless.only(b"a\xff\x9b31m\xe2(b"), "a31m\u{fffd}(b");
    }
}
