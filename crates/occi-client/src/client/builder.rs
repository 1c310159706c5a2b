//! Puts a client together.

use super::{Client, Shared, State};
use crate::auth::{Auth, Credentials, keystone};
use crate::dialect::{Dialect, Version};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::retry::Retries;
use crate::saved::Saved;
use crate::tls::Tls;
use crate::transport::Connector;
use http::HeaderValue;
use occi_rendering::MediaType;
use std::sync::{Arc, RwLock};

/// Puts a client together.
#[derive(Debug)]
pub struct Builder {
    endpoint: Endpoint,
    credentials: Credentials,
    keystone: keystone::Options,
    keystone_token: Option<keystone::Token>,
    dialect: Dialect,
    connector: Connector,
    retries: Retries,
    product: Option<String>,
    project: Option<String>,
    saved: Option<Saved>,
}

impl Builder {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            credentials: Credentials::None,
            keystone: keystone::Options::default(),
            keystone_token: None,
            dialect: Dialect::default(),
            connector: Connector::default(),
            retries: Retries::default(),
            product: None,
            project: None,
            saved: None,
        }
    }

    /// Who asks. Default: nobody.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// What to tell Keystone, should the server want its tokens.
    pub fn keystone(mut self, options: keystone::Options) -> Self {
        self.keystone = options;
        self
    }

    /// A token that Keystone has given for these credentials already. When the server does not accept it any more,
    /// Keystone is asked for another one.
    pub fn keystone_token(mut self, token: keystone::Token) -> Self {
        self.keystone_token = Some(token);
        self
    }

    /// The rendering to use, whatever the server prefers. Default: text/plain, and JSON where the server reads it.
    pub fn media(mut self, media: MediaType) -> Self {
        self.dialect.media = media;
        self.dialect.is_media_fixed = true;
        self
    }

    /// The version to begin with. Default: 1.2, and 1.1 where the server refuses that.
    pub fn version(mut self, version: Version) -> Self {
        self.dialect.version = version;
        self
    }

    /// How long to wait for what.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.connector.limits = limits;
        self
    }

    /// Whom to trust, and who we are.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.connector.tls = tls;
        self
    }

    /// How often to try again what may be tried again.
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The program that uses this library, for the server's log: `occi/0.1.0`.
    pub fn product(mut self, product: impl Into<String>) -> Self {
        self.product = Some(product.into());
        self
    }

    /// The project that everything is about. Default: the user's own.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// What is known of the server from the last time. It is taken as true; [`Client::revalidate`] asks. What was kept of
    /// another server is passed over.
    pub fn saved(mut self, saved: Saved) -> Self {
        self.saved = Some(saved);
        self
    }

    /// How connections are made, instead of limits and certificates one by one.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// Certificates that cannot be read; names that no header can carry.
    pub fn build(self) -> Result<Client> {
        let Self {
            endpoint,
            credentials,
            keystone,
            keystone_token,
            mut dialect,
            connector,
            retries,
            product,
            project,
            saved,
        } = self;
        let transport = connector.open(&endpoint)?;
        let project = project.map(|name| {
            HeaderValue::try_from(name)
                .map_err(|_| Error::invalid("the project's name holds characters that no header can carry"))
        });
        let mut model = None;
        let saved = saved.filter(|saved| saved.is_of(&endpoint));
        if let Some(saved) = &saved
            && let Ok(known) = saved.model(&endpoint)
        {
            saved.teach(&mut dialect);
            model = Some(Arc::new(known));
        }
        Ok(Client(Arc::new(Shared {
            limits: connector.limits,
            auth: Auth::new(credentials, keystone, keystone_token, connector)?,
            project: project.transpose()?,
            state: RwLock::new(State { dialect, model, saved }),
            discovering: tokio::sync::Mutex::new(()),
            endpoint,
            transport,
            retries,
            product,
        })))
    }
}
