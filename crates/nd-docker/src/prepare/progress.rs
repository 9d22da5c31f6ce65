//! How far a pull is, from the engine's messages about single layers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One message of the engine about a pull.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullMessage {
    id: Option<String>,
    status: Option<String>,
    #[serde(rename = "progressDetail")]
    detail: Option<Detail>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<i64>,
    total: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    message: Option<String>,
}

impl PullMessage {
    /// Why the pull failed, if it did.
    pub(super) fn failure(&self) -> Option<&str> {
        self.error_detail.as_ref().and_then(|detail| detail.message.as_deref()).or(self.error.as_deref())
    }
}

/// The layers of an image that is being pulled.
#[derive(Debug, Default)]
pub(super) struct PullProgress {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    done: bool,
    current: u64,
    total: u64,
}

impl PullProgress {
    /// Takes in one message; says whether it was about a layer.
    pub(super) fn update(&mut self, message: &PullMessage) -> bool {
        let (Some(id), Some(status)) = (&message.id, &message.status) else { return false };
        // The first message names the tag in the place of a layer.
        if status.starts_with("Pulling from") {
            return false;
        }
        let layer = self.layers.entry(id.clone()).or_default();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        match status.as_str() {
            "Downloading" => {
                let detail = message.detail.as_ref();
                layer.current = detail.and_then(|detail| number(detail.current)).unwrap_or(layer.current);
                layer.total = detail.and_then(|detail| number(detail.total)).unwrap_or(layer.total);
            }
            "Download complete" => layer.current = layer.total,
            "Pull complete" | "Already exists" => {
                layer.current = layer.total;
                layer.done = true;
            }
            _ => {}
        }
        true
    }

    /// `3 of 7 layers, 18.2 of 212.0 MB`.
    pub(super) fn text(&self) -> String {
        let done = self.layers.values().filter(|layer| layer.done).count();
        let sum = |part: fn(&Layer) -> u64| self.layers.values().map(part).fold(0, u64::saturating_add);
        let (current, total) = (sum(|layer| layer.current), sum(|layer| layer.total));
        let layers = format!("{done} of {} layers", self.layers.len());
        if total == 0 {
            return layers;
        }
        format!("{layers}, {:.1} of {:.1} MB", megabytes(current), megabytes(total))
    }
}

/// Decimal megabytes, as registries count.
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(json: &str) -> PullMessage {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn progress_is_counted_over_all_layers() {
        let mut progress = PullProgress::default();
        assert!(!progress.update(&message(r#"{"status":"Pulling from library/node","id":"22"}"#)));
        for json in [
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a"}"#,
            r#"{"status":"Already exists","progressDetail":{},"id":"b"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1500000,"total":3000000},"id":"a"}"#,
        ] {
            assert!(progress.update(&message(json)));
        }
        assert_eq!(progress.text(), "1 of 2 layers, 1.5 of 3.0 MB");
        progress.update(&message(r#"{"status":"Pull complete","id":"a"}"#));
        assert_eq!(progress.text(), "2 of 2 layers, 3.0 of 3.0 MB");
    }

    #[test]
    fn a_failure_comes_with_the_last_message() {
        let failed = message(r#"{"errorDetail":{"message":"no space left on device"},"error":"x"}"#);
        assert_eq!(failed.failure(), Some("no space left on device"));
        assert_eq!(message(r#"{"error":"x"}"#).failure(), Some("x"));
        assert_eq!(message(r#"{"status":"y"}"#).failure(), None);
    }

    proptest! {
        #[test]
        fn no_message_breaks_the_count(status in ".{0,20}", current in any::<i64>(), total in any::<i64>()) {
            let mut progress = PullProgress::default();
            for status in [status.as_str(), "Downloading"] {
                let detail = Detail { current: Some(current), total: Some(total) };
                progress.update(&PullMessage {
                    id: Some("a".to_owned()),
                    status: Some(status.to_owned()),
                    detail: Some(detail),
                    ..PullMessage::default()
                });
            }
            prop_assert!(!progress.text().is_empty());
        }
    }
}
