//! The process runtime against real processes.
//!
//! A shim needs a program that is one, and a server needs one that listens: this binary is test, shim and server at
//! once, and so has a `main` of its own. Its tests are named and chosen as any others.

#[path = "runtime/fixture.rs"]
mod fixture;
#[path = "runtime/killed.rs"]
mod killed;
#[path = "runtime/limits.rs"]
mod limits;
#[path = "runtime/output.rs"]
mod output;
#[path = "runtime/ready.rs"]
mod ready;
#[path = "runtime/shim.rs"]
mod shim;
#[path = "runtime/start.rs"]
mod start;
#[path = "runtime/tree.rs"]
mod tree;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use nd_testkit::contract::ContractResult;
use nd_testkit::contract::runtime::{RuntimeFixture, promises};

use fixture::Fixture;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("shim") => nd_process::shim_main(),
        Some("serve") => fixture::serve(),
        Some("notify") => ready::notify(),
        _ => {
            let contract = promises::<Fixture>()
                .into_iter()
                .map(|promise| trial(&format!("contract::{}", promise.name), promise.run));
            let own = [
                killed::tests(),
                limits::tests(),
                output::tests(),
                ready::tests(),
                shim::tests(),
                start::tests(),
                tree::tests(),
            ]
            .into_iter()
            .flatten();
            libtest_mimic::run(&Arguments::from_args(), contract.chain(own).collect()).exit_code()
        }
    }
}

/// A test that runs on a runtime of its own.
fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ContractResult>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async { test().await.map_err(|error| Failed::from(error.to_string())) })
    })
}

/// Tests with a fixture of their own, by their names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::with_fixture(concat!(module_path!(), "::", stringify!($name)), |fixture| Box::pin($name(fixture)))),*]
        }
    };
}
pub(crate) use tests;

type Test = fn(&Fixture) -> std::pin::Pin<Box<dyn Future<Output = ContractResult> + '_>>;

fn with_fixture(name: &str, test: Test) -> Trial {
    let name = name.trim_start_matches("runtime::").to_owned();
    trial(&name, move || async move {
        let fixture = Fixture::new().await?;
        let result = test(&fixture).await;
        fixture.close().await;
        result
    })
}
