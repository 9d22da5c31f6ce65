//! Events.

use nd_api::v1::{EventView, Severity};
use nd_core::events::{Severity as CoreSeverity, StoredEvent};

/// An event as `/api/v1` shows it.
pub(crate) fn event_view(event: &StoredEvent) -> EventView {
    EventView {
        id: event.id,
        ts: event.at,
        kind: event.what.type_name().to_owned(),
        severity: match event.what.severity() {
            CoreSeverity::Info => Severity::Info,
            CoreSeverity::Warning => Severity::Warning,
            CoreSeverity::Error => Severity::Error,
        },
        app: event.app.clone(),
        instance: event.unit.clone(),
        deployment: event.deployment.clone(),
        actor: event.actor.clone(),
        title: event.what.title(),
        data: serde_json::to_value(&event.what).unwrap_or_default(),
    }
}
