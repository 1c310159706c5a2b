//! Where a server is.

use crate::error::{Error, Result};
use occi_rendering::Base;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// The address of an OCCI service: `https://cloud.example.org:11443/`, with a base path
/// (`http://cloud.example.org:8787/occi1.1`), or a socket on this machine (`unix:/run/occid.sock`).
///
/// What a server says of its own locations counts from the root of its authority, base path included (GFD.223), so a
/// *path* here is always one from the root; the base path matters for the query interface and for operations alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Scheme and authority.
    base: Base,
    /// Empty, or `/occi1.1`.
    base_path: String,
    socket: Option<PathBuf>,
}

impl Endpoint {
    /// The origin, for reading what the server says of itself.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Empty, or `/occi1.1`.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The path of the collection of everything the service has: `/`, or `/occi1.1/`.
    pub fn root(&self) -> String {
        self.below("/")
    }

    /// The socket, if it is reached by one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The name or the address of the host.
    pub(crate) fn host(&self) -> Option<String> {
        let url = Url::parse(self.base.origin()).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.base.origin().starts_with("https:")
    }

    /// Whether it is on this machine, where no proxy stands in between.
    pub fn is_loopback(&self) -> bool {
        self.socket.is_some()
            || Url::parse(self.base.origin()).is_ok_and(|url| match url.host() {
                Some(url::Host::Ipv4(address)) => address.is_loopback(),
                Some(url::Host::Ipv6(address)) => address.is_loopback(),
                Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                None => false,
            })
    }

    /// The path of the query interface, and of what lies beside it.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.origin())
    }

    /// The path of what somebody calls a path or a URL of this server.
    ///
    /// # Errors
    /// A URL of another server: no request, and no credential, goes there.
    pub fn path_of(&self, location: &str) -> Result<String> {
        let path = self.base.localise(location.trim());
        if path.starts_with('/') {
            return Ok(path.into_owned());
        }
        if location.contains("://") {
            return Err(Error::invalid(format!(
                "{} is not on the server {self}, and nothing is sent elsewhere",
                shown(location)
            )));
        }
        Err(Error::invalid(format!(
            "{location:?} is neither a path nor a URL of the server {self}"
        )))
    }
}

/// A URL of anybody's without what a URL should not hold.
pub(crate) fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        // Part of a URL, or what somebody mistyped: a password may hold anything.
        Err(_) => {
            let bare = match (url.split_once("//"), url.rsplit_once('@')) {
                (Some((scheme, rest)), Some((_, after))) if rest.contains('@') => format!("{scheme}//{after}"),
                _ => url.to_owned(),
            };
            bare.split('?').next().unwrap_or_default().to_owned()
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(Error::invalid(
                    "the path of a socket is absolute, as in unix:/run/occid.sock",
                ));
            }
            return Ok(Self {
                base: Base::new("http://localhost", ""),
                base_path: String::new(),
                socket: Some(path.into()),
            });
        }
        let hint = "an endpoint looks like https://cloud.example.org:11443/ or unix:/run/occid.sock";
        let url = Url::parse(text)
            .map_err(|error| Error::invalid(format!("the endpoint is no URL: {error}")).with_hint(hint))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(Error::invalid(format!("the endpoint {} is not of HTTP", shown(text))).with_hint(hint));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "the endpoint must not hold a user name or a password";
            return Err(Error::invalid(message).with_hint("credentials are given apart from the URL"));
        }
        let base_path = url.path().trim_end_matches('/');
        // Some clients want the URL of the query interface itself.
        let base_path = base_path.strip_suffix("/-").unwrap_or(base_path);
        Ok(Self {
            base: Base::new(&url.origin().ascii_serialization(), ""),
            base_path: base_path.to_owned(),
            socket: None,
        })
    }
}

impl fmt::Display for Endpoint {
    /// As one would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => write!(f, "{}{}/", self.base.origin(), self.base_path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_endpoint_is_a_url_or_a_socket() {
        for (text, shown, discovery) in [
            (
                "https://cloud.example.org:11443/",
                "https://cloud.example.org:11443/",
                "/-/",
            ),
            ("http://cloud.example.org:80", "http://cloud.example.org/", "/-/"),
            (
                "http://[::1]:8787/occi1.1/",
                "http://[::1]:8787/occi1.1/",
                "/occi1.1/-/",
            ),
            ("http://h/occi/-/", "http://h/occi/", "/occi/-/"),
            ("unix:/run/occid.sock", "unix:/run/occid.sock", "/-/"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown, "{text}");
            assert_eq!(endpoint.below("/-/"), discovery, "{text}");
            assert_eq!(format!("{}-/", endpoint.root()), discovery, "{text}");
        }
        for text in [
            "",
            "cloud.example.org",
            "ftp://x/",
            "unix:relative",
            "https://ann:secret@x/",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn a_location_is_a_path_from_the_root_or_refused() {
        let endpoint: Endpoint = "https://cloud.example.org:8787/occi1.1".parse().unwrap();
        for (location, path) in [
            ("/occi1.1/compute/1", "/occi1.1/compute/1"),
            ("http://cloud.example.org:8787/occi1.1/compute/1", "/occi1.1/compute/1"),
            ("/compute/1", "/compute/1"),
        ] {
            assert_eq!(endpoint.path_of(location).unwrap(), path);
        }
        let error = endpoint.path_of("https://ann:secret@evil.test/compute/1").unwrap_err();
        assert!(error.message().contains("https://evil.test/compute/1"), "{error}");
        assert!(endpoint.path_of("compute/1").is_err());
        for (url, seen) in [
            (
                "https://ann:se/c?ret@evil.test:port/1?token=x",
                "https://evil.test:port/1",
            ),
            ("https://ann:secret@evil.test:99999/", "https://evil.test:99999/"),
            ("//ann:secret@evil.test/?token=x", "//evil.test/"),
            ("/mail@home/1", "/mail@home/1"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }

    #[test]
    fn loopback_is_known() {
        for (text, expected) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]/", true),
            ("http://localhost:8787", true),
            ("unix:/x", true),
            ("http://cloud.example.org", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
