//! What the core knows, as the API shows it.

mod app;
pub(crate) mod cert;
mod config;
mod deployment;
pub(crate) mod domain;
mod event;
mod log;
pub(crate) mod proxy;

pub(crate) use app::{app_view, flat_status, instances, phase};
pub(crate) use config::config;
pub(crate) use deployment::{deployment_view, last_record, step_record};
pub(crate) use event::event_view;
pub(crate) use log::log_line;
