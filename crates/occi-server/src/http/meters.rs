//! What is counted about requests: by class of route, method and status, never by path. Handles are kept, because
//! looking a metric up costs more than counting.

use http::Method;
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::OnceLock;
use std::time::Duration;

/// What kind of path a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteClass {
    Health,
    Discovery,
    Operation,
    Image,
    Console,
    Events,
    Entity,
    Kind,
    Mixin,
    Unbound,
    /// Refused before the path was looked at.
    None,
}

const ROUTES: [(RouteClass, &str); 11] = [
    (RouteClass::Health, "health"),
    (RouteClass::Discovery, "discovery"),
    (RouteClass::Operation, "operation"),
    (RouteClass::Image, "image"),
    (RouteClass::Console, "console"),
    (RouteClass::Events, "events"),
    (RouteClass::Entity, "entity"),
    (RouteClass::Kind, "kind"),
    (RouteClass::Mixin, "mixin"),
    (RouteClass::Unbound, "unbound"),
    (RouteClass::None, "none"),
];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "other"];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters; each is made when it is first needed.
pub(super) struct Meters {
    requests: Vec<OnceLock<Counter>>,
    seconds: Vec<OnceLock<Histogram>>,
    ready: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        metrics::describe_counter!("occid_requests_total", "Requests answered.");
        metrics::describe_histogram!(
            "occid_request_seconds",
            "Time from the head of a request to that of its answer."
        );
        metrics::describe_counter!("occid_ready_answers_total", "Requests answered from memory.");
        let cells = ROUTES.len() * METHODS.len() * STATUSES.len();
        Self {
            requests: (0..cells).map(|_| OnceLock::new()).collect(),
            seconds: ROUTES.iter().map(|_| OnceLock::new()).collect(),
            ready: counter!("occid_ready_answers_total"),
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self, route: RouteClass, method: &Method, status: http::StatusCode, took: Duration) {
        let route = ROUTES
            .iter()
            .position(|(class, _)| *class == route)
            .unwrap_or(ROUTES.len() - 1);
        let method = METHODS
            .iter()
            .position(|name| *name == method.as_str())
            .unwrap_or(METHODS.len() - 1);
        let status = usize::from(status.as_u16() / 100).clamp(1, STATUSES.len()) - 1;
        let (_, name) = ROUTES[route];
        let counter = || {
            let labels = [
                ("route", name),
                ("method", METHODS[method]),
                ("status", STATUSES[status]),
            ];
            counter!("occid_requests_total", &labels)
        };
        self.requests[(route * METHODS.len() + method) * STATUSES.len() + status]
            .get_or_init(counter)
            .increment(1);
        let histogram = || histogram!("occid_request_seconds", "route" => name);
        self.seconds[route].get_or_init(histogram).record(took.as_secs_f64());
    }

    /// It was answered from memory.
    pub(super) fn ready(&self) {
        self.ready.increment(1);
    }
}
