//! The end of a project.
//!
//! Engines know a project by its name only: what they keep of one would be of the next of that name.

use crate::engine::{Engine, Inner};
use crate::{EngineError, FailureKind, Freshness, Result};
use occi_backend::{Images, KindCapability, Scope, UploadState};
use occi_store::{Audit, Commit, Write};
use std::sync::Arc;
use uuid::Uuid;

impl Engine {
    /// Removes a project with all that the store knows of it; `audit` says who does.
    ///
    /// # Errors
    /// `NotFound`. `Conflict`: it has entities, also such as only an engine knows, images or uploads that have not ended, or
    /// something is shared with it.
    /// `Unavailable`: a backend cannot be asked what it keeps of it.
    pub async fn remove_project(&self, name: &str, audit: Audit) -> Result<()> {
        let (inner, name) = (self.inner.clone(), name.to_owned());
        // Who asked may go at any time; what follows a commit has to follow it.
        let removing = self.inner.tasks.spawn(async move {
            inner.refuse_if_an_engine_has_more(&name).await?;
            let _no_upload_begins = inner.removals.write().await;
            let ended = inner.uploads_without_images(&name).await?;
            let commit = Commit {
                writes: vec![Write::RemoveProject(name.clone())],
                audit: vec![audit],
                ..Commit::default()
            };
            inner.commit(commit).await?;
            inner.models.forget(Some(&name));
            for (images, upload) in ended {
                if let Err(error) = images.abandon(upload).await {
                    tracing::warn!(%upload, %error, "failed to forget an upload of a project that was removed");
                }
            }
            Ok(())
        });
        removing.await.map_err(EngineError::internal)?
    }
}

impl Inner {
    /// Refuses if an engine has anything in a project, and takes it in so that it can be removed: a network that came with a
    /// compute, or what somebody made behind our back, may not be in the store yet.
    async fn refuse_if_an_engine_has_more(self: &Arc<Self>, project: &str) -> Result<()> {
        let scope = Scope {
            project: project.to_owned(),
        };
        let (mut left, mut kinds) = (Vec::new(), Vec::new());
        for carrier in &self.carriers {
            for KindCapability { kind, .. } in &carrier.capabilities().kinds {
                let count = carrier.backend.list(&scope, kind).await?.pictures.len();
                if count > 0 {
                    left.push(format!("{count} of kind {}", kind.term()));
                    kinds.push(kind.clone());
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        self.freshen(&[scope.project], &kinds, Freshness::Now).await;
        let message = format!("the project {project:?} still has entities: {}", left.join(", "));
        Err(EngineError::new(FailureKind::Conflict, message).with_code("in_use"))
    }

    /// The uploads of a project, all of which have ended; refused while there are others, or images.
    async fn uploads_without_images(&self, project: &str) -> Result<Vec<(Arc<dyn Images>, Uuid)>> {
        let scope = Scope {
            project: project.to_owned(),
        };
        let (mut own, mut open, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for carrier in &self.carriers {
            // The uploads first: one that ends now is an image then.
            if let Some(images) = carrier.backend.images() {
                for upload in images.uploads(&scope).await? {
                    match upload.state {
                        UploadState::Receiving => open.push(upload.new.id.to_string()),
                        UploadState::Ready(_) | UploadState::Refused(_) => ended.push((images.clone(), upload.new.id)),
                    }
                }
            }
            let templates = carrier.backend.catalogue(&scope).await?.templates.into_iter();
            let of_project = templates.filter(|template| template.project.as_deref() == Some(project));
            own.extend(of_project.map(|template| template.term.to_string()));
        }
        let left: Vec<_> = [
            ("image", "DELETE of its category on /-/", own),
            ("open upload", "DELETE on /-/upload/ID", open),
        ]
        .into_iter()
        .filter(|(_, _, names)| !names.is_empty())
        .map(|(what, how, names)| {
            let plural = if names.len() == 1 { "" } else { "s" };
            format!(
                "{} {what}{plural} ({}), removed by {how}",
                names.len(),
                names.join(", ")
            )
        })
        .collect();
        if left.is_empty() {
            return Ok(ended);
        }
        let message = format!("the project {project:?} still has {}", left.join(", and "));
        Err(EngineError::new(FailureKind::Conflict, message).with_code("in_use"))
    }
}
