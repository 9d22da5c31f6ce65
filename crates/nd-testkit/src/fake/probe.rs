//! A health probe that asks on the fake network.

use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{HealthProbe, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget};
use parking_lot::Mutex;

use super::network::{Answer, FakeNetwork};

/// Asks who listens on a [`FakeNetwork`], and remembers what it asked.
#[derive(Debug)]
pub struct FakeProbe {
    network: FakeNetwork,
    asked: Mutex<Vec<ProbeRequest>>,
}

impl FakeProbe {
    /// A probe on this network.
    #[must_use]
    pub fn new(network: &FakeNetwork) -> Self {
        Self { network: network.clone(), asked: Mutex::default() }
    }

    /// Everything it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<ProbeRequest> {
        self.asked.lock().clone()
    }
}

#[async_trait]
impl HealthProbe for FakeProbe {
    async fn probe(&self, request: &ProbeRequest) -> ProbeOutcome {
        self.asked.lock().push(request.clone());
        let Some(answer) = self.network.answer(request.address) else {
            return ProbeOutcome::Fail(ProbeFailure::Refused);
        };
        match (&request.target, answer) {
            (ProbeTarget::Tcp, _) => ProbeOutcome::Pass { status: None, took: Duration::ZERO },
            (ProbeTarget::Http(http), Answer::Http(status)) if http.accept.contains(status) => {
                ProbeOutcome::Pass { status: Some(status), took: Duration::ZERO }
            }
            (ProbeTarget::Http(_), Answer::Http(status)) => {
                ProbeOutcome::Fail(ProbeFailure::Status { status, body: String::new() })
            }
            (ProbeTarget::Http(_), Answer::Raw) => ProbeOutcome::Fail(ProbeFailure::NotHttp),
            (ProbeTarget::Http(_), Answer::Silent) => {
                tokio::time::sleep(request.timeout).await;
                ProbeOutcome::Fail(ProbeFailure::Timeout(request.timeout))
            }
        }
    }
}
