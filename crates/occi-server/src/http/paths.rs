//! The name space: what a request path means before the model is asked.

use super::console::About as AboutConsole;
use super::images::About;
use occi_model::builder::is_reserved_path;
use std::borrow::Cow;
use uuid::Uuid;

/// Collections of operations.
pub(super) const OPERATIONS: &str = "/-/operation/";

/// What happened.
pub(super) const EVENTS: &str = "/events";

/// Images.
const IMAGES: &str = "/-/image/";
/// Images that are being brought.
const UPLOADS: &str = "/-/upload/";
/// Consoles; the path of a machine follows.
const CONSOLE: &str = "/-/console/";
/// What has come over them.
const CONSOLE_LOG: &str = "/-/console-log/";

/// Where a request goes before the model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The query interface.
    Discovery,
    /// All operations.
    Operations,
    /// One operation.
    Operation(Uuid),
    /// What happened.
    Events,
    /// Images, and how they come.
    Images(About),
    /// A console, or what has come over it: of the entity at this path.
    Console(AboutConsole, String),
    /// Ours, and nothing there.
    Nothing,
    /// What the model says.
    Entities,
}

impl Route {
    /// `path` is decoded and has no empty segments.
    pub(super) fn of(path: &str) -> Self {
        let bare = path.strip_suffix('/').unwrap_or(path);
        match bare {
            "/-" | "/.well-known/org/ogf/occi/-" => return Self::Discovery,
            "/-/operation" | "/task" => return Self::Operations,
            EVENTS => return Self::Events,
            "/-/image" => return Self::Images(About::All),
            _ => {}
        }
        if let Some(name) = bare.strip_prefix(IMAGES).filter(|name| !name.contains('/')) {
            return Self::Images(About::Image(name.to_owned()));
        }
        if let Some(id) = bare.strip_prefix(UPLOADS).and_then(|id| id.parse().ok()) {
            return Self::Images(About::Upload(id));
        }
        for (prefix, about) in [(CONSOLE, AboutConsole::Line), (CONSOLE_LOG, AboutConsole::Log)] {
            if let Some(entity) = bare.strip_prefix(prefix) {
                return Self::Console(about, format!("/{entity}"));
            }
        }
        let operation = bare
            .strip_prefix("/-/operation/")
            .or_else(|| bare.strip_prefix("/task/"));
        if let Some(operation) = operation.and_then(|id| id.parse().ok()) {
            return Self::Operation(operation);
        }
        if !bare.is_empty() && is_reserved_path(path) {
            Self::Nothing
        } else {
            Self::Entities
        }
    }
}

/// What is open to everybody.
pub(super) fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/healthz/")
}

/// The path of an operation.
pub(super) fn operation(id: Uuid) -> String {
    format!("{OPERATIONS}{id}")
}

/// The path of an image.
pub(super) fn image(name: &str) -> String {
    format!("{IMAGES}{name}")
}

/// The path of an upload.
pub(super) fn upload(id: Uuid) -> String {
    format!("{UPLOADS}{id}")
}

/// Why a path cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// Not below the base path.
    Outside,
    /// Not a path that could name anything.
    Malformed,
}

/// The path of a request below `base`: decoded, without empty segments. `.well-known` is at the root of the authority,
/// and below the base path too (the OGF's test looks there).
///
/// Most paths are canonical as they come, and nothing is copied.
pub(super) fn canonical<'a>(raw: &'a str, base: &str) -> Result<Cow<'a, str>, BadPath> {
    let decoded = percent_encoding::percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| BadPath::Malformed)?;
    let dots = decoded.split('/').any(|segment| matches!(segment, "." | ".."));
    let hides_slash = matches!(decoded, Cow::Owned(_))
        && raw
            .as_bytes()
            .windows(3)
            .any(|three| three.eq_ignore_ascii_case(b"%2f"));
    if dots || hides_slash || decoded.chars().any(char::is_control) || !decoded.starts_with('/') {
        return Err(BadPath::Malformed);
    }
    let clean = if decoded.contains("//") {
        let mut clean = String::with_capacity(decoded.len());
        for c in decoded.chars() {
            if c != '/' || !clean.ends_with('/') {
                clean.push(c);
            }
        }
        Cow::Owned(clean)
    } else {
        decoded
    };
    if base.is_empty() || clean.starts_with("/.well-known/") || is_health(&clean) {
        return Ok(clean);
    }
    let below = match clean.strip_prefix(base) {
        Some("") => return Ok(Cow::Borrowed("/")),
        Some(rest) if rest.starts_with('/') => clean.len() - rest.len(),
        _ => return Err(BadPath::Outside),
    };
    Ok(match clean {
        Cow::Borrowed(clean) => Cow::Borrowed(&clean[below..]),
        Cow::Owned(clean) => Cow::Owned(clean[below..].to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_82_empty_segments_are_dropped() {
        assert_eq!(canonical("//storagelink//x", ""), Ok("/storagelink/x".into()));
        assert_eq!(canonical("/", ""), Ok("/".into()));
        assert_eq!(canonical("/compute/%31", ""), Ok("/compute/1".into()));
        for bad in [
            "/compute/../x",
            "/compute/%2e%2e/x",
            "/compute/a%2Fb",
            "/compute/%00",
            "/compute/%ff",
            "*",
        ] {
            assert_eq!(canonical(bad, ""), Err(BadPath::Malformed), "{bad}");
        }
    }

    #[test]
    fn the_service_may_live_below_a_base_path() {
        assert_eq!(canonical("/occi/compute/", "/occi"), Ok("/compute/".into()));
        assert_eq!(canonical("/occi", "/occi"), Ok("/".into()));
        assert_eq!(canonical("/occi2/", "/occi"), Err(BadPath::Outside));
        for path in ["/.well-known/org/ogf/occi/-/", "/occi/.well-known/org/ogf/occi/-/"] {
            assert_eq!(
                Route::of(&canonical(path, "/occi").unwrap()),
                Route::Discovery,
                "{path}"
            );
        }
    }

    #[test]
    fn reserved_paths_are_ours() {
        for path in [
            "/-/x",
            "/.well-known/x",
            "/events/x",
            "/metrics",
            "/ui/x",
            "/v3",
            "/task/x",
        ] {
            assert_eq!(Route::of(path), Route::Nothing, "{path}");
        }
        for path in ["/", "/compute/", "/eventsx", "/uix/", "/metricsx"] {
            assert_eq!(Route::of(path), Route::Entities, "{path}");
        }
        assert_eq!(Route::of("/-"), Route::Discovery);
        assert_eq!(Route::of("/events"), Route::Events);
        assert_eq!(Route::of("/events/"), Route::Events);
        let id = Uuid::nil();
        assert_eq!(Route::of(&format!("/task/{id}")), Route::Operation(id));
        assert_eq!(Route::of(&operation(id)), Route::Operation(id));
        assert_eq!(Route::of("/-/operation"), Route::Operations);
        assert_eq!(Route::of("/-/operation/x"), Route::Nothing);
        assert_eq!(Route::of("/-/image/"), Route::Images(About::All));
        assert_eq!(Route::of("/-/image/x"), Route::Images(About::Image("x".to_owned())));
        assert_eq!(Route::of("/-/image/x/y"), Route::Nothing);
        assert_eq!(Route::of(&upload(id)), Route::Images(About::Upload(id)));
        assert_eq!(Route::of("/-/upload/x"), Route::Nothing);
        let console = |about, path: &str| Route::Console(about, path.to_owned());
        assert_eq!(
            Route::of("/-/console/compute/x"),
            console(AboutConsole::Line, "/compute/x")
        );
        // An entity may be called like what is asked of it.
        assert_eq!(
            Route::of("/-/console-log/my/log/"),
            console(AboutConsole::Log, "/my/log")
        );
        assert_eq!(Route::of("/-/console/"), Route::Nothing);
        assert_eq!(Route::of("/compute"), Route::Entities);
    }
}
