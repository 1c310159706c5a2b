//! The contract, one short method per verb.

use crate::compute::console;
use crate::config::QemuConfig;
use crate::error::Failure;
use crate::host::blocking::blocking;
use crate::image::templates;
use crate::image::upload::Shelf;
use crate::links::{self, id};
use crate::qemu::probe;
use crate::qemu::qemu_img;
use crate::site::{IMAGE_ROUND, Site};
use crate::{capabilities, compute, network, translate, volume};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use occi_backend::{
    Acted, Backend, BackendError, Capabilities, Catalogue, Change, Consoles, Context, Create, ErrorKind, Event, Images,
    Invocation, Listing, Picture, Result, Scope, Target,
};
use occi_model::{Term, TypeId};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long health may wait for the first look at QEMU.
const HEALTH: Duration = Duration::from_millis(500);

/// The embedded engine.
pub struct Qemu {
    site: Arc<Site>,
    capabilities: Capabilities,
    events: Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
}

impl Qemu {
    /// Opens the engine's directory, and begins to attach to what runs. Quick: nothing is waited for.
    ///
    /// # Errors
    /// [`Failure`] if the directory cannot be used, or another server uses it. That QEMU is missing is no error here;
    /// see [`Backend::health`].
    pub fn open(config: QemuConfig) -> std::result::Result<Self, Failure> {
        Self::open_with(config, IMAGE_ROUND)
    }

    fn open_with(config: QemuConfig, image_round: Duration) -> std::result::Result<Self, Failure> {
        config.validate().map_err(|reason| Failure::Record {
            file: "the configuration of the qemu backend".to_owned(),
            reason,
        })?;
        let (site, events) = Site::open(config, image_round)?;
        Ok(Self {
            site,
            capabilities: capabilities::capabilities(),
            events: Mutex::new(Some(events)),
        })
    }

    fn declared(&self, kind: &TypeId) -> Result<&str> {
        match self.capabilities.kind(kind) {
            Some(capability) => Ok(capability.kind.term()),
            None => unsupported(kind),
        }
    }
}

fn unsupported<T>(what: &TypeId) -> Result<T> {
    let message = format!("the qemu backend does not support {what}");
    Err(BackendError::new(ErrorKind::Unsupported, message))
}

fn missing<T>(target: &Target) -> Result<T> {
    let message = format!("there is no {} {}", target.kind.term(), target.mark);
    Err(BackendError::new(ErrorKind::NotFound, message))
}

#[async_trait]
impl Backend for Qemu {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn catalogue(&self, scope: &Scope) -> Result<Catalogue> {
        let (site, project) = (self.site.clone(), scope.project.clone());
        blocking(move || Ok(templates::catalogue(&site, &project))).await
    }

    async fn health(&self) -> Result<()> {
        let is_there = |program: &Path, package| probe::locate(program, package).map(drop);
        is_there(&self.site.config.qemu, probe::PACKAGE)?;
        is_there(&self.site.qemu_img.program, qemu_img::PACKAGE)?;
        // The first look at QEMU, which began at the start, may last; until it is over nothing is known to be wrong.
        match tokio::time::timeout(HEALTH, self.site.host()).await {
            Ok(known) => Ok(known.map(drop)?),
            Err(_not_yet) => Ok(()),
        }
    }

    async fn admit(&self, scope: &Scope, create: &Create) -> Result<()> {
        match self.declared(&create.kind)? {
            "compute" => compute::admit(&self.site, scope, create).await,
            "network" => network::admit(&self.site, create),
            "storage" => volume::admit(&self.site, create),
            _ => links::admit(&self.site, scope, create),
        }
    }

    async fn admit_change(&self, scope: &Scope, target: &Target, change: &Change) -> Result<()> {
        match (
            self.declared(&target.kind)?,
            self.site.machine(id(target)),
            self.site.network(id(target)),
        ) {
            ("compute", Some(machine), _) => compute::admit_change(&self.site, scope, &machine, change).await,
            ("network", _, Some(network)) => network::admit_change(&self.site, &network, change),
            _ => Ok(()),
        }
    }

    async fn projects(&self) -> Result<Vec<String>> {
        let site = &self.site;
        site.settled().await;
        let machines = site.machines().into_iter().map(|one| one.record.get().project.clone());
        let networks = site.networks().into_iter().map(|one| one.record.get().project.clone());
        let volumes = site.volumes().into_iter().map(|one| one.record.get().project.clone());
        let all: BTreeSet<String> = machines.chain(networks).chain(volumes).collect();
        Ok(all.into_iter().collect())
    }

    async fn list(&self, scope: &Scope, kind: &TypeId) -> Result<Listing> {
        let term = self.declared(kind)?;
        let site = &self.site;
        site.settled().await;
        let machines = site.machines();
        let own = machines
            .iter()
            .filter(|machine| machine.record.get().project == scope.project);
        let pictures = match term {
            "compute" => own.map(|machine| translate::machine(machine)).collect(),
            "network" => {
                let networks = site.networks().into_iter();
                let own = networks.filter(|network| network.record.get().project == scope.project);
                own.map(|network| translate::network(&network)).collect()
            }
            "storage" => {
                let volumes = site.volumes().into_iter();
                let own = volumes.filter(|volume| volume.record.get().project == scope.project);
                own.map(|volume| translate::volume(&volume)).collect()
            }
            _ => own
                .flat_map(|machine| translate::machine_and_links(site, machine))
                .filter(|picture| picture.kind == *kind)
                .collect(),
        };
        Ok(Listing {
            pictures,
            complete: true,
        })
    }

    async fn find(&self, scope: &Scope, target: &Target) -> Result<Option<Picture>> {
        let site = &self.site;
        let is_own = |project: &str| project == scope.project;
        match self.declared(&target.kind)? {
            "compute" => match site.machine(id(target)) {
                Some(machine) if is_own(&machine.record.get().project) => {
                    machine.look().await?;
                    Ok(Some(translate::machine(&machine)))
                }
                _ => Ok(None),
            },
            "network" => {
                let found = site
                    .network(id(target))
                    .filter(|network| is_own(&network.record.get().project));
                Ok(found.map(|network| translate::network(&network)))
            }
            "storage" => {
                let found = site
                    .volume(id(target))
                    .filter(|volume| is_own(&volume.record.get().project));
                Ok(found.map(|volume| translate::volume(&volume)))
            }
            _ => match links::find(site, id(target)) {
                Some((machine, link)) if is_own(&machine.record.get().project) => {
                    machine.look().await?;
                    let picture = links::picture(site, &machine, &link);
                    Ok(Some(picture).filter(|picture| picture.kind == target.kind))
                }
                _ => Ok(None),
            },
        }
    }

    async fn create(&self, context: &Context, create: &Create) -> Result<Vec<Picture>> {
        match self.declared(&create.kind)? {
            "compute" => compute::create(&self.site, context, create).await,
            "network" => network::create(&self.site, context, create).await,
            "storage" => volume::create(&self.site, context, create).await,
            _ => links::create(&self.site, context, create).await,
        }
    }

    async fn update(&self, context: &Context, target: &Target, change: &Change) -> Result<Vec<Picture>> {
        let site = &self.site;
        match self.declared(&target.kind)? {
            "compute" => match site.machine(id(target)) {
                Some(machine) => compute::update(site, context, &machine, change).await,
                None => missing(target),
            },
            "network" => match site.network(id(target)) {
                Some(network) => network::update(site, context, &network, change).await,
                None => missing(target),
            },
            "storage" => match site.volume(id(target)) {
                Some(volume) => volume::update(site, context, &volume, change).await,
                None => missing(target),
            },
            _ => unsupported(&target.kind),
        }
    }

    async fn act(&self, context: &Context, target: &Target, invocation: &Invocation) -> Result<Acted> {
        self.declared(&target.kind)?;
        let capability = self.capabilities.kind(&target.kind);
        if capability
            .and_then(|capability| capability.action(&invocation.action))
            .is_none()
        {
            return unsupported(&invocation.action);
        }
        match target.kind.term() {
            "compute" => match self.site.machine(id(target)) {
                Some(machine) => compute::act(&self.site, context, &machine, invocation).await,
                None => missing(target),
            },
            "network" => match self.site.network(id(target)) {
                Some(network) => network::act(&self.site, context, &network, invocation).await,
                None => missing(target),
            },
            "storage" => match self.site.volume(id(target)) {
                Some(volume) => volume::act(&self.site, context, &volume, invocation).await,
                None => missing(target),
            },
            _ => links::act(&self.site, context, id(target), invocation).await,
        }
    }

    async fn delete(&self, context: &Context, target: &Target) -> Result<()> {
        let kind = self.declared(&target.kind)?;
        // What a create that was cut off began to record it records in full: then we see it.
        drop(self.site.placing.lock().await);
        match kind {
            "compute" => compute::delete(&self.site, context, id(target)).await,
            "network" => network::delete(&self.site, context, id(target)).await,
            "storage" => volume::delete(&self.site, context, id(target)).await,
            _ => links::delete(&self.site, context, id(target)).await,
        }
    }

    async fn remove_template(&self, scope: &Scope, term: &Term) -> Result<()> {
        let (project, term) = (scope.project.clone(), term.clone());
        self.site
            .place(move |site| templates::remove(site, &project, term.as_str()))
            .await
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        Some(Arc::new(Shelf(self.site.clone())))
    }

    fn consoles(&self) -> Option<Arc<dyn Consoles>> {
        Some(Arc::new(console::Consoles(self.site.clone())))
    }

    fn events(&self) -> Option<BoxStream<'static, Event>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(stream::unfold(events, async |mut events| Some((events.recv().await?, events))).boxed())
    }

    async fn shutdown(&self) {
        self.site.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
    use std::fs::{self, File, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;

    #[test]
    fn reading_images_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let images = directory.path().join("images");
        fs::create_dir(&images).unwrap();
        let image = images.join("slow.img");
        fs::write(&image, [0; 512]).unwrap();
        fs::set_permissions(&image, Permissions::from_mode(0o444)).unwrap();
        // Whoever reads its description waits until somebody writes it.
        let pipe = images.join("slow.toml");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let config = QemuConfig {
            images: vec![images],
            ..QemuConfig::new(directory.path())
        };
        let (alive, is_alive) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            let lives = is_alive.recv_timeout(Duration::from_secs(5)).is_ok();
            // Until nobody asks any more.
            while is_alive.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                if let Ok(pipe) = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
                    File::from(pipe).write_all(b"# slow\n").unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            lives
        });
        let scope = Scope {
            project: "lab".to_owned(),
        };
        let catalogue = runtime.block_on(async {
            let qemu = Qemu::open(config).unwrap();
            let (catalogue, ()) = tokio::join!(qemu.catalogue(&scope), async { alive.send(()).unwrap() });
            qemu.shutdown().await;
            catalogue.unwrap()
        });
        // Waits for whoever is still reading.
        drop(runtime);
        drop(alive);
        assert!(writer.join().unwrap(), "nothing else went on while images were read");
        assert_eq!(catalogue.templates.len(), 1);
    }

    #[tokio::test]
    async fn an_image_that_comes_or_goes_is_told() {
        const ROUND: Duration = Duration::from_millis(1);
        let directory = tempfile::tempdir().unwrap();
        let images = directory.path().join("images");
        let config = QemuConfig {
            images: vec![images.clone()],
            ..QemuConfig::new(directory.path())
        };
        let qemu = Qemu::open_with(config, ROUND).unwrap();
        let mut events = qemu.events().unwrap();
        fs::create_dir(&images).unwrap();
        // What is there at the first look is not told.
        let come = async {
            for number in 0.. {
                let new = directory.path().join("new");
                fs::write(&new, [0; 512]).unwrap();
                fs::set_permissions(&new, Permissions::from_mode(0o444)).unwrap();
                fs::rename(&new, images.join(format!("{number}.img"))).unwrap();
                tokio::time::sleep(ROUND).await;
            }
        };
        tokio::select! {
            event = events.next() => assert!(matches!(event, Some(Event::Catalogue))),
            () = come => {}
        }
        // The last of them may be told for themselves.
        while tokio::time::timeout(50 * ROUND, events.next()).await.is_ok() {}
        fs::remove_dir_all(&images).unwrap();
        assert!(matches!(events.next().await, Some(Event::Catalogue)));
    }
}
