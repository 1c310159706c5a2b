//! The terminal as a wire: every key goes through as it is, and whatever happens the terminal is itself again afterwards.

use crate::failure::{Exit, Failure, Result};
use crate::words::{paint, told};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::IsTerminal;
use std::sync::{Mutex, Once, PoisonError};

/// As long as this lives, keys are bytes.
pub(crate) struct Raw(());

impl Raw {
    /// Of the terminal at which somebody types.
    ///
    /// # Errors
    /// It does not let us.
    pub(crate) fn enter() -> Result<Self> {
        static PANICS: Once = Once::new();
        PANICS.call_once(|| {
            let say = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                say(panic);
            }));
        });
        enable_raw_mode()
            .map_err(|error| Failure::new(Exit::Failure, format!("the terminal cannot be used: {error}")))?;
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// The terminal as it was before somebody was asked for a secret, whose letters it does not show.
static ASKED: Mutex<Option<Termios>> = Mutex::new(None);

/// Asks for a secret; who ends the process meanwhile gives the terminal its echo back.
pub(crate) fn ask(prompt: &str) -> std::io::Result<String> {
    let set = |terminal| *ASKED.lock().unwrap_or_else(PoisonError::into_inner) = terminal;
    set(tcgetattr(std::io::stdin()).ok());
    let answer = rpassword::prompt_password(prompt);
    set(None);
    answer
}

/// Asks a person whether something is meant; `None` if there is nobody to ask.
pub(crate) fn confirms(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    paint(format_args!("{} [y/N] ", told(question)));
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Makes the terminal what it was, if it is not. For whoever ends the process from another thread, and drops nothing.
pub(crate) fn restore() {
    // A terminal that is gone needs nothing.
    let _ = disable_raw_mode();
    if let Some(terminal) = ASKED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &terminal);
    }
}
