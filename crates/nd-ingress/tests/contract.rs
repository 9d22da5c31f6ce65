//! The embedded data plane keeps the contract of its port, over real connections.

use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::Ingress;
use nd_ingress::EmbeddedIngress;
use nd_proxy::{Proxy, Settings};
use nd_testkit::contract::{ContractResult, ingress};

#[tokio::test]
async fn the_embedded_ingress_keeps_the_contract() -> ContractResult {
    let started = std::cell::RefCell::new(Vec::new());
    let start = || {
        let settings = Settings { http: ([127, 0, 0, 1], 0).into(), workers: 2, ..Settings::default() };
        let proxy = Proxy::start(settings).unwrap();
        started.borrow_mut().push(proxy.clone());
        Arc::new(EmbeddedIngress::new(proxy)) as Arc<dyn Ingress>
    };
    ingress::run(start).await?;
    for proxy in started.take() {
        proxy.shutdown(Duration::from_secs(1)).await;
    }
    Ok(())
}
