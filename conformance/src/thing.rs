//! An entity of the suite's own. It is deleted with the value.

use crate::answer::Answer;
use crate::reading::Reading;
use crate::site::{Ask, Site, action};
use serde_json::Value;
use std::time::{Duration, Instant};

/// An entity that a case made. Values are dropped in the reverse order of their making: links before their ends.
pub(crate) struct Thing<'a> {
    site: &'a Site,
    /// Its absolute URL, as the server wrote it.
    pub(crate) url: String,
}

impl<'a> Thing<'a> {
    pub(crate) fn new(site: &'a Site, url: String) -> Self {
        Self { site, url }
    }

    /// Its path on the server.
    pub(crate) fn path(&self) -> String {
        self.site.target(&self.url)
    }

    /// The last segment of its path.
    pub(crate) fn id(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// The term of its kind, if it lives at the usual place.
    fn term(&self) -> &str {
        self.url.rsplit('/').nth(1).unwrap_or_default()
    }

    /// How long anything may take here.
    pub(crate) fn patience(&self) -> Duration {
        self.site.patience
    }

    /// Its text rendering.
    #[track_caller]
    pub(crate) fn read(&self) -> Reading {
        self.site.get(&self.url).accept("text/plain").send().is(200).read()
    }

    /// Its JSON rendering.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.site
            .get(&self.url)
            .accept("application/occi+json")
            .send()
            .is(200)
            .json()
    }

    /// One attribute as text.
    #[track_caller]
    pub(crate) fn get(&self, attribute: &str) -> Option<String> {
        self.read().get(attribute).map(str::to_owned)
    }

    #[track_caller]
    pub(crate) fn state(&self) -> String {
        let name = format!("occi.{}.state", self.term());
        match self.get(&name) {
            Some(state) => state,
            None => panic!("{} has no {name}", self.url),
        }
    }

    /// A partial update with these lines.
    #[track_caller]
    pub(crate) fn update(&self, lines: &[&str]) -> Answer {
        self.site.post(&self.url).accept("text/plain").text(lines).send()
    }

    /// A replacement with these lines.
    #[track_caller]
    pub(crate) fn replace(&self, lines: &[&str]) -> Answer {
        self.site.put(&self.url).accept("text/plain").text(lines).send()
    }

    /// An action of its kind, with parameters as lines.
    #[track_caller]
    pub(crate) fn act(&self, term: &str, parameters: &[&str]) -> Answer {
        self.ask_to(term, parameters).send()
    }

    /// The same, answered when it is over, however long it takes.
    #[track_caller]
    pub(crate) fn act_to_the_end(&self, term: &str, parameters: &[&str]) -> Answer {
        let wait = format!("wait={}", self.site.patience.as_secs());
        self.ask_to(term, parameters).header("Prefer", &wait).send()
    }

    fn ask_to(&self, term: &str, parameters: &[&str]) -> Ask<'_> {
        let category = action(self.term(), term);
        let lines = [&[category.as_str()], parameters].concat();
        self.site
            .post(&format!("{}?action={term}", self.url))
            .accept("text/plain")
            .text(&lines)
    }

    /// Waits for its state.
    #[track_caller]
    pub(crate) fn wait(&self, state: &str) {
        let name = format!("occi.{}.state", self.term());
        self.wait_for(&format!("{name} = {state}"), |reading| {
            reading.get(&name) == Some(state)
        });
    }

    /// Waits until it looks as described.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, looks: impl Fn(&Reading) -> bool) {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let answer = self.site.get(&self.url).accept("text/plain").send().is(200);
            if looks(&answer.read()) {
                return;
            }
            if begin.elapsed() > self.site.patience {
                answer.fail(&format!("waited {:?} for {what}", self.site.patience));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Deletes it as soon as what used it, and is on its way out, has let go of it.
    #[track_caller]
    pub(crate) fn remove_when_free(&self) {
        let begin = Instant::now();
        while self.remove().among(&[200, 409]).status == 409 {
            assert!(begin.elapsed() < self.site.patience, "{} stays in use", self.url);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Deletes it now.
    #[track_caller]
    pub(crate) fn remove(&self) -> Answer {
        self.site.delete(&self.url).accept("text/plain").send()
    }
}

impl Drop for Thing<'_> {
    fn drop(&mut self) {
        // What is in use becomes free when its users, which go at the same time, are gone.
        for _ in 0..20 {
            if self.site.delete(&self.url).try_status() != Some(409) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
