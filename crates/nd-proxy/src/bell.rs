//! Sleeping apps that somebody waits for.

use std::collections::BTreeSet;

use nd_types::AppName;
use tokio::sync::watch;

/// Rung by workers, heard by whoever can wake an app. A name stays until the app does not sleep any more.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    callers: watch::Sender<BTreeSet<AppName>>,
}

impl Bell {
    /// Somebody waits for the app.
    pub(crate) fn ring(&self, app: &AppName) {
        self.callers.send_if_modified(|apps| !apps.contains(app) && apps.insert(app.clone()));
    }

    /// The app does not sleep any more.
    pub(crate) fn is_answered(&self, app: &AppName) {
        self.callers.send_if_modified(|apps| apps.remove(app));
    }

    /// Whom somebody waits for, as soon as that differs from what is `known`.
    pub(crate) async fn heard(&self, known: &BTreeSet<AppName>) -> BTreeSet<AppName> {
        let mut callers = self.callers.subscribe();
        let heard = callers.wait_for(|apps| apps != known).await.map(|apps| apps.clone());
        match heard {
            Ok(apps) => apps,
            Err(_) => std::future::pending().await, // the sender is ours
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_rings_is_heard_once_and_until_the_app_is_awake() {
        let (bell, app) = (Bell::default(), "shop".parse::<AppName>().unwrap());
        let nobody = BTreeSet::new();
        let (heard, ()) = tokio::join!(bell.heard(&nobody), async { bell.ring(&app) });
        assert_eq!(heard, BTreeSet::from([app.clone()]));
        bell.ring(&app);
        let (gone, ()) = tokio::join!(bell.heard(&heard), async { bell.is_answered(&app) });
        assert_eq!(gone, nobody);
    }
}
