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
//! - **Requests are values.** [`Requests`] writes them as [`http::Request`]; [`Client::send`] sends what somebody wrote.
//! - **What is known of a server can be kept** ([`Client::saved`]) and is checked by its tag ([`Client::revalidate`]).
//! - **Only what is safe is sent twice**: [`retry`] says what that is.
//! - **Nothing goes to another server than the one that was named**, whatever a location or a redirection says. The one
//!   exception is the Keystone to which a server sends who asks, if the caller has named none: [`auth`] says when.
//! - **Secrets do not print.** Neither values nor errors hold them.

pub mod answer;
pub mod auth;
pub mod blocking;
pub mod client;
pub mod dialect;
pub mod endpoint;
pub mod entity;
pub mod error;
pub mod event;
pub mod infrastructure;
pub mod model;
pub mod operation;
pub mod place;
pub mod request;
pub mod retry;
pub mod saved;
mod sending;
mod stream;
pub mod tls;
pub mod transport;
pub mod wait;

pub use answer::{Created, Done, RawAnswer};
pub use auth::Credentials;
pub use client::{Builder, Client, Console, Entities, Locations, News};
pub use dialect::{Dialect, Version};
pub use endpoint::Endpoint;
pub use entity::{Entity, State};
pub use error::{Error, ErrorKind, Result};
pub use event::Event;
pub use model::{Category, Model};
pub use occi_model::{Action, AttributeName, EntityDraft, Input, Kind, LinkDraft, Mixin, MixinDraft, TypeId, Value};
pub use occi_rendering::MediaType;
pub use occi_rendering::request::{ActionDraft, AttributeFilter, Filter, Operator};
pub use operation::{Operation, OperationState};
pub use place::Place;
pub use request::{Answer, Discovery, EventsOf, Listing, Request, Requests, Write};
pub use retry::Retries;
pub use saved::Saved;
pub use tls::Tls;
pub use transport::{Connector, Limits, Transport};
pub use wait::{Patience, Progress, Until};
