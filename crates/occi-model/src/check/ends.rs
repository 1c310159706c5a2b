//! Links and what they join.

use super::Violation;
use crate::infrastructure::canonical_path;
use crate::{Class, Entity, EntityDraft, Kind, LinkDraft, LinkEnd, Registry, Shape, TypeId, ValueType, core};

impl Registry {
    /// Checks that a link of `kind` may join these kinds, as far as they are known. Descendants count: an
    /// `ipreservation` is a network.
    pub fn check_ends(&self, kind: &TypeId, source: Option<&TypeId>, target: Option<&TypeId>) -> Result<(), Violation> {
        self.check_ends_at(kind, source, target, "")
    }

    pub(super) fn check_ends_at(
        &self,
        link: &TypeId,
        source: Option<&TypeId>,
        target: Option<&TypeId>,
        at: &str,
    ) -> Result<(), Violation> {
        let rows = &self.rows().kinds;
        let ends = self
            .lineage(link.as_str())
            .find_map(|kind| rows.get(kind.id.as_str())?.ends);
        let (source_root, target_root) =
            ends.map_or((core::RESOURCE, core::RESOURCE), |ends| (ends.source, ends.target));
        for (end, kind, root) in [("source", source, source_root), ("target", target, target_root)] {
            if let Some(kind) = kind.filter(|kind| self.kind(kind.as_str()).is_some())
                && !self.descends_from(kind.as_str(), root)
            {
                let (_, expected) = root.split_once('#').unwrap_or_default();
                return Err(Violation::invalid(
                    format!("{at}{end}"),
                    format!(
                        "the {end} of a {} must be a {expected}, not a {}",
                        link.term(),
                        kind.term()
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn source(&self, draft: &EntityDraft, link: &Kind) -> Result<LinkEnd, Violation> {
        let Some(source) = &draft.source else {
            return Err(Violation::invalid(
                "source",
                format!("a {} needs a source: the path of a resource", link.id.term()),
            ));
        };
        let source = self.end(source, None, "source")?;
        if !source.location.starts_with('/') {
            return Err(Violation::invalid(
                "source",
                format!("the source of a {} must be a resource of this service", link.id.term()),
            ));
        }
        self.check_ends_at(&link.id, source.kind.as_ref(), None, "")?;
        Ok(source)
    }

    /// The target that a draft names; `current` stands in for what it leaves out.
    pub(super) fn target(
        &self,
        draft: &EntityDraft,
        link: &Kind,
        current: Option<&LinkEnd>,
        at: &str,
    ) -> Result<LinkEnd, Violation> {
        let path = format!("{at}target");
        let only_kind = current.filter(|_| draft.target_kind.is_some());
        let Some(location) = draft
            .target
            .as_ref()
            .or_else(|| only_kind.map(|current| &current.location))
        else {
            return Err(Violation::invalid(
                path,
                format!("a {} needs a target: a path or an absolute URI", link.id.term()),
            ));
        };
        let mut target = self.end(location, draft.target_kind.as_ref(), &path)?;
        if let Some(current) = current
            && target.location == current.location
            && target.kind.is_none()
        {
            target.kind.clone_from(&current.kind);
        }
        self.check_ends_at(&link.id, None, target.kind.as_ref(), at)?;
        Ok(target)
    }

    /// One end of a link. The kind is what the location says, else what the client says.
    pub(super) fn end(&self, location: &str, claimed: Option<&TypeId>, path: &str) -> Result<LinkEnd, Violation> {
        let malformed = || Violation::invalid(path, "must be a path of this service or an absolute URI");
        if ValueType::Uri.check(&location.into()).is_none() || location.contains("?action=") {
            return Err(malformed());
        }
        let claimed = claimed.map(|kind| {
            let known = self.resolve_id(kind, Some(Class::Kind));
            known.map_or_else(|_| kind.clone(), |known| known.id().clone())
        });
        if !location.starts_with('/') {
            if url::Url::parse(location).is_err() {
                return Err(malformed());
            }
            return Ok(LinkEnd {
                location: location.to_owned(),
                kind: claimed,
            });
        }
        let location = canonical_path(location).trim_end_matches('/').to_owned();
        let Some((collection, _)) = location.rsplit_once('/') else {
            return Err(malformed());
        };
        let kind = match self.at_location(&format!("{collection}/")) {
            Some(crate::Category::Kind(kind)) => Some(kind.id.clone()),
            _ => None,
        };
        if let (Some(kind), Some(claimed)) = (&kind, &claimed)
            && !self.descends_from(kind.as_str(), claimed.as_str())
        {
            return Err(Violation::invalid(
                path,
                format!("{location} is a {}, not a {}", kind.term(), claimed.term()),
            ));
        }
        Ok(LinkEnd {
            location,
            kind: kind.or(claimed),
        })
    }

    /// Whether a link of a replacement is one that the entity has: by `self`, or by kind and target.
    pub(super) fn is_known(&self, link: &LinkDraft, known: &Entity) -> bool {
        let Shape::Link { target, .. } = &known.shape else {
            return false;
        };
        let same_kind = link.entity.kind.as_ref().is_none_or(|kind| {
            self.resolve_id(kind, Some(Class::Kind))
                .is_ok_and(|kind| *kind.id() == known.kind)
        });
        let same_target = link
            .entity
            .target
            .as_ref()
            .is_some_and(|location| canonical_path(location).trim_end_matches('/') == target.location);
        is_own_location(link, known) || (same_kind && same_target)
    }
}

pub(super) fn refuse_links(draft: &EntityDraft, kind: &Kind) -> Result<(), Violation> {
    if draft.links.is_empty() {
        return Ok(());
    }
    Err(Violation::invalid(
        "links",
        format!("a {} is a link and has no links of its own", kind.id.term()),
    ))
}

pub(super) fn refuse_ends(draft: &EntityDraft, kind: &Kind) -> Result<(), Violation> {
    let end = match draft {
        EntityDraft { source: Some(_), .. } => "source",
        EntityDraft { target: Some(_), .. } => "target",
        EntityDraft {
            target_kind: Some(_), ..
        } => "target",
        _ => return Ok(()),
    };
    Err(Violation::invalid(
        end,
        format!("a {} is a resource and has no {end}", kind.id.term()),
    ))
}

pub(super) fn is_own_location(link: &LinkDraft, known: &Entity) -> bool {
    link.own_location
        .as_ref()
        .is_some_and(|location| canonical_path(location).trim_end_matches('/') == known.location)
}
