//! A client of any OCCI server: this project's `occid`, and rOCCI, ooi, occi-os, pyssf and MartServer as they are.
//!
//! Discovery comes first: what a [`Client`] asks for, and how, follows from the [`Model`] that the server advertises and
//! from the [`Dialect`] that it speaks. Everything a server offers can be used by name; nothing is built in but what the
//! documents of the standard say.
//!
//! ```no_run
//! # async fn example() -> occi_client::Result<()> {
//! use occi_client::{Client, Credentials, EntityDraft, Input, Listing, Patience, Until, Write};
//!
//! let client = Client::builder("https://cloud.example.org:11443/".parse()?)
//!     .credentials(Credentials::Basic { user: "ann".into(), password: "secret".into() })
//!     .build()?;
//! let model = client.model().await?;
//!
//! // Any kind of the server, by name.
//! let mut draft = EntityDraft::default();
//! draft.kind = Some(model.kind("compute")?.id.clone());
//! draft.mixins.push(model.mixin("os_tpl#debian12")?.id.clone());
//! draft.attributes.push(("occi.core.title".parse()?, Input::Typed("web1".into())));
//! let created = client.create(&draft, &Write::default()).await?;
//!
//! let location = created.location.expect("this server says where");
//! client.wait_for(&location, &Until::Up, &Patience::default(), |progress| println!("{progress:?}")).await?;
//! for compute in client.list("compute", &Listing::default()).await? {
//!     println!("{compute}");
//! }
//! client.act(&location, "stop", &[("method", Input::Typed("graceful".into()))], &Write::default()).await?;
//! client.delete(&location, &Write::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A program without a runtime has the same calls in [`blocking`]:
//!
//! ```no_run
//! use occi_client::{Client, Listing, blocking};
//!
//! let client = blocking::Client::new(Client::builder("unix:/run/occid.sock".parse()?))?;
//! let model = client.model()?;
//! for machine in client.entities("compute", &Listing::default())? {
//!     let machine = machine?;
//!     println!("{}: {:?}", machine.location, machine.state(&model));
//! }
//! # Ok::<(), occi_client::Error>(())
//! ```
//!
//! # Where to look
//!
//! - **To ask:** [`Client`] and its [`Builder`], [`blocking`] without a runtime; [`Listing`], [`Write`] and [`Patience`] say
//!   how, [`Retries`] and [`Limits`] how long and how often.
//! - **What there is:** [`Model`], [`Category`]; [`Entity`] and [`Operation`], as the server shows them.
//! - **What there shall be:** [`EntityDraft`], or [`infrastructure`] for machines, networks and volumes by the names of what
//!   they have.
//! - **Who asks:** [`Credentials`], with [`keystone`], [`oidc`] and [`x509`]; [`Tls`] says whom to trust.
//! - **What went wrong:** [`Error`] and its [`ErrorKind`].
//! - **Below:** [`Requests`] are values, [`transport`] sends them, [`Client::send`] and [`Client::raw`] send what somebody
//!   wrote.
//!
//! # What holds everywhere
//!
//! - **What is known of a server can be kept** ([`Client::saved`]) and is checked by its tag ([`Client::revalidate`]).
//! - **Only what is safe is sent twice**: [`Retries`] says what that is.
//! - **Nothing goes to another server than the one that was named**, whatever a location or a redirection says. The one
//!   exception is the Keystone to which a server sends who asks, if the caller has named none: [`Credentials`] says when.
//! - **Secrets do not print.** Neither values nor errors hold them.
//! - **What may grow is not exhaustive:** such options begin with their `default()`, and members are set.

mod answer;
mod auth;
pub mod blocking;
mod client;
mod dialect;
mod endpoint;
mod entity;
mod error;
mod event;
pub mod infrastructure;
mod limits;
mod model;
mod operation;
mod place;
mod request;
mod retry;
mod saved;
mod sending;
mod stream;
mod tls;
pub mod transport;
mod wait;

pub use answer::{Created, Done, RawAnswer};
pub use auth::{Credentials, keystone, oidc, x509};
pub use client::{Builder, Client, Console, Entities, Locations, News};
pub use dialect::{Dialect, Version};
pub use endpoint::Endpoint;
pub use entity::{Entity, State};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventPage};
pub use limits::Limits;
pub use model::{Category, Model};
pub use operation::{Operation, OperationState};
pub use place::Place;
pub use request::{Answer, Discovery, EventsOf, Listing, Request, Requests, Write};
pub use retry::Retries;
pub use saved::Saved;
pub use tls::Tls;
pub use wait::{Patience, Progress, Until};

// What is in the interface and comes from elsewhere.
pub use occi_model::{
    Action, AttributeDefinition, AttributeName, Attributes, Class, EntityDraft, Input, Kind, LinkDraft, Mixin,
    MixinDraft, TypeId, Value, ValueType,
};
pub use occi_rendering::request::{ActionDraft, AttributeFilter, Filter, Operator};
pub use occi_rendering::response::RemoteAction;
pub use occi_rendering::{Base, MediaType};
pub use secrecy::{ExposeSecret, SecretString};
pub use {bytes, futures, http, jiff, url};
