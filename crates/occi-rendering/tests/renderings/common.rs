//! What the tests share: a model, the samples, messages taken apart.

use occi_model::{AttributeDefinition, Attributes, Mixin, Origin, Registry, Value, ValueType, templates};
use occi_rendering::{Agent, AttributeOrder, Base, Incoming, MediaType, View, content_type, is_occi_field};
use std::path::PathBuf;

pub(crate) const COMPUTE: &str = "http://schemas.ogf.org/occi/infrastructure#compute";
pub(crate) const NETWORK: &str = "http://schemas.ogf.org/occi/infrastructure#network";

/// All documents, and the mixins that the samples name.
pub(crate) fn registry() -> Registry {
    let none = Attributes::new();
    let os = |id: &str, title| templates::os_template(id.parse().unwrap(), title, "", &none);
    let size = |id: &str| templates::resource_template(id.parse().unwrap(), "", "", &none);
    let tag = |id: &str, location: &str| Mixin {
        id: id.parse().unwrap(),
        title: String::new(),
        depends: Vec::new(),
        applies: Vec::new(),
        attributes: Vec::new(),
        actions: Vec::new(),
        location: location.parse().unwrap(),
        origin: Origin::User {
            project: "p".into(),
            owner: "ann".into(),
        },
    };
    Registry::standard()
        .with([
            os(
                "http://cloud.example.org/occi/infrastructure/os_tpl#debian12",
                "Debian 12 - minimal",
            ),
            os(
                "http://schemas.openstack.org/template/os#5f4311da-2ee2-47a6-913b-5d8496486c62",
                "",
            ),
            size("http://schemas.openstack.org/template/resource#42"),
            tag("http://example.com/occi/my_stuff#my_stuff", "/my_stuff/"),
            Mixin {
                attributes: vec![AttributeDefinition::new(
                    "com.example.map".parse().unwrap(),
                    ValueType::Hash,
                )],
                origin: Origin::Provider { backend: String::new() },
                ..tag("http://example.com/occi/maps#map", "/map/")
            },
        ])
        .unwrap()
}

/// The model of `text/query-interface.txt` and `json/query-interface.json`.
pub(crate) fn sample_registry() -> Registry {
    let sizes = ["small", "medium", "large"].map(|size| format!("{}{size}", templates::PROFILE_SCHEME));
    Registry::builder()
        .table(&occi_model::core::TABLE)
        .table(&templates::TABLE)
        .table(&occi_model::infrastructure::TABLE)
        .mixin(templates::os_template(
            "http://cloud.example.org/occi/infrastructure/os_tpl#debian12"
                .parse()
                .unwrap(),
            "Debian 12 - minimal",
            "",
            &Attributes::new(),
        ))
        .table(&templates::PROFILE)
        .retain_mixins(|id| id.scheme() != templates::PROFILE_SCHEME || sizes.iter().any(|size| *id == **size))
        .build()
        .unwrap()
}

pub(crate) fn base() -> Base {
    Base::new("http://cloud.example.org", "")
}

pub(crate) fn sample(path: &str) -> Vec<u8> {
    std::fs::read(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn sample_text(path: &str) -> String {
    String::from_utf8(sample(path)).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

/// A whole HTTP message, with the line ends that it has.
pub(crate) struct Http {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn sample(path: &str) -> Self {
        let text = sample_text(path).replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| (text.trim_end(), ""));
        let mut lines = head.lines();
        Self {
            start: lines.next().unwrap().to_owned(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.into(),
        }
    }

    pub(crate) fn fields(&self) -> Vec<(&str, &[u8])> {
        let fields = self.headers.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut all = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        all.next().map_or("", |(_, value)| value)
    }

    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The endpoint that the message was sent to.
    pub(crate) fn base(&self) -> Base {
        match self.header("host") {
            "" => base(),
            host => Base::new(&format!("http://{host}"), ""),
        }
    }

    pub(crate) fn media(&self) -> MediaType {
        let values = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let has_occi_headers = self.headers.iter().any(|(name, _)| is_occi_field(name));
        content_type(values.map(|(_, value)| value.as_bytes()), has_occi_headers, &self.body)
            .unwrap()
            .expect("a rendering")
    }

    pub(crate) fn agent(&self) -> Agent {
        Agent::from_user_agent(self.header("user-agent"))
    }
}

/// A body on its own.
pub(crate) fn incoming<'a>(media: MediaType, body: &'a [u8], registry: &'a Registry, base: &'a Base) -> Incoming<'a> {
    Incoming {
        media,
        fields: &[],
        body,
        registry,
        base,
        agent: Agent::default(),
    }
}

pub(crate) fn view<'a>(registry: &'a Registry, base: &'a Base, order: &'a AttributeOrder) -> View<'a> {
    View {
        registry,
        base,
        agent: Agent::default(),
        order,
        limits: Default::default(),
    }
}

pub(crate) fn attributes<const N: usize>(pairs: [(&str, Value); N]) -> Attributes {
    pairs
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value))
        .collect()
}
