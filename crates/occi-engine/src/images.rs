//! Images that clients bring and take away.
//!
//! An image is an OS template of the project that brought it: a mixin, seen and removed as what `save` makes. Until it is one
//! it is an upload, which is nobody's but that of who began it.

use crate::carrier::Carrier;
use crate::engine::{Engine, Inner};
use crate::plan::{Request, lost_key};
use crate::{Caller, EngineError, FailureKind, Result, policy};
use occi_backend::{
    Append, BackendError, ErrorKind, Image, Images, NewUpload, ReadImage, Scope, Sha256, TemplateKind, Upload,
};
use occi_model::{Term, TypeId};
use occi_store::{Commit, Refused, StoreError, Write};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// An image as a project has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectImage {
    /// The mixin that it is.
    pub mixin: TypeId,
    /// The backend that has it.
    pub backend: String,
    /// What the backend says of it.
    pub image: Image,
}

impl Engine {
    /// The images of the caller's project and those of everybody.
    ///
    /// # Errors
    /// `Unsupported`: no backend gives images.
    pub async fn images(&self, caller: &Caller) -> Result<Vec<ProjectImage>> {
        let inner = &self.inner;
        policy::may_enter(caller)?;
        let scope = scope(caller.effective_project());
        let mut all = Vec::new();
        for (carrier, images) in inner.shelves()? {
            let found = images.images(&scope).await?.into_iter();
            all.extend(found.map(|image| inner.image_of(carrier, image)));
        }
        Ok(all)
    }

    /// An image with its bytes, by the term of its mixin.
    ///
    /// # Errors
    /// `NotFound`. `Unsupported`: its backend does not give it away.
    pub async fn open_image(&self, caller: &Caller, term: &Term) -> Result<(ProjectImage, Box<dyn ReadImage>)> {
        let inner = &self.inner;
        let missing = || EngineError::new(FailureKind::NotFound, format!("there is no image {term}"));
        let model = inner.model_for(caller).await?;
        let offer = model.templates.get(&inner.template_id(TemplateKind::Os, term));
        let carrier = &inner.carriers[offer.ok_or_else(missing)?.carrier];
        let images = carrier.backend.images().ok_or_else(|| nobody(&carrier.name))?;
        let opened = images.open(&scope(caller.effective_project()), term).await?;
        let (image, bytes) = opened.ok_or_else(missing)?;
        Ok((inner.image_of(carrier, image), bytes))
    }

    /// Begins an upload in the caller's project. Its owner is the caller, whatever `new` says. One that was begun with the
    /// caller's idempotency key is that one, as it is now.
    ///
    /// # Errors
    /// `Unsupported`: no backend takes images. `QuotaExceeded`: too many uploads have not ended. `Full`: no room.
    /// `KeyReused`.
    pub async fn begin_upload(&self, caller: &Caller, new: NewUpload) -> Result<Upload> {
        let inner = &self.inner;
        let project = caller.effective_project();
        policy::may_change(caller, project)?;
        let (carrier, images) = inner.shelves()?.swap_remove(0);
        carrier.require_up().await?;
        let new = NewUpload {
            owner: caller.principal.name.clone(),
            ..new
        };
        let (engine, caller) = (self.clone(), caller.clone());
        let beginning = inner.tasks.spawn(async move {
            let project = caller.effective_project();
            let _it_stays = engine.inner.removals.read().await;
            if engine.inner.store.project(project).await?.is_none() {
                return Err(policy::no_project(project));
            }
            // Recorded first: whoever repeats this after a crash names the same upload, and to begin it again changes nothing.
            let id = engine.inner.upload_id(&caller, new.id).await?;
            let new = NewUpload { id, ..new };
            let begun = images.begin(&scope(project), &new).await.map_err(of_bytes);
            let note = Note {
                caller: &caller,
                project,
                verb: "begin upload",
                detail: new.name,
            };
            engine.inner.note(note, &begun, Vec::new()).await?;
            begun?;
            images.upload(new.id).await?.ok_or_else(|| no_upload(new.id))
        });
        beginning.await.map_err(EngineError::internal)?
    }

    /// The caller's uploads in its project, also those that ended lately; an operator's view has those of everybody.
    ///
    /// # Errors
    /// `Unsupported`: no backend takes images.
    pub async fn uploads(&self, caller: &Caller) -> Result<Vec<Upload>> {
        policy::may_enter(caller)?;
        let scope = scope(caller.effective_project());
        let mut all = Vec::new();
        for (_, images) in self.inner.shelves()? {
            all.extend(images.uploads(&scope).await?);
        }
        all.retain(|upload| is_own(caller, upload));
        Ok(all)
    }

    /// An upload.
    ///
    /// # Errors
    /// `NotFound`: also for what somebody else has begun.
    pub async fn upload(&self, caller: &Caller, id: Uuid) -> Result<Upload> {
        Ok(self.inner.upload(caller, id).await?.2)
    }

    /// Adds to an upload.
    ///
    /// # Errors
    /// `NotFound`. `Conflict`: it has ended. `Unavailable`: somebody is at it.
    pub async fn append_to_upload(&self, caller: &Caller, id: Uuid) -> Result<Box<dyn Append>> {
        let (_, images, upload) = self.inner.upload(caller, id).await?;
        policy::may_change(caller, &upload.project)?;
        images.append(id).await.map_err(of_bytes)
    }

    /// Makes an upload a template. Goes on to its end also if the caller goes away.
    ///
    /// # Errors
    /// `Invalid`: it is no image that is taken; its bytes are gone. `Conflict`: it is not whole.
    pub async fn finish_upload(&self, caller: &Caller, id: Uuid, sha256: Option<Sha256>) -> Result<ProjectImage> {
        let (engine, caller) = (self.clone(), caller.clone());
        let finishing = self.inner.tasks.spawn(async move {
            let inner = &engine.inner;
            let (carrier, images, upload) = inner.upload(&caller, id).await?;
            let project = &upload.project;
            policy::may_change(&caller, project)?;
            let finished = images.finish(id, sha256).await.map_err(of_bytes);
            let mut note = Note {
                caller: &caller,
                project,
                verb: "finish upload",
                detail: upload.new.name,
            };
            if let Ok(image) = &finished {
                inner.adopt_template(project, &image.template).await;
                note.detail = format!("{} {} bytes", image.template.term, image.size);
            }
            // Also of one that was ready: it may be repeated because this failed.
            let changed = vec![Write::ModelChanged(Some(project.clone()))];
            inner.note(note, &finished, changed).await?;
            Ok(inner.image_of(carrier, finished?))
        });
        finishing.await.map_err(EngineError::internal)?
    }

    /// Gives an upload up; a template that it has become stays.
    ///
    /// # Errors
    /// `NotFound`. `Unavailable`: somebody is at it.
    pub async fn abandon_upload(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let (engine, caller) = (self.clone(), caller.clone());
        let abandoning = self.inner.tasks.spawn(async move {
            let (_, images, upload) = engine.inner.upload(&caller, id).await?;
            policy::may_change(&caller, &upload.project)?;
            let abandoned = images.abandon(id).await.map_err(EngineError::from);
            let note = Note {
                caller: &caller,
                project: &upload.project,
                verb: "abandon upload",
                detail: upload.new.name,
            };
            engine.inner.note(note, &abandoned, Vec::new()).await?;
            abandoned
        });
        abandoning.await.map_err(EngineError::internal)?
    }
}

impl Inner {
    /// The backends that take and give images, at least one.
    fn shelves(&self) -> Result<Vec<(&Carrier, Arc<dyn Images>)>> {
        let carriers = self.carriers.iter();
        let found: Vec<_> = carriers
            .filter_map(|carrier| Some((carrier, carrier.backend.images()?)))
            .collect();
        if found.is_empty() {
            return Err(nobody(self.carriers.first().map_or("", |carrier| &carrier.name)));
        }
        Ok(found)
    }

    fn image_of(&self, carrier: &Carrier, image: Image) -> ProjectImage {
        ProjectImage {
            mixin: self.template_id(image.template.kind, &image.template.term),
            backend: carrier.name.clone(),
            image,
        }
    }

    /// An upload that the caller may know of, and where it is.
    async fn upload(&self, caller: &Caller, id: Uuid) -> Result<(&Carrier, Arc<dyn Images>, Upload)> {
        for (carrier, images) in self.shelves()? {
            if let Some(upload) = images.upload(id).await?.filter(|upload| is_own(caller, upload)) {
                return Ok((carrier, images, upload));
            }
        }
        Err(no_upload(id))
    }

    /// The id of an upload to begin: `id`, or what the caller's idempotency key stands for already.
    async fn upload_id(&self, caller: &Caller, id: Uuid) -> Result<Uuid> {
        if let Some(known) = self.replay_upload(caller).await? {
            return Ok(known);
        }
        let request = Request {
            caller,
            project: caller.effective_project(),
            verb: "begin upload",
            path: "/-/image/",
            answer: json!({ "upload": id.to_string() }),
        };
        let Some(kept) = self.kept_answer(&request, None) else {
            return Ok(id);
        };
        let commit = Commit {
            writes: vec![kept],
            ..Commit::default()
        };
        match self.commit(commit).await {
            Ok(_) => Ok(id),
            Err(StoreError::Refused(Refused::Repeated(_))) => self.replay_upload(caller).await?.ok_or_else(lost_key),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves an audit record of what was tried, with what is to be written of a success.
    async fn note<T>(&self, note: Note<'_>, tried: &Result<T>, writes: Vec<Write>) -> Result<()> {
        let Note {
            caller,
            project,
            verb,
            detail,
        } = note;
        let request = Request {
            caller,
            project,
            verb,
            path: "/-/image/",
            answer: json!({}),
        };
        let (writes, audit) = match tried {
            Ok(_) => (writes, self.audit(&request, "accepted", &detail)),
            Err(error) => {
                let outcome = match error.kind {
                    FailureKind::Internal | FailureKind::Unavailable | FailureKind::Timeout => "failed",
                    _ => "refused",
                };
                let detail = format!("{detail}: {error}");
                (Vec::new(), self.audit(&request, outcome, &detail))
            }
        };
        let commit = Commit {
            writes,
            audit: vec![audit],
            ..Commit::default()
        };
        self.commit(commit).await?;
        Ok(())
    }
}

/// Who did what, for the audit.
struct Note<'a> {
    caller: &'a Caller,
    project: &'a str,
    verb: &'a str,
    detail: String,
}

fn scope(project: &str) -> Scope {
    Scope {
        project: project.to_owned(),
    }
}

/// Whether the caller has begun it and is still in its project; operators may all.
fn is_own(caller: &Caller, upload: &Upload) -> bool {
    let principal = &caller.principal;
    principal.operator || upload.new.owner == principal.name && principal.role_in(&upload.project).is_some()
}

fn no_upload(id: Uuid) -> EngineError {
    EngineError::new(FailureKind::NotFound, format!("there is no upload {id}"))
}

fn nobody(backend: &str) -> EngineError {
    EngineError::new(
        FailureKind::Unsupported,
        format!("the backend {backend} takes and gives no images"),
    )
}

/// A failure to keep an image's bytes. Bytes that find no room are no service that is busy.
pub fn of_bytes(error: BackendError) -> EngineError {
    let is_full = error.kind == ErrorKind::CapacityExhausted;
    let error = EngineError::from(error);
    match is_full {
        true => EngineError {
            kind: FailureKind::Full,
            ..error
        },
        false => error,
    }
}
