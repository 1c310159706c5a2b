//! What happens in the engine by itself is told.

use super::lab::{End, Lab, Verdict, ensure, lock, state, target};
use crate::Event;
use crate::names::COMPUTE;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A guest that powers itself off is told within a second, after all that happened to it before.
pub(super) async fn a_guest_that_powers_itself_off_is_told(lab: &Lab) -> Verdict {
    if !lab.backend.capabilities().events {
        return Err(End::Skip("no events are declared".to_owned()));
    }
    let Some(power_off) = lab.config.power_off.clone() else {
        return Err(End::Skip(
            "no way was given to make a guest power itself off".to_owned(),
        ));
    };
    let create = lab.resource(&COMPUTE).await?;
    let made = lab.create(&create).await?;
    let Some(native_id) = made.first().map(|picture| picture.native_id.clone()) else {
        return Err(End::Fail("create returns no picture".to_owned()));
    };
    power_off(native_id.clone()).await.map_err(End::Fail)?;
    let until = Instant::now() + Duration::from_secs(1);
    let lifecycle = lab.lifecycle(&COMPUTE)?;
    loop {
        let is_last = Instant::now() >= until;
        let last = lock(&lab.seen).iter().rev().find_map(|(_, event)| match event {
            Event::Changed(picture) if picture.kind == *COMPUTE && picture.native_id == native_id => {
                Some(state(&lifecycle, picture))
            }
            _ => None,
        });
        let last = last.transpose()?;
        if last.as_deref() == Some("inactive") {
            break;
        }
        ensure!(
            !is_last,
            "a second after the guest powered itself off, the last told is {last:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    let found = lab.state(&target(&create)).await?;
    ensure!(
        found == "inactive",
        "a guest that powered itself off is told inactive and found {found}"
    );
    Ok(())
}
