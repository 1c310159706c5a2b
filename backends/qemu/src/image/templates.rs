//! Images as OS templates.

use crate::error::{Failure, refuse};
use crate::image::{Format, Image};
use crate::site::{SAVED, Site};
use crate::translate::gib;
use occi_backend::{Catalogue, ErrorKind, ImageFormat, Result, Template, TemplateKind};
use occi_model::Attributes;
use std::os::unix::fs::MetadataExt;

pub(crate) fn catalogue(site: &Site, project: &str) -> Catalogue {
    let images = site.images(project);
    Catalogue {
        default_os: site.default_image(&images).map(|image| image.term.clone()),
        templates: images.images.iter().map(template).collect(),
    }
}

pub(crate) fn template(image: &Image) -> Template {
    Template {
        kind: TemplateKind::Os,
        term: image.term.clone(),
        title: image.title(),
        defaults: Attributes::new(),
        min_memory_gib: Some(gib(image.min_memory_mib())),
        project: image.description.project.clone(),
    }
}

/// The image as those see it who take it away; nothing if it has gone.
pub(crate) fn image(image: &Image) -> Option<occi_backend::Image> {
    let meta = std::fs::metadata(&image.path).ok()?;
    Some(occi_backend::Image {
        template: template(image),
        format: match image.header.format {
            Format::Qcow2 => ImageFormat::Qcow2,
            Format::Raw => ImageFormat::Raw,
        },
        size: meta.len(),
        disk_size: image.header.size,
        sha256: image.description.sha256.as_ref().and_then(|sha256| sha256.parse().ok()),
        version: format!(
            "{:x}-{:x}-{:x}-{:x}",
            meta.ino(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
    })
}

/// Removes an image that `save` has made for `project`. For [`Site::place`]: nobody makes a machine of it meanwhile.
pub(crate) fn remove(site: &Site, project: &str, term: &str) -> Result<()> {
    let images = site.images(project);
    let Some(image) = images.get(term) else {
        return Ok(());
    };
    let is_saved = image.path.starts_with(site.config.directory.join(SAVED));
    if !is_saved || image.description.project.as_deref() != Some(project) {
        return refuse(
            ErrorKind::Forbidden,
            format!("the image {term} is not the project's own"),
        );
    }
    let of_it = site.machines().into_iter().find(|machine| {
        let record = machine.record.get();
        record.project == project && record.template == term
    });
    if let Some(machine) = of_it {
        return refuse(
            ErrorKind::InUse,
            format!("the compute {} was made of the image {term}", machine.id),
        );
    }
    // The image first: without what is said of it, it would be everybody's.
    for file in [image.path.clone(), image.path.with_extension("toml")] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::host("remove a saved image")(error).into());
            }
            _ => {}
        }
    }
    Ok(())
}
