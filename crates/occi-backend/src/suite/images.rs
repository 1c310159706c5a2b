//! Images come and go whole.

use super::lab::{End, Lab, Verdict, ensure, refused, target};
use crate::names::COMPUTE;
use crate::{ErrorKind, Images, NewUpload, Sha256, UploadState};
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// A disk that could boot, in the format that every engine knows.
fn disk() -> Bytes {
    let mut bytes = vec![0; 64 << 10];
    if let Some(end) = bytes.get_mut(510..512) {
        end.copy_from_slice(&[0x55, 0xAA]);
    }
    bytes.into()
}

fn new(length: usize) -> NewUpload {
    NewUpload {
        id: Uuid::new_v4(),
        owner: "ann".to_owned(),
        name: "Brought here".to_owned(),
        title: None,
        length: u64::try_from(length).ok(),
        sha256: None,
        default_user: None,
        ssh: None,
        min_memory_mib: None,
    }
}

fn images(lab: &Lab) -> Verdict<Arc<dyn Images>> {
    let images = lab.backend.images();
    ensure!(
        images.is_some() == lab.backend.capabilities().images,
        "images are declared or given, and not both"
    );
    images.ok_or_else(|| End::Skip("no images are declared".to_owned()))
}

/// What is brought in parts becomes a template once, is given away as it was, and is removed as a saved one.
pub(super) async fn an_image_comes_in_parts_and_goes_whole(lab: &Lab) -> Verdict {
    let images = images(lab)?;
    let bytes = disk();
    let new = new(bytes.len());
    let scope = lab.scope();
    for _again in 0..2 {
        images.begin(&scope, &new).await?;
    }
    let half = bytes.len() / 2;
    let mut first = images.append(new.id).await?;
    first.write(bytes.slice(..half)).await?;
    let there = first.sync().await?;
    ensure!(there == half as u64, "of {half} bytes {there} are there");
    refused(
        "adding at the same time",
        images.append(new.id).await.map(drop),
        ErrorKind::RateLimited,
    )?;
    // What is not made durable may be lost.
    drop(first);
    refused(
        "ending what is not whole",
        images.finish(new.id, None).await,
        ErrorKind::Conflict,
    )?;
    let mut second = images.append(new.id).await?;
    ensure!(
        second.offset() == there,
        "it goes on at {} instead of {there}",
        second.offset()
    );
    second.announce(bytes.len() as u64).await?;
    for other in [bytes.len() + 1, half - 1] {
        refused(
            "another length",
            second.announce(other as u64).await,
            ErrorKind::Invalid,
        )?;
    }
    let beyond = second.write(bytes.clone()).await;
    refused("more than its length", beyond, ErrorKind::Invalid)?;
    second.write(bytes.slice(half..)).await?;
    second.sync().await?;
    drop(second);
    let image = images.finish(new.id, None).await?;
    let again = images.finish(new.id, None).await?;
    ensure!(image == again, "ended twice it is {again:?} and was {image:?}");
    let term = &image.template.term;
    ensure!(
        image.template.project.as_deref() == Some(scope.project.as_str()),
        "the image is not the project's own: {image:?}"
    );
    let upload = images.upload(new.id).await?;
    ensure!(
        upload.is_some_and(|upload| upload.state == UploadState::Ready(term.clone())),
        "it is not remembered what the upload has become"
    );
    refused(
        "adding to what has ended",
        images.append(new.id).await.map(drop),
        ErrorKind::Conflict,
    )?;

    let templates = lab.backend.catalogue(&scope).await?.templates;
    let same = templates.iter().filter(|template| template.term == *term);
    ensure!(same.count() == 1, "the catalogue does not hold {term} once");
    ensure!(
        images.images(&scope).await?.contains(&image),
        "{term} is not among the images"
    );
    let other = lab.next_door();
    ensure!(
        images.open(&other.scope(), term).await?.is_none(),
        "another project opens {term}"
    );
    let Some((_, mut given)) = images.open(&scope, term).await? else {
        return Err(End::Fail(format!("{term} cannot be opened")));
    };
    let mut all = Vec::new();
    loop {
        let piece = given.read(all.len() as u64, 10_000).await?;
        if piece.is_empty() {
            break;
        }
        all.extend_from_slice(&piece);
    }
    ensure!(all == bytes, "what is given is not what was brought");
    let mut create = lab.resource(&COMPUTE).await?;
    create.os_template = Some(term.clone());
    lab.backend.admit(&scope, &create).await?;
    create.bring_up = false;
    lab.create(&create).await?;
    refused(
        "a removal while in use",
        lab.backend.remove_template(&scope, term).await,
        ErrorKind::InUse,
    )?;
    lab.delete(&target(&create)).await?;
    for _again in 0..2 {
        lab.backend.remove_template(&scope, term).await?;
    }
    ensure!(
        images.open(&scope, term).await?.is_none(),
        "{term} was removed and is there"
    );
    for _again in 0..2 {
        images.abandon(new.id).await?;
    }
    ensure!(images.upload(new.id).await?.is_none(), "an abandoned upload is there");
    refused(
        "adding to nothing",
        images.append(new.id).await.map(drop),
        ErrorKind::NotFound,
    )
}

/// What is not what was said, or no disk, is refused with a reason that is remembered, and nothing is left of it.
pub(super) async fn what_is_no_image_becomes_none(lab: &Lab) -> Verdict {
    let images = images(lab)?;
    let scope = lab.scope();
    let before = lab.backend.catalogue(&scope).await?;
    let other = Some(Sha256([7; 32]));
    let no_disk = Bytes::from_static(b"no disk at all, and not even a sector");
    for (bytes, said) in [(disk(), other), (no_disk, None)] {
        let new = new(bytes.len());
        images.begin(&scope, &new).await?;
        let mut append = images.append(new.id).await?;
        append.write(bytes).await?;
        append.sync().await?;
        drop(append);
        for _again in 0..2 {
            refused("no image", images.finish(new.id, said).await, ErrorKind::Invalid)?;
        }
        let upload = images.upload(new.id).await?;
        ensure!(
            upload.is_some_and(|upload| matches!(upload.state, UploadState::Refused(reason) if !reason.is_empty())),
            "it is not remembered why"
        );
        images.abandon(new.id).await?;
    }
    let after = lab.backend.catalogue(&scope).await?;
    ensure!(before == after, "the catalogue was {before:?} and is {after:?}");
    Ok(())
}
