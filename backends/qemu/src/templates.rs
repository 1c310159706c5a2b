//! Images as OS templates.

use crate::image::Image;
use crate::site::Site;
use crate::translate::gib;
use occi_backend::{Catalogue, Template, TemplateKind};
use occi_model::Attributes;

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
