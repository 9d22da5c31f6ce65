//! Views and requests of `/api/v1`.
//!
//! Fields are only ever added, never renamed or taken away; whoever reads a view ignores what it does not know.
//! Requests are strict: an unknown field is refused.

mod access;
mod app;
mod cert;
mod config;
mod deployment;
mod domain;
mod event;
mod log;
mod page;
mod plan;
mod problem;
mod proxy;
mod request;
mod system;
mod timeline;

pub use self::access::{RequestFrame, RequestQuery};
pub use self::app::{
    AppView, CanaryView, CpuView, DesiredState, ExitView, InstanceState, InstanceView, InstancesView,
    MemoryView, MirrorView, Phase, RestartView,
};
pub use self::cert::{
    CertExport, CertImportBody, CertOrderView, CertRevokeBody, CertState, CertView, RenewalView,
    RevocationReason, RootView, ServedCertView,
};
pub use self::config::{AppConfigView, HealthCheckView, LimitsView, RestartRulesView, StopView};
pub use self::deployment::{DeploymentStatus, DeploymentView, Diagnosis, Receipt, StepRecord, StepState};
pub use self::domain::{
    DomainCheckQuery, DomainCheckView, DomainListQuery, DomainVerdict, DomainView, DomainsBody, DomainsQuery,
    DomainsView, PortCheckView,
};
pub use self::event::{EventQuery, EventView, Severity};
pub use self::log::{LogFrame, LogLevel, LogLine, LogQuery, LogStream, UnknownLevel};
pub use self::page::{ListPage, PageQuery, SCHEMA_VERSION, Versioned};
pub use self::plan::{PlanStep, PlanView};
pub use self::problem::{FieldError, Problem};
pub use self::proxy::{BackendView, ProxiedAppView, ProxyTestQuery, ProxyTestView, ProxyView, RouteView};
pub use self::request::{
    DeployBody, DestroyQuery, MaintenanceBody, PauseBody, RegistryAuth, RollbackBody, ScaleBody, WaitQuery,
};
pub use self::system::{DaemonView, OperationView, UpgradeView, VersionView, WorkerState, WorkerView};
pub use self::timeline::{PressureStall, PressureView, TimelineEntry, TimelineQuery, TimelineView};
