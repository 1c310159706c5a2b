//! A backend with a layer around it.

use crate::{
    Acted, Backend, Capabilities, Catalogue, Change, Consoles, Context, Create, Event, Images, Invocation, Listing,
    Picture, Result, Scope, Target, Verb,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use occi_model::{Term, TypeId};
use std::sync::Arc;

/// A verb on its way to a backend.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The backend that it is for.
    pub capabilities: &'a Capabilities,
    /// Which.
    pub verb: Verb,
    /// The kind that it is about, if it is about one.
    pub kind: Option<&'a TypeId>,
    /// What is invoked, of [`Verb::Act`].
    pub action: Option<&'a TypeId>,
    /// The operation, of verbs that write.
    pub context: Option<&'a Context>,
}

/// Something around every verb.
pub trait Layer: Send + Sync + 'static {
    /// Does what is to be done around `call`; `send` sends it on, each time it is called, in another context if one is
    /// given.
    fn around<'a, T, S>(&'a self, call: Call<'a>, send: S) -> impl Future<Output = Result<T>> + Send + 'a
    where
        T: Send + 'a,
        S: Fn(Option<Context>) -> BoxFuture<'a, Result<T>> + Send + Sync + 'a;
}

/// A backend with a layer around it.
pub struct Layered<L> {
    inner: Arc<dyn Backend>,
    layer: L,
}

impl<L: Layer> Layered<L> {
    /// Puts `layer` around `inner`.
    pub fn new(inner: Arc<dyn Backend>, layer: L) -> Self {
        Self { inner, layer }
    }

    fn without_context<'a>(&'a self, verb: Verb, kind: Option<&'a TypeId>) -> Call<'a> {
        Call {
            capabilities: self.inner.capabilities(),
            verb,
            kind,
            action: None,
            context: None,
        }
    }

    fn writes<'a>(&'a self, verb: Verb, kind: &'a TypeId, context: &'a Context) -> Call<'a> {
        Call {
            context: Some(context),
            ..self.without_context(verb, Some(kind))
        }
    }
}

#[async_trait]
impl<L: Layer> Backend for Layered<L> {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn catalogue(&self, scope: &Scope) -> Result<Catalogue> {
        let call = self.without_context(Verb::Catalogue, None);
        self.layer.around(call, |_| self.inner.catalogue(scope)).await
    }

    async fn health(&self) -> Result<()> {
        let call = self.without_context(Verb::Health, None);
        self.layer.around(call, |_| self.inner.health()).await
    }

    async fn admit(&self, scope: &Scope, create: &Create) -> Result<()> {
        let call = self.without_context(Verb::Admit, Some(&create.kind));
        self.layer.around(call, |_| self.inner.admit(scope, create)).await
    }

    async fn admit_change(&self, scope: &Scope, target: &Target, change: &Change) -> Result<()> {
        let call = self.without_context(Verb::AdmitChange, Some(&target.kind));
        let send = |_| self.inner.admit_change(scope, target, change);
        self.layer.around(call, send).await
    }

    async fn projects(&self) -> Result<Vec<String>> {
        let call = self.without_context(Verb::Projects, None);
        self.layer.around(call, |_| self.inner.projects()).await
    }

    async fn list(&self, scope: &Scope, kind: &TypeId) -> Result<Listing> {
        let call = self.without_context(Verb::List, Some(kind));
        self.layer.around(call, |_| self.inner.list(scope, kind)).await
    }

    async fn find(&self, scope: &Scope, target: &Target) -> Result<Option<Picture>> {
        let call = self.without_context(Verb::Find, Some(&target.kind));
        self.layer.around(call, |_| self.inner.find(scope, target)).await
    }

    async fn create(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        let call = self.writes(Verb::Create, &create.kind, context);
        let send = |other: Option<Context>| -> BoxFuture<'_, _> {
            Box::pin(async move { self.inner.create(other.as_ref().unwrap_or(context), create).await })
        };
        self.layer.around(call, send).await
    }

    async fn update(&self, context: &Context, target: &Target, change: &Change) -> Result<Vec<Picture>> {
        let call = self.writes(Verb::Update, &target.kind, context);
        let send = |other: Option<Context>| -> BoxFuture<'_, _> {
            Box::pin(async move {
                self.inner
                    .update(other.as_ref().unwrap_or(context), target, change)
                    .await
            })
        };
        self.layer.around(call, send).await
    }

    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> Result<Acted> {
        let call = Call {
            action: Some(&invocation.action),
            ..self.writes(Verb::Act, &target.kind, context)
        };
        let send = |other: Option<Context>| -> BoxFuture<'_, _> {
            Box::pin(async move {
                self.inner
                    .act(other.as_ref().unwrap_or(context), target, invocation)
                    .await
            })
        };
        self.layer.around(call, send).await
    }

    async fn delete(&self, context: &Context, target: &Target) -> Result<()> {
        let call = self.writes(Verb::Delete, &target.kind, context);
        let send = |other: Option<Context>| -> BoxFuture<'_, _> {
            Box::pin(async move { self.inner.delete(other.as_ref().unwrap_or(context), target).await })
        };
        self.layer.around(call, send).await
    }

    async fn remove_template(&self, scope: &Scope, term: &Term) -> Result<()> {
        let call = self.without_context(Verb::RemoveTemplate, None);
        self.layer
            .around(call, |_| self.inner.remove_template(scope, term))
            .await
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        self.inner.images()
    }

    fn consoles(&self) -> Option<Arc<dyn Consoles>> {
        self.inner.consoles()
    }

    fn events(&self) -> Option<BoxStream<'static, Event>> {
        self.inner.events()
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
