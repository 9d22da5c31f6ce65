//! The `Runtime` port on a Docker engine: units are containers.
//!
//! Entry point: [`DockerRuntime`]. It connects when it is asked for something, so it can be made before any engine runs,
//! and finds its way back by itself when the engine was away.
//!
//! # How it is laid out
//! - `engine`: the connection. Calls go through bollard, streams (logs, events, pulls, waits) are read here, because
//!   they need bounds and deadlines of their own.
//! - One module per verb of the port: `prepare`, `create`, `start`, `wait`, `observe`, `logs`, `stats`, `exec`,
//!   `listening`, `hints`.
//! - What engines do not say, or say late: `oom` (was a kill for memory), `health` (the first success of a check).
//! - Pure translations, tested without an engine: `body` (wish → container), `observed` (container → what is),
//!   `adopt` (container → wish), `addresses` (who may have which address).
//!
//! # Must never know
//! Processes, the proxy, stored records, or what an app is beyond its [`AppSpec`](nd_core::spec::AppSpec). It opens no
//! file but the list of addresses it has given out.

mod addresses;
mod adopt;
mod body;
mod create;
mod engine;
mod exec;
mod failure;
mod find;
mod health;
mod hints;
mod labels;
mod listening;
mod logs;
mod neighbors;
mod network;
mod observe;
mod observed;
mod oom;
mod prepare;
mod recent;
mod runtime;
mod settings;
mod start;
mod stats;
mod subnet;
mod wait;

pub use engine::EngineInfo;
pub use runtime::DockerRuntime;
pub use settings::Settings;
pub use subnet::{InvalidSubnet, Subnet};
