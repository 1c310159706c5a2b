//! Machines, networks and volumes with names for what they have, instead of attributes.
//!
//! What people say is turned into a draft for one server: templates are found by name, and keys and user data go by the
//! mixin that this server offers, that of OCCI 1.2 or OpenStack's. Everything else can be added to the draft.
//!
//! ```
//! use occi_client::infrastructure::{Compute, NetworkInterface};
//!
//! # fn example(model: &occi_client::Model) -> occi_client::Result<()> {
//! let machine = Compute {
//!     title: Some("web1".into()),
//!     os: Some("debian12".into()),
//!     memory_gib: Some(2.0),
//!     interfaces: vec![NetworkInterface { network: "/network/lan".into(), ..Default::default() }],
//!     ..Default::default()
//! };
//! let draft = machine.draft(model)?;
//! # Ok(())
//! # }
//! ```
//!
//! They may have more members another time, which is why one ends with `..Default::default()`.

use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Category, Model};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use occi_model::infrastructure::{
    COMPUTE, IPNETWORK, IPNETWORKINTERFACE, NETWORK, NETWORKINTERFACE, SSH_KEY, SSH_PUBLIC_KEY, STORAGE, STORAGELINK,
    USER_DATA, USERDATA,
};
use occi_model::production::{OPENSTACK_PUBLIC_KEY, OPENSTACK_USER_DATA};
use occi_model::templates::{OS_TPL, RESOURCE_TPL};
use occi_model::{EntityDraft, Input, LinkDraft, Mixin, TypeId, Value};

/// What ooi reads, which is neither what it advertises nor what the standard says.
const OOI_SSH_KEY: &str = "occi.credentials.ssh_key";
const OOI_USER_DATA: &str = "occi.compute.user_data";
const OPENSTACK_KEY_NAME: &str = "org.openstack.credentials.publickey.name";
const OPENSTACK_KEY_DATA: &str = "org.openstack.credentials.publickey.data";
const OPENSTACK_USERDATA: &str = "org.openstack.compute.user_data";

/// A machine to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compute {
    /// `occi.core.title`.
    pub title: Option<String>,
    /// `occi.core.summary`.
    pub summary: Option<String>,
    /// What it boots from: the name of a template that depends on `os_tpl`.
    pub os: Option<String>,
    /// How large it is: the name of a template that depends on `resource_tpl`.
    pub size: Option<String>,
    /// Cores.
    pub cores: Option<i64>,
    /// Memory in GiB.
    pub memory_gib: Option<f64>,
    /// `x86` or `x64`.
    pub architecture: Option<String>,
    /// `occi.compute.hostname`.
    pub hostname: Option<String>,
    /// An OpenSSH public key, one line.
    pub ssh_key: Option<String>,
    /// What it runs at its first boot.
    pub user_data: Option<Vec<u8>>,
    /// Networks to join.
    pub interfaces: Vec<NetworkInterface>,
    /// Volumes to attach.
    pub volumes: Vec<StorageLink>,
    /// Further mixins by name.
    pub mixins: Vec<String>,
}

/// A network to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// `occi.core.title`.
    pub title: Option<String>,
    /// `occi.core.summary`.
    pub summary: Option<String>,
    /// The VLAN, 0 to 4095.
    pub vlan: Option<i64>,
    /// `occi.network.label`.
    pub label: Option<String>,
    /// The addresses, `192.0.2.0/24`.
    pub address: Option<String>,
    /// The way out.
    pub gateway: Option<String>,
    /// `dynamic` or `static`.
    pub allocation: Option<String>,
    /// Further mixins by name.
    pub mixins: Vec<String>,
}

/// A volume to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// `occi.core.title`.
    pub title: Option<String>,
    /// `occi.core.summary`.
    pub summary: Option<String>,
    /// Its size in GiB.
    pub size_gib: f64,
    /// Further mixins by name.
    pub mixins: Vec<String>,
}

/// A machine's place in a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkInterface {
    /// The network, by path or URL.
    pub network: String,
    /// A fixed address.
    pub address: Option<String>,
    /// The way out.
    pub gateway: Option<String>,
    /// `dynamic` or `static`.
    pub allocation: Option<String>,
    /// The hardware address.
    pub mac: Option<String>,
    /// Further mixins by name.
    pub mixins: Vec<String>,
}

/// A volume at a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageLink {
    /// The volume, by path or URL.
    pub storage: String,
    /// The device in the machine, `/dev/vdb`.
    pub device: Option<String>,
    /// Where the machine shall mount it.
    pub mount_point: Option<String>,
    /// Further mixins by name.
    pub mixins: Vec<String>,
}

impl Compute {
    /// The draft for a server.
    ///
    /// # Errors
    /// Names that the server does not offer, or several times; keys or user data that it does not take.
    pub fn draft(&self, model: &Model) -> Result<EntityDraft> {
        let mut draft = Drafting::new(model, COMPUTE)?;
        draft.mixin(
            self.os
                .as_deref()
                .map(|name| model.template(OS_TPL, name))
                .transpose()?,
        );
        draft.mixin(
            self.size
                .as_deref()
                .map(|name| model.template(RESOURCE_TPL, name))
                .transpose()?,
        );
        draft.mixins(&self.mixins)?;
        draft.set("occi.core.title", self.title.as_deref());
        draft.set("occi.core.summary", self.summary.as_deref());
        draft.set("occi.compute.cores", self.cores);
        draft.set("occi.compute.memory", self.memory_gib);
        draft.set("occi.compute.architecture", self.architecture.as_deref());
        draft.set("occi.compute.hostname", self.hostname.as_deref());
        if let Some(key) = &self.ssh_key {
            draft.ssh_key(key)?;
        }
        if let Some(data) = &self.user_data {
            draft.user_data(data)?;
        }
        for interface in &self.interfaces {
            draft.link(interface.draft(model, None)?);
        }
        for volume in &self.volumes {
            draft.link(volume.draft(model, None)?);
        }
        Ok(draft.draft)
    }
}

impl Network {
    /// The draft for a server.
    ///
    /// # Errors
    /// Names that the server does not offer; addresses, where it knows of none.
    pub fn draft(&self, model: &Model) -> Result<EntityDraft> {
        let mut draft = Drafting::new(model, NETWORK)?;
        draft.mixins(&self.mixins)?;
        draft.set("occi.core.title", self.title.as_deref());
        draft.set("occi.core.summary", self.summary.as_deref());
        draft.set("occi.network.vlan", self.vlan);
        draft.set("occi.network.label", self.label.as_deref());
        let layer_3 = [
            ("occi.network.address", &self.address),
            ("occi.network.gateway", &self.gateway),
            ("occi.network.allocation", &self.allocation),
        ];
        draft.layer_3(IPNETWORK, &layer_3)?;
        Ok(draft.draft)
    }
}

impl Storage {
    /// The draft for a server.
    ///
    /// # Errors
    /// Names that the server does not offer.
    pub fn draft(&self, model: &Model) -> Result<EntityDraft> {
        let mut draft = Drafting::new(model, STORAGE)?;
        draft.mixins(&self.mixins)?;
        draft.set("occi.core.title", self.title.as_deref());
        draft.set("occi.core.summary", self.summary.as_deref());
        draft.set("occi.storage.size", Some(self.size_gib));
        Ok(draft.draft)
    }
}

impl NetworkInterface {
    /// The draft for a server: of a link of its own, if `compute` is given.
    ///
    /// # Errors
    /// Names that the server does not offer; addresses, where it knows of none.
    pub fn draft(&self, model: &Model, compute: Option<&str>) -> Result<EntityDraft> {
        let mut draft = Drafting::new(model, NETWORKINTERFACE)?;
        draft.ends(compute, &self.network, model);
        draft.mixins(&self.mixins)?;
        draft.set("occi.networkinterface.mac", self.mac.as_deref());
        let layer_3 = [
            ("occi.networkinterface.address", &self.address),
            ("occi.networkinterface.gateway", &self.gateway),
            ("occi.networkinterface.allocation", &self.allocation),
        ];
        draft.layer_3(IPNETWORKINTERFACE, &layer_3)?;
        Ok(draft.draft)
    }
}

impl StorageLink {
    /// The draft for a server: of a link of its own, if `compute` is given.
    ///
    /// # Errors
    /// Names that the server does not offer.
    pub fn draft(&self, model: &Model, compute: Option<&str>) -> Result<EntityDraft> {
        let mut draft = Drafting::new(model, STORAGELINK)?;
        draft.ends(compute, &self.storage, model);
        draft.mixins(&self.mixins)?;
        draft.set("occi.storagelink.deviceid", self.device.as_deref());
        draft.set("occi.storagelink.mountpoint", self.mount_point.as_deref());
        Ok(draft.draft)
    }
}

/// A draft in the making.
struct Drafting<'m> {
    model: &'m Model,
    draft: EntityDraft,
}

impl<'m> Drafting<'m> {
    fn new(model: &'m Model, kind: &str) -> Result<Self> {
        let kind = model.kind(kind)?.id.clone();
        Ok(Self {
            model,
            draft: EntityDraft {
                kind: Some(kind),
                ..EntityDraft::default()
            },
        })
    }

    fn set(&mut self, name: &str, value: Option<impl Into<Value>>) {
        // The names are the documents'.
        if let (Some(value), Ok(name)) = (value, name.parse()) {
            self.draft.attributes.push((name, Input::Typed(value.into())));
        }
    }

    fn mixin(&mut self, mixin: Option<&Mixin>) {
        if let Some(mixin) = mixin
            && !self.draft.mixins.contains(&mixin.id)
        {
            self.draft.mixins.push(mixin.id.clone());
        }
    }

    fn mixins(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            self.mixin(Some(self.model.mixin(name)?));
        }
        Ok(())
    }

    /// A mixin of the documents, if the server has it.
    fn offered(&self, id: &str) -> Option<&'m Mixin> {
        match self.model.get(id) {
            Some(Category::Mixin(mixin)) => Some(mixin),
            _ => None,
        }
    }

    fn link(&mut self, entity: EntityDraft) {
        self.draft.links.push(LinkDraft {
            entity,
            own_location: None,
        });
    }

    fn ends(&mut self, source: Option<&str>, target: &str, model: &Model) {
        self.draft.source = source.map(str::to_owned);
        self.draft.target = Some(target.to_owned());
        let kind: Option<&TypeId> = self.draft.kind.as_ref();
        self.draft.target_kind = kind.and_then(|kind| model.target_kind_of(kind.as_str()));
    }

    fn layer_3(&mut self, mixin: &str, attributes: &[(&str, &Option<String>)]) -> Result<()> {
        if attributes.iter().all(|(_, value)| value.is_none()) {
            return Ok(());
        }
        let Some(mixin) = self.offered(mixin) else {
            return Err(unsupported("takes no addresses"));
        };
        self.mixin(Some(mixin));
        for (name, value) in attributes {
            self.set(name, value.as_deref());
        }
        Ok(())
    }

    fn ssh_key(&mut self, key: &str) -> Result<()> {
        let key = public_key(key)?;
        if let Some(mixin) = self.offered(SSH_KEY) {
            // A server that advertises none of the names that there have been means the standard's.
            let names: Vec<_> = mixin
                .attributes
                .iter()
                .map(|definition| definition.name.as_str())
                .collect();
            let is_ooi = !names.is_empty() && !names.contains(&SSH_PUBLIC_KEY);
            self.mixin(Some(mixin));
            self.set(if is_ooi { OOI_SSH_KEY } else { SSH_PUBLIC_KEY }, Some(key));
        } else if let Some(mixin) = self.offered(OPENSTACK_PUBLIC_KEY) {
            self.mixin(Some(mixin));
            if mixin
                .attributes
                .iter()
                .any(|definition| definition.name.as_str() == OPENSTACK_KEY_NAME)
            {
                // The comment is how people tell their keys apart.
                let name = key.split_whitespace().nth(2).unwrap_or("key");
                self.set(OPENSTACK_KEY_NAME, Some(name));
            }
            self.set(OPENSTACK_KEY_DATA, Some(key));
        } else {
            return Err(unsupported("puts no keys into machines"));
        }
        Ok(())
    }

    fn user_data(&mut self, data: &[u8]) -> Result<()> {
        let data = BASE64.encode(data);
        if let Some(mixin) = self.offered(USER_DATA) {
            let is_ooi = mixin
                .attributes
                .iter()
                .any(|definition| definition.name.as_str() == OOI_USER_DATA);
            self.mixin(Some(mixin));
            self.set(if is_ooi { OOI_USER_DATA } else { USERDATA }, Some(data));
        } else if let Some(mixin) = self.offered(OPENSTACK_USER_DATA) {
            self.mixin(Some(mixin));
            self.set(OPENSTACK_USERDATA, Some(data));
        } else {
            return Err(unsupported("takes no user data"));
        }
        Ok(())
    }
}

/// An OpenSSH public key, `ssh-ed25519 AAAA... ann@example.org`, without the space around it. Whether the key itself is
/// good is for the server to say.
///
/// # Errors
/// Anything else, a private key above all: it shall not leave the machine. The error shows nothing of it.
pub fn public_key(text: &str) -> Result<&str> {
    let key = text.trim();
    let mut words = key.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let is_known = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| kind.starts_with(start));
    let why = if key.contains("PRIVATE KEY") || key.starts_with("PuTTY-User-Key-File") {
        "this is a private key, which is for nobody else: it has not been sent"
    } else if key.contains(['\n', '\r']) {
        "a public key is one line"
    } else if !is_known || words.next().is_none() {
        "this is no public key, which looks like ssh-ed25519 AAAA... ann@example.org"
    } else {
        return Ok(key);
    };
    Err(Error::invalid(why).with_hint("the public key is in the file that ends in .pub, as in ~/.ssh/id_ed25519.pub"))
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this server {what}"))
}

/// The well-known attributes of an entity, typed.
impl Entity {
    /// Of a machine: `occi.compute.cores`.
    pub fn cores(&self) -> Option<i64> {
        self.attribute("occi.compute.cores")?.as_i64()
    }

    /// Of a machine: `occi.compute.memory`, in GiB.
    pub fn memory_gib(&self) -> Option<f64> {
        self.attribute("occi.compute.memory")?.as_f64()
    }

    /// Of a machine: `occi.compute.hostname`.
    pub fn hostname(&self) -> Option<&str> {
        self.text("occi.compute.hostname")
    }

    /// Of a machine: `occi.compute.architecture`.
    pub fn architecture(&self) -> Option<&str> {
        self.text("occi.compute.architecture")
    }

    /// Of a volume: `occi.storage.size`, in GiB.
    pub fn size_gib(&self) -> Option<f64> {
        self.attribute("occi.storage.size")?.as_f64()
    }

    /// The addresses: of a machine those of its interfaces, of an interface or a network its own.
    pub fn addresses(&self) -> Vec<&str> {
        let own = ["occi.networkinterface.address", "occi.network.address"];
        let own = own.into_iter().filter_map(|name| self.text(name));
        own.chain(self.links.iter().flat_map(|link| link.addresses())).collect()
    }

    /// The template that it was made from: the mixin that depends on `os_tpl`.
    pub fn os<'e>(&'e self, model: &Model) -> Option<&'e TypeId> {
        self.mixin_below(OS_TPL, model)
    }

    /// Its size: the mixin that depends on `resource_tpl`.
    pub fn size<'e>(&'e self, model: &Model) -> Option<&'e TypeId> {
        self.mixin_below(RESOURCE_TPL, model)
    }

    fn mixin_below<'e>(&'e self, parent: &str, model: &Model) -> Option<&'e TypeId> {
        self.mixins
            .iter()
            .find(|id| model.dependants(parent).any(|mixin| mixin.id == **id))
    }
}
