//! Writes that a page of another site makes a browser send: with the login that the browser remembers, and unasked.

use super::fault::Fault;
use http::{HeaderMap, StatusCode, header};
use occi_rendering::Base;

/// Refuses what such a page sends. Everything that is no browser says nothing of sites, and is let in.
pub(super) fn refuse(headers: &HeaderMap, base: &Base) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(header::ORIGIN.as_str());
    // No page can write this one, and it is right also behind a proxy that changes the name of the server.
    let is_own = match (text("sec-fetch-site"), origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => host(origin).is_some_and(|host| Some(host) == self::host(base.origin())),
        (None, None) => true,
    };
    if is_own {
        return Ok(());
    }
    let page = origin.filter(|origin| *origin != "null").unwrap_or("another site");
    Err(Fault::new(
        StatusCode::FORBIDDEN,
        format!(
            "a page of {page} made this request, and pages of other sites change nothing here; if the page is this \
             service's own, the proxy in front changes its name: set http.public_url"
        ),
    ))
}

/// Of an origin, in lower case, without a port that its scheme has anyway. What stands before is the proxy's in front.
fn host(origin: &str) -> Option<String> {
    let (scheme, host) = origin.split_once("://")?;
    let host = host.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    Some(host.strip_suffix(usual).map(str::to_owned).unwrap_or(host))
}
