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
use crate::event::EventPage;
use crate::model::Model;
use crate::operation::Operation;
use crate::request::{EventsOf, Listing, Request, Write};
use crate::wait::{Patience, Progress, Until};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::response::Parts;
use http::{HeaderMap, Method};
use occi_model::{EntityDraft, Input, MixinDraft};
use occi_rendering::request::Filter;
use std::sync::Arc;
use std::time::Duration;
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

    /// What the server offers now.
    pub fn discover(&self) -> Result<Arc<Model>> {
        self.runtime.block_on(self.client.discover())
    }

    /// Whether what is known of the server is still true; asks anew if not.
    pub fn revalidate(&self) -> Result<bool> {
        self.runtime.block_on(self.client.revalidate())
    }

    /// The path of a collection: a path, a URL, or the name of a kind or mixin.
    pub fn collection(&self, at: &str) -> Result<String> {
        self.runtime.block_on(self.client.collection(at))
    }

    /// The locations of a collection's members, as they come.
    pub fn list_stream(&self, at: &str, listing: &Listing) -> Result<Items<'_, String>> {
        let stream = self.runtime.block_on(self.client.list_stream(at, listing))?;
        Ok(self.items(stream))
    }

    /// The locations of a collection's members, page by page, of `number` each: for a server that answers no more than so
    /// many at once.
    pub fn list_pages(&self, at: &str, filter: &Filter, number: u32) -> Items<'_, String> {
        self.items(self.client.list_pages(at, filter, number))
    }

    /// The locations of a collection's members.
    pub fn list(&self, at: &str, listing: &Listing) -> Result<Vec<String>> {
        self.runtime.block_on(self.client.list(at, listing))
    }

    /// The same, unless nothing has changed since the listing with this tag; with the new tag.
    pub fn list_if_changed(
        &self,
        at: &str,
        listing: &Listing,
        etag: Option<&str>,
    ) -> Result<Option<(Vec<String>, Option<String>)>> {
        self.runtime.block_on(self.client.list_if_changed(at, listing, etag))
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

    /// The same, unless it is still as it was with this tag.
    pub fn show_if_changed(&self, location: &str, etag: &str) -> Result<Option<Entity>> {
        self.runtime.block_on(self.client.show_if_changed(location, etag))
    }

    /// Makes an entity.
    pub fn create(&self, draft: &EntityDraft, write: &Write) -> Result<Created> {
        self.runtime.block_on(self.client.create(draft, write))
    }

    /// Makes an entity at a path of one's choice, where there must be none.
    pub fn create_at(&self, location: &str, draft: &EntityDraft, write: &Write) -> Result<Created> {
        self.runtime.block_on(self.client.create_at(location, draft, write))
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

    /// Invokes an action on all members of a collection, or on those of which a filter holds.
    pub fn act_on_collection(
        &self,
        at: &str,
        filter: &Filter,
        action: &str,
        parameters: &[(&str, Input)],
        write: &Write,
    ) -> Result<Done> {
        self.runtime
            .block_on(self.client.act_on_collection(at, filter, action, parameters, write))
    }

    /// Deletes an entity.
    pub fn delete(&self, location: &str, write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.delete(location, write))
    }

    /// Deletes several members of a collection, all or none.
    pub fn delete_several(&self, at: &str, locations: &[String], write: &Write) -> Result<Done> {
        self.runtime.block_on(self.client.delete_several(at, locations, write))
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

    /// Makes these entities, and no others, the members of a mixin's collection.
    pub fn replace_members(&self, mixin: &str, locations: &[String]) -> Result<()> {
        self.runtime.block_on(self.client.replace_members(mixin, locations))
    }

    /// Adds a mixin of the user's to the query interface.
    pub fn add_mixin(&self, mixin: &MixinDraft) -> Result<()> {
        self.runtime.block_on(self.client.add_mixin(mixin))
    }

    /// Removes a mixin of the user's.
    pub fn remove_mixin(&self, mixin: &str) -> Result<()> {
        self.runtime.block_on(self.client.remove_mixin(mixin))
    }

    /// The operations, or those that go on, the newest first, page by page as they come.
    pub fn operations(&self, open: bool) -> Items<'_, Operation> {
        self.items(self.client.operations(open))
    }

    /// One operation.
    pub fn operation(&self, operation: &str) -> Result<Operation> {
        self.runtime.block_on(self.client.operation(operation))
    }

    /// Cancels an operation that goes on.
    pub fn cancel(&self, operation: &str) -> Result<Operation> {
        self.runtime.block_on(self.client.cancel(operation))
    }

    /// What came over the console of a machine, and with `follow` what comes.
    pub fn console_log(&self, location: &str, tail: Option<usize>, follow: bool) -> Result<Items<'_, Bytes>> {
        let log = self.client.console_log(location, tail, follow);
        let stream = self.runtime.block_on(log)?;
        Ok(self.items(stream))
    }

    /// The last events of an `occid`, at most so many, the oldest first; [`EventPage::more`] goes on.
    ///
    /// # Errors
    /// `Unsupported`: the server tells none.
    pub fn events(&self, of: &EventsOf, number: u32) -> Result<EventPage> {
        self.runtime.block_on(self.client.events(of, number))
    }

    /// Comes, without end, each time that it is worth looking again, and after `seldom` in case that the server tells
    /// nothing; [`News`](crate::News) says more.
    pub fn news(&self, of: &EventsOf, seldom: Duration) -> impl Iterator<Item = ()> {
        let mut news = self.client.news(of);
        std::iter::from_fn(move || {
            let told = async { tokio::time::timeout(seldom, news.next()).await };
            let _told_or_not = self.runtime.block_on(told);
            Some(())
        })
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

    /// Asks for something whose bytes are read as they come.
    pub fn open(&self, target: &str, headers: HeaderMap) -> Result<(Parts, Items<'_, Bytes>)> {
        let incoming = self.runtime.block_on(self.client.open(target, headers))?;
        Ok((incoming.head, self.items(incoming.body)))
    }

    /// Sends a request that somebody has written with [`Requests`](crate::Requests), and returns the answer whatever its
    /// status.
    pub fn send(&self, request: Request) -> Result<RawAnswer> {
        self.runtime.block_on(self.client.send(request))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    /// The names of the public methods of each `Client` in a source.
    fn calls(source: &str) -> impl Iterator<Item = &str> {
        let blocks = source.split("\nimpl Client {\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split("\n}\n").next());
        blocks.flat_map(str::lines).filter_map(|line| {
            let line = line.strip_prefix("    pub ")?;
            let call = line.trim_start_matches("async ").strip_prefix("fn ")?;
            call.split(['(', '<']).next()
        })
    }

    /// What is added there is added here.
    #[test]
    fn every_call_is_there_for_who_waits() {
        let own: Vec<_> = calls(include_str!("blocking.rs")).collect();
        // These wait for nothing, and are asked of `inner`; and who sits at a console reads and writes at the same time.
        let others = ["builder", "endpoint", "dialect", "keystone_project", "saved", "console"];
        let mut found = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut seen = 0;
        while let Some(path) = found.pop() {
            if path.is_dir() {
                found.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            for call in calls(&std::fs::read_to_string(&path).unwrap()) {
                assert!(own.contains(&call) || others.contains(&call), "{call}");
                seen += 1;
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
