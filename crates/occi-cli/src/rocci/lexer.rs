//! Arguments by their look: options, what is stuck to them, and what is none.

use super::abbreviation::{Completed, complete};
use super::spec::{SPECS, Spec, Wants};

/// An argument, by its look.
#[derive(Debug)]
pub(super) enum Item {
    Option {
        spec: &'static Spec,
        /// As it was written.
        said: String,
        /// None where the arguments end before it.
        value: Option<String>,
    },
    /// What is no option.
    Word,
}

/// Looks at one argument after the other; an error is said in the words of the parser that it stands for.
pub(super) struct Lexer<'a> {
    args: std::slice::Iter<'a, String>,
    /// The rest of a cluster of short options: `v` after the `d` of `-dv`.
    cluster: &'a str,
    is_over: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(args: &'a [String]) -> Self {
        Self {
            args: args.iter(),
            cluster: "",
            is_over: false,
        }
    }

    fn option(&mut self, spec: &'static Spec, said: String, stuck: Option<&str>) -> Item {
        let value = match spec.wants {
            Wants::Nothing => None,
            _ => stuck.map(str::to_owned).or_else(|| self.args.next().cloned()),
        };
        Item::Option { spec, said, value }
    }

    fn short(&mut self, cluster: &'a str) -> Option<Result<Item, String>> {
        let mut rest = cluster.chars();
        let letter = rest.next()?;
        let rest = rest.as_str();
        let said = format!("-{letter}");
        let Some(spec) = SPECS.iter().find(|spec| spec.short == Some(letter)) else {
            self.cluster = rest;
            return Some(Err(format!("invalid option: {said}")));
        };
        let stuck = match spec.wants {
            Wants::Nothing => {
                self.cluster = rest;
                None
            }
            _ => {
                self.cluster = "";
                Some(rest).filter(|rest| !rest.is_empty())
            }
        };
        Some(Ok(self.option(spec, said, stuck)))
    }

    fn long(&mut self, text: &str) -> Result<Item, String> {
        let (name, stuck) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let said = format!("--{name}");
        let exact = SPECS.iter().find(|spec| spec.long.eq_ignore_ascii_case(name));
        let old = SPECS.iter().filter(|spec| spec.short.is_some());
        let spec = match exact {
            Some(spec) => spec,
            None => match complete(name, old.map(|spec| spec.long), true) {
                Completed::One(long) => match SPECS.iter().find(|spec| spec.long == long) {
                    Some(spec) => spec,
                    None => return Err(format!("invalid option: {said}")),
                },
                Completed::Several => return Err(format!("ambiguous option: {said}")),
                Completed::None => return Err(format!("invalid option: {said}")),
            },
        };
        if spec.wants == Wants::Nothing && stuck.is_some() {
            return Err(format!("needless argument: --{text}"));
        }
        Ok(self.option(spec, said, stuck))
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Item, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.short(self.cluster) {
            return Some(item);
        }
        let argument = self.args.next()?;
        if self.is_over {
            return Some(Ok(Item::Word));
        }
        if argument == "--" {
            self.is_over = true;
            return self.next();
        }
        if let Some(text) = argument.strip_prefix("--") {
            return Some(self.long(text));
        }
        match argument.strip_prefix('-') {
            Some(cluster) if !cluster.is_empty() => self.short(cluster),
            _ => Some(Ok(Item::Word)),
        }
    }
}
