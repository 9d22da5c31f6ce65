//! The engine of NextDeploy: desired state in, running and routed units out. Embeddable.
//!
//! The core knows what an app is ([`AppSpec`](spec::AppSpec)), what should be and what is, and how to get from one to
//! the other. It must never know sockets, files, processes, HTTP, YAML or any adapter: those stand behind the
//! [`ports`], and the binary that embeds the core fills a [`Registry`] with them.
//!
//! # How it works
//! A verb ([`EngineHandle`]) edits desired state, commits it to the store and wakes the app's reconciler. The
//! reconciler observes, decides ([`model`], pure) and starts actions; it never waits for one. One [`RouteBook`] merges
//! the routes of all apps into the state that the ingress serves.
//!
//! Start at [`Engine`], or at [`model`] for the decisions.

pub mod certs;
pub mod diagnosis;
pub mod engine;
pub mod events;
pub mod model;
pub mod plan;
pub mod ports;
pub mod records;
pub mod registry;
mod routebook;
pub mod routes;
pub mod spec;

pub use engine::{Engine, EngineHandle};
pub use registry::{Registry, RegistryBuilder};
pub use routebook::RouteBook;
