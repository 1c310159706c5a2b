//! One run of the program: the server, what it offers, and where results go.

use crate::args::Global;
use crate::cache::ModelCache;
use crate::config::{self, Connection};
use crate::failure::Result;
use crate::output::{NOT_SHOWN, Output, Record, is_user_data};
use occi_client::{Client, EntityDraft, ErrorKind, MediaType, Model};
use occi_rendering::compose;
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A server, and how to print what it says.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    /// What to call the server in messages.
    pub(crate) server: String,
    cache: Option<ModelCache>,
    /// Whether the server has said in this run what it offers: where nothing can be kept, once is enough all the same.
    has_asked: AtomicBool,
}

impl Session {
    /// Opens what the options and the configuration say.
    pub(crate) async fn open(global: &Global) -> Result<Self> {
        Self::of(config::connection(global).await?, global)
    }

    /// Opens a connection. Nothing is sent yet.
    pub(crate) fn of(connection: Connection, global: &Global) -> Result<Self> {
        let server = connection.endpoint.to_string();
        let cache = config::cache_directory().map(|directory| ModelCache::new(&directory, connection.identity()));
        let Connection {
            endpoint,
            credentials,
            keystone,
            keystone_token,
            connector,
            project,
            output: usual,
            ..
        } = connection;
        let mut output = Output::new(global);
        if let (None, Some(usual)) = (&global.output, usual) {
            output.format = usual;
        }
        let mut builder = Client::builder(endpoint)
            .credentials(credentials)
            .keystone(keystone)
            .product(concat!("occi/", env!("CARGO_PKG_VERSION")))
            .connector(connector);
        if let Some(token) = keystone_token {
            builder = builder.keystone_token(token);
        }
        if let Some(project) = project {
            builder = builder.project(project);
        }
        if let Some(saved) = cache.as_ref().filter(|_| !global.no_cache).and_then(ModelCache::load) {
            builder = builder.saved(saved);
        }
        Ok(Self {
            client: builder.build()?,
            output,
            server,
            cache,
            has_asked: AtomicBool::new(false),
        })
    }

    /// What the server offers: as kept, as long as that is young.
    pub(crate) async fn model(&self) -> Result<Arc<Model>> {
        let is_fresh = self.cache.as_ref().is_some_and(ModelCache::is_fresh);
        match self.client.saved().is_some() && is_fresh {
            true => Ok(self.client.model().await?),
            false => self.current_model().await,
        }
    }

    /// What the server offers now: unless that has been done, it is asked whether what was kept is still true.
    pub(crate) async fn current_model(&self) -> Result<Arc<Model>> {
        if !self.has_asked.load(Ordering::Relaxed) {
            self.client.revalidate().await?;
            self.has_asked.store(true, Ordering::Relaxed);
            self.keep_model();
        }
        Ok(self.client.model().await?)
    }

    /// Finds something in the model. What is not in one that was kept may have come meanwhile.
    pub(crate) async fn look_up<T>(&self, find: impl Fn(&Model) -> occi_client::Result<T>) -> Result<T> {
        match find(&*self.model().await?) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(find(&*self.current_model().await?)?),
            found => Ok(found?),
        }
    }

    /// Keeps what the client knows of the server until the next time.
    pub(crate) fn keep_model(&self) {
        if let Some(cache) = &self.cache {
            cache.store(&self.client);
        }
    }

    /// Says what a request would hold that makes or changes something: for machines the document alone.
    pub(crate) fn would(&self, verb: &str, draft: &EntityDraft, at: Option<&str>) -> Result<Vec<Record>> {
        let body = compose::entity(draft, MediaType::OcciJson).map_err(occi_client::Error::from)?;
        let mut body: Json = serde_json::from_slice(&body.body).unwrap_or_default();
        if !self.output.is_for_people() {
            return Ok(vec![Record::other(at.unwrap_or_default(), body)]);
        }
        if let Some(attributes) = body.get_mut("attributes").and_then(Json::as_object_mut) {
            for name in attributes.keys().cloned().collect::<Vec<_>>() {
                if is_user_data(&name) {
                    attributes.insert(name, NOT_SHOWN.into());
                }
            }
        }
        let at = at.map(|at| format!(" {at}")).unwrap_or_default();
        self.output.text(&format!("would {verb}{at} {body:#}\n"))?;
        Ok(Vec::new())
    }
}
