//! Caddy and nginx as ingress, with servers of one's own.

mod caddy;
mod nginx;
mod support;
mod tls;
