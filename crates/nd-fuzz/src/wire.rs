//! Bodies of the API.

use nd_api::v1::{DeployBody, EventView, LogLine, Problem, RollbackBody, ScaleBody};
use nd_api::{Manifest, flat};
use nd_config::{Workload, manifest_from_json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A body is refused or understood, by either end of the wire; one that is understood is sent on as the same one.
pub(crate) fn api(bytes: &[u8]) {
    understood::<flat::DeployRequest>(bytes);
    understood::<flat::AppSelector>(bytes);
    understood::<DeployBody>(bytes);
    understood::<ScaleBody>(bytes);
    understood::<RollbackBody>(bytes);
    understood::<Manifest>(bytes);
    understood::<Problem>(bytes);
    readable::<LogLine>(bytes);
    readable::<EventView>(bytes);
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    match manifest_from_json(&value, Workload::Optional) {
        Err(report) => assert!(report.has_errors() && !report.to_field_errors().is_empty()),
        Ok(checked) => {
            let sent = serde_json::to_value(&checked.manifest).unwrap_or_default();
            let again = manifest_from_json(&sent, Workload::Optional).map(|again| again.manifest);
            assert_eq!(again.as_ref(), Ok(&checked.manifest), "as it was sent: {sent}");
        }
    }
}

/// What holds free values is read again, if not to the last digit of a long fraction.
fn readable<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let again = serde_json::to_vec(&value).and_then(|sent| serde_json::from_slice::<T>(&sent));
    assert!(again.is_ok(), "a body that was read is not read again");
}

fn understood<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let sent = serde_json::to_string(&value).unwrap_or_default();
    let again = serde_json::from_str::<T>(&sent).and_then(|again| serde_json::to_string(&again));
    assert_eq!(again.ok(), Some(sent), "a body changes on its way");
}
