//! How the engine behaves; every field has a default.

use occi_model::Category;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Where the engine gets its time and its ids from; tests give their own.
#[derive(Clone)]
pub struct Source {
    /// Milliseconds since 1970.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// A fresh UUID of version 4, for entities.
    pub entity: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// A fresh UUID of version 7, for operations and audit records.
    pub operation: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            now_ms: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            entity: Arc::new(Uuid::new_v4),
            operation: Arc::new(Uuid::now_v7),
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// How long what is finished is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Events; default 7 days.
    pub events: Duration,
    /// Events at most; default 1,000,000.
    pub events_max: i64,
    /// Finished operations; default 7 days.
    pub operations: Duration,
    /// Audit records; default 90 days.
    pub audit: Duration,
    /// Idempotency keys; default 24 hours.
    pub keys: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            events: 7 * DAY,
            events_max: 1_000_000,
            operations: 7 * DAY,
            audit: 90 * DAY,
            keys: DAY,
        }
    }
}

/// How the engine behaves.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The name of this node: the owner of its leases. Default `occid`.
    pub node: String,
    /// The scheme base of the mixins that backends and the configuration provide. Default `http://occid.local`.
    pub site: String,
    /// Whether what is created comes up by itself. Default true.
    pub autostart: bool,
    /// How long an operation may stand still before it is given up, and how long one that fails for the moment is tried
    /// again. One that comes further may take any time. Default 10 minutes.
    pub operation_deadline: Duration,
    /// How long a request waits for the end of a creation or deletion that alone is in its way (decision 0026). Default 30 s:
    /// half of the shortest time-out that clients and proxies have.
    pub outwait: Duration,
    /// The largest page a client may ask for. Default 1000.
    pub page_max: u32,
    /// The memory for hot entities (see [`crate::Engine::peek`]), in bytes. Default 64 MiB.
    pub cache_bytes: usize,
    /// How often every scope is listed. Default 60 s.
    pub refresh_interval: Duration,
    /// Whether users may make mixins. Default true.
    pub user_mixins: bool,
    /// The most mixins that the users of a project may make. Default 1000.
    pub user_mixin_limit: u32,
    /// Whether transitional states are shown as `waiting`. Default false.
    pub states_extended: bool,
    /// Whether size attributes that contradict the resource template are refused. Default false: the template wins.
    pub strict_templates: bool,
    /// Kinds, mixins and actions that the configuration adds. Entities of its kinds are kept by the store alone; its sizes
    /// are mixins that depend on `resource_tpl`. Default none.
    pub extension: Vec<Category>,
    /// How long what is finished is kept.
    pub retention: Retention,
    /// Time and ids.
    pub source: Source,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            node: "occid".to_owned(),
            site: "http://occid.local".to_owned(),
            autostart: true,
            operation_deadline: Duration::from_secs(600),
            outwait: Duration::from_secs(30),
            page_max: 1000,
            cache_bytes: 64 << 20,
            refresh_interval: Duration::from_secs(60),
            user_mixins: true,
            user_mixin_limit: 1000,
            states_extended: false,
            strict_templates: false,
            extension: Vec::new(),
            retention: Retention::default(),
            source: Source::default(),
        }
    }
}
