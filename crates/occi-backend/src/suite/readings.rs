//! What is read without making anything.

use super::lab::{Lab, Verdict, ensure, refused};
use crate::names::NETWORK;
use crate::{ErrorKind, TemplateKind};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// The catalogue names each template once, and its default is one of them.
pub(super) async fn the_catalogue_is_consistent(lab: &Lab) -> Verdict {
    let catalogue = lab.backend.catalogue(&lab.scope()).await?;
    let mut seen = HashSet::new();
    for template in &catalogue.templates {
        ensure!(
            seen.insert((template.kind, template.term.clone())),
            "the catalogue has two templates {}",
            template.term
        );
        ensure!(
            !template.title.is_empty(),
            "the template {} has no title",
            template.term
        );
        let visible = template
            .project
            .as_ref()
            .is_none_or(|project| *project == lab.config.project);
        ensure!(visible, "the catalogue shows {} of another project", template.term);
    }
    if let Some(default) = catalogue.default_os {
        ensure!(
            seen.contains(&(TemplateKind::Os, default.clone())),
            "the default {default} is not in the catalogue"
        );
    }
    Ok(())
}

/// Health is told within a second.
pub(super) async fn health_is_told_quickly(lab: &Lab) -> Verdict {
    let start = Instant::now();
    lab.backend.health().await?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(1), "health took {took:?}");
    Ok(())
}

/// An engine that tells its projects tells each once, and those in which there is something; another one says no.
pub(super) async fn projects_are_told_as_declared(lab: &Lab) -> Verdict {
    if !lab.backend.capabilities().lists_projects {
        return refused("to tell projects", lab.backend.projects().await, ErrorKind::Unsupported);
    }
    let made = lab.resource(&NETWORK).await?;
    lab.create(&made).await?;
    let projects = lab.backend.projects().await?;
    let own = projects.iter().filter(|project| **project == lab.config.project);
    ensure!(own.count() == 1, "the projects do not name ours once: {projects:?}");
    Ok(())
}

/// Every declared kind can be listed, and listings name each object once.
pub(super) async fn every_declared_kind_is_listed(lab: &Lab) -> Verdict {
    for capability in &lab.backend.capabilities().kinds {
        let listing = lab.backend.list(&lab.scope(), &capability.kind).await?;
        let mut seen = HashSet::new();
        for picture in listing.pictures {
            ensure!(
                picture.kind == capability.kind,
                "a listing holds a {}",
                picture.kind.term()
            );
            ensure!(
                seen.insert(picture.native_id.clone()),
                "a listing of {} shows {} twice",
                picture.kind.term(),
                picture.native_id
            );
        }
    }
    Ok(())
}
