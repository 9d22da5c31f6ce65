//! Stand-ins for the outside world: honest to the docs of their ports, scripted where a test wants trouble.
//!
//! - [`FakeRuntime`] keeps units in memory; what each does is written in its environment ([`Behaviour`]).
//! - [`FakeNetwork`] is where those units listen, and [`FakeProbe`] asks there.
//! - [`FakeIngress`] keeps the state that serves, and every one that did.
//! - [`FakeIssuer`], [`FakeSolver`] and [`FakeCerts`] issue, prove and keep certificates that look like some.
//! - [`Faults`] make any call of a stand-in fail, hang, panic or lose its answer.
//! - [`Cable`] ties an engine to its world; cutting it is what SIGKILL is to a daemon.

mod behaviour;
mod cable;
mod certs;
mod faults;
mod ingress;
mod network;
mod probe;
mod runtime;

pub use behaviour::{Behaviour, Stopping};
pub use cable::Cable;
pub use certs::{FakeCerts, FakeIssuer, FakeSolver, fake_cert};
pub use faults::{Fault, Faults};
pub use ingress::{FakeIngress, IngressCall};
pub use network::{Answer, FakeNetwork};
pub use probe::FakeProbe;
pub use runtime::{Call, FakeRuntime, RuntimeCall};
