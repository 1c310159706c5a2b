//! What must be true of every answer. It is noted while the cases run, and judged after them.

use crate::answer::{Answer, shortened};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was seen, by rule: how many answers, and the first that broke it.
#[derive(Default)]
pub(crate) struct Every(Mutex<BTreeMap<&'static str, Option<String>>>);

/// A rule and whether an answer keeps it.
type Rule = (&'static str, fn(&Answer) -> bool);

const RULES: &[Rule] = &[
    ("http_5_every_answer_names_occi_1_2_and_1_1", |answer| {
        let server = answer.header("server").unwrap_or_default();
        let tokens: Vec<_> = server.split(' ').collect();
        tokens.contains(&"OCCI/1.2") && tokens.contains(&"OCCI/1.1")
    }),
    ("infra_29_every_answer_claims_the_template_profile", |answer| {
        let server = answer.header("server").unwrap_or_default();
        server.contains("OCCI-CRTP/1.1") != server.contains("OCCI-CRTP-EP/1.1")
    }),
    ("http_84_every_body_has_a_content_type", |answer| {
        answer.body.is_empty() || !answer.media().is_empty()
    }),
    ("http_67_every_reason_phrase_is_the_usual_one", |answer| {
        answer.version == 1 && reason(answer.status).is_none_or(|reason| reason == answer.reason)
    }),
    ("text_12_no_field_of_occi_comes_twice", |answer| {
        ["category", "link", "x-occi-attribute", "x-occi-location", "location"]
            .iter()
            .all(|name| answer.all(name).count() <= 1 || (*name == "link" && answer.media() != "text/occi"))
    }),
    ("http_73_every_refusal_in_text_occi_says_why", |answer| {
        answer.status < 400 || answer.media() != "text/occi" || answer.header("x-occi-error").is_some()
    }),
];

impl Every {
    pub(crate) fn note(&self, answer: &Answer) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, keeps) in RULES {
            let broken = seen.entry(rule).or_default();
            if broken.is_none() && !keeps(answer) {
                let headers: String = answer
                    .headers
                    .iter()
                    .map(|(name, value)| format!("< {name}: {}\n", shortened(value)))
                    .collect();
                *broken = Some(format!(
                    "{}< {} {}\n{headers}",
                    answer.question, answer.status, answer.reason
                ));
            }
        }
    }

    /// Each rule with the first exchange that broke it; nothing if nobody asked anything.
    pub(crate) fn verdicts(&self) -> Vec<(&'static str, Option<String>)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(rule, broken)| (*rule, broken.clone())).collect()
    }
}

fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => return None,
    })
}
