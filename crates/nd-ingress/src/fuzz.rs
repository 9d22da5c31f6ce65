//! Doors for `nd-fuzz`: bytes as one of our processes may send them to another. Each panics where a promise is broken.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::message::{Reply, Request, ToHolder, ToWorker};

/// A message is refused or understood; one that is understood is passed on as the same one.
pub fn control(bytes: &[u8]) {
    understood::<Request>(bytes);
    understood::<Reply>(bytes);
    understood::<ToHolder>(bytes);
    understood::<ToWorker>(bytes);
}

fn understood<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let sent = serde_json::to_string(&message).unwrap_or_default();
    let again = serde_json::from_str::<T>(&sent).and_then(|again| serde_json::to_string(&again));
    assert_eq!(again.ok(), Some(sent), "a message changes on its way");
}
