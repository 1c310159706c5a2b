//! The client for programs without a runtime: each call waits until it is done.
//!
//! ```no_run
//! use occi_client::{Listing, blocking::Client};
//!
//! let client = Client::new(occi_client::Client::builder("http://127.0.0.1:8787/".parse()?))?;
//! for location in client.list("compute", &Listing::default())? {
//!     println!("{location}");
//! }
//! # Ok::<(), occi_client::Error>(())
//! ```

use crate::answer::{Created, Done, RawAnswer};
use crate::client::{self, Builder};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::operation::Operation;
use crate::request::{Listing, Write};
use crate::wait::{Patience, Progress, Until};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, Method};
use occi_model::{EntityDraft, Input, MixinDraft};
use occi_rendering::request::Filter;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A client that waits. It must not be used within a runtime.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    client: client::Client,
}

/// What comes one by one.
pub struct Items<'c, T> {
    runtime: &'c Runtime,
    stream: futures::stream::BoxStream<'static, Result<T>>,
}

impl<T> std::fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}

impl<T> Iterator for Items<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.stream.next())
    }
}

impl Client {
    /// The client that a builder describes.
    pub fn new(builder: Builder) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Unavailable, format!("no runtime: {error}")))?;
        // The transport may want to know where it runs.
        let client = {
            let _inside = runtime.enter();
            builder.build()?
        };
        Ok(Self { runtime, client })
    }

    /// The same client for a program with a runtime.
    pub fn inner(&self) -> &client::Client {
        &self.client
    }

    fn items<T: 'static>(&self, stream: impl Stream<Item = Result<T>> + Send + 'static) -> Items<'_, T> {
        Items {
            runtime: &self.runtime,
            stream: stream.boxed(),
        }
    }

    /// What the server offers: asked for once.
    pub fn model(&self) -> Result<Arc<Model>> {
        self.runtime.block_on(self.client.model())
    }

    /// Whether what is known of the server is still true; asks anew if not.
    pub fn revalidate(&self) -> Result<bool> {
        self.runtime.block_on(self.client.revalidate())
    }

    /// The locations of a collection's members.
    pub fn list(&self, at: &str, listing: &Listing) -> Result<Vec<String>> {
        self.runtime.block_on(self.client.list(at, listing))
    }

    /// The members of a collection in full, as they come.
    pub fn entities(&self, at: &str, listing: &Listing) -> Result<Items<'_, Entity>> {
        let stream = self.runtime.block_on(self.client.entities(at, listing))?;
        Ok(self.items(stream))
    }

    /// One entity.
    pub fn show(&self, location: &str) -> Result<Entity> {
        self.runtime.block_on(self.client.show(location))
    }

    /// Makes an entity.
    pub fn create(&self, draft: &EntityDraft, write: &Write) -> Result<Created> {
        self.runtime.block_on(self.client.create(draft, write))
    }

    /// Replaces an entity.
    pub fn replace(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.replace(location, draft, write))
    }

    /// Changes what the draft says.
    pub fn update(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.update(location, draft, write))
    }

    /// Invokes an action on an entity.
    pub fn act(&self, location: &str, action: &str, parameters: &[(&str, Input)], write: &Write) -> Result<Done> {
        self.runtime
            .block_on(self.client.act(location, action, parameters, write))
    }

    /// Deletes an entity.
    pub fn delete(&self, location: &str, write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.delete(location, write))
    }

    /// Deletes everything in the collection of a kind, or that of which a filter holds.
    pub fn delete_collection(&self, at: &str, filter: &Filter, write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.delete_collection(at, filter, write))
    }

    /// Adds entities to a mixin's collection.
    pub fn associate(&self, mixin: &str, locations: &[String]) -> Result<()> {
        self.runtime.block_on(self.client.associate(mixin, locations))
    }

    /// Takes entities out of a mixin's collection.
    pub fn dissociate(&self, mixin: &str, locations: &[String]) -> Result<()> {
        self.runtime.block_on(self.client.dissociate(mixin, locations))
    }

    /// Adds a mixin of the user's to the query interface.
    pub fn add_mixin(&self, mixin: &MixinDraft) -> Result<()> {
        self.runtime.block_on(self.client.add_mixin(mixin))
    }

    /// Removes a mixin of the user's.
    pub fn remove_mixin(&self, mixin: &str) -> Result<()> {
        self.runtime.block_on(self.client.remove_mixin(mixin))
    }

    /// The operations, or those that go on, the newest first.
    pub fn operations(&self, open: bool) -> Result<Vec<Operation>> {
        self.runtime.block_on(self.client.operations(open).try_collect())
    }

    /// Waits until an entity is as it should be.
    pub fn wait_for(
        &self,
        location: &str,
        until: &Until,
        patience: &Patience,
        report: impl FnMut(Progress<'_>),
    ) -> Result<Option<Entity>> {
        self.runtime
            .block_on(self.client.wait_for(location, until, patience, report))
    }

    /// Waits until an operation has ended well.
    pub fn wait_for_operation(
        &self,
        operation: &str,
        patience: &Patience,
        report: impl FnMut(Progress<'_>),
    ) -> Result<Operation> {
        self.runtime
            .block_on(self.client.wait_for_operation(operation, patience, report))
    }

    /// Sends anything, and returns the answer whatever its status.
    pub fn raw(&self, method: Method, target: &str, headers: HeaderMap, body: Bytes) -> Result<RawAnswer> {
        self.runtime.block_on(self.client.raw(method, target, headers, body))
    }
}
