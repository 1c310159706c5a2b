//! Where the service is reached, and which URLs are its own.

use std::borrow::Cow;

/// The origin (`http://cloud.example.org:8787`) and base path (empty, or `/occi1.1`) under which a client reaches the
/// service. Model values hold paths below the base path; this turns them into URLs and back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    origin: String,
    path: String,
}

impl Base {
    /// `origin` is scheme and authority, without a slash at the end; `path` starts with a slash and does not end with
    /// one, or is empty. Slashes too many are dropped.
    pub fn new(origin: &str, path: &str) -> Self {
        let path = path.trim_matches('/');
        Self {
            origin: origin.trim_end_matches('/').to_owned(),
            path: if path.is_empty() {
                String::new()
            } else {
                format!("/{path}")
            },
        }
    }

    /// Scheme and authority.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The base path; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The absolute URL of a path of the service; absolute URIs stay as they are.
    pub fn absolute(&self, location: &str) -> String {
        let (origin, path) = if location.starts_with('/') {
            (self.origin.as_str(), self.path.as_str())
        } else {
            ("", "")
        };
        format!("{origin}{path}{location}")
    }

    /// What a client wrote as the location of something: an absolute URL of this service, or a path on it, becomes the
    /// path below the base path, without empty segments; anything else stays as it is.
    ///
    /// Whether the client wrote `http` or `https` does not matter: a proxy in front may change it.
    pub fn localise<'a>(&self, location: &'a str) -> Cow<'a, str> {
        let path = if location.starts_with('/') {
            location
        } else {
            match split_url(location) {
                Some((authority, path)) if self.is_own(authority) => path,
                _ => return Cow::Borrowed(location),
            }
        };
        let path = without_empty_segments(path);
        match path.strip_prefix(self.path.as_str()) {
            Some(rest) if !self.path.is_empty() && rest.starts_with('/') => Cow::Owned(rest.to_owned()),
            Some("") if !self.path.is_empty() => Cow::Borrowed("/"),
            _ => path,
        }
    }

    fn is_own(&self, authority: &str) -> bool {
        split_url(&self.origin)
            .is_some_and(|(own, _)| host_and_port(own).eq_ignore_ascii_case(host_and_port(authority)))
    }
}

/// Authority and path (`/` if there is none) of an `http` or `https` URL.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    })
}

/// The authority without user information and without a default port.
fn host_and_port(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.strip_suffix(":80")
        .or_else(|| host.strip_suffix(":443"))
        .unwrap_or(host)
}

fn without_empty_segments(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut clean = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !clean.ends_with('/') {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_25_absolute_urls_of_this_server_equal_paths() {
        let root = Base::new("http://cloud.example.org", "");
        let below = Base::new("http://cloud.example.org:8787/", "/occi1.1/");
        for (base, location, path) in [
            (&root, "http://cloud.example.org/compute/1", "/compute/1"),
            (&root, "https://Cloud.example.org:443/compute/1", "/compute/1"),
            (&root, "http://cloud.example.org", "/"),
            (
                &root,
                "http://cloud.example.org:8787/compute/1",
                "http://cloud.example.org:8787/compute/1",
            ),
            (
                &root,
                "http://cloud.example.org.evil.test/x",
                "http://cloud.example.org.evil.test/x",
            ),
            (&root, "//storagelink//x", "/storagelink/x"),
            (&root, "urn:uuid:1", "urn:uuid:1"),
            (&below, "http://cloud.example.org:8787/occi1.1/compute/1", "/compute/1"),
            (&below, "/occi1.1", "/"),
            (&below, "/occi1.12/x", "/occi1.12/x"),
            (&below, "/compute/1", "/compute/1"),
        ] {
            assert_eq!(base.localise(location), path, "{location}");
        }
        assert_eq!(
            below.absolute("/compute/1"),
            "http://cloud.example.org:8787/occi1.1/compute/1"
        );
        assert_eq!(below.absolute("http://other/x"), "http://other/x");
    }
}
