//! The ports: what the core asks of the outside world, one file each.
//!
//! Adapters implement them, [`Registry`](crate::Registry) holds them, and one contract suite per port in `nd-testkit`
//! says what an adapter must do to earn the trait. Ports are asked for decisions and deeds, never on the path of a
//! request.

mod cert_issuer;
mod cert_store;
mod challenge_solver;
mod deadline;
mod error;
mod ingress;
mod logs;
mod name_probe;
mod probe;
mod runtime;
mod store;
mod strategy;
mod traffic;
mod unit_io;

pub use cert_issuer::{
    CertFiles, CertIssuer, CertOrder, InvalidIssuer, IssuedCert, IssuerName, Renewal, RevocationReason,
    RootCert,
};
pub use cert_store::{CertFault, CertStore, KeptCert, KeptCerts};
pub use challenge_solver::{ChallengeKind, ChallengeSolver, InvalidSolver, Proof, SolverName};
pub use deadline::within;
pub use error::{PortError, PortErrorKind, PortResult};
pub use ingress::{Applied, BindFault, DrainReport, EdgeFeature, EdgeTls, Ingress, IngressCaps};
pub use logs::{LogCollector, LogEntry, LogFilter, LogFollow, LogLevel, LogStore, LogStream};
pub use name_probe::{DnsReport, HttpAnswer, NameProbe, ShownCert};
pub use probe::{HealthProbe, ProbeFailure, ProbeOutcome, ProbeRequest, ProbeTarget};
pub use runtime::{
    Prepared, Progress, RegistryAuth, Runtime, RuntimeCaps, Scope, Signal, UnitObserved, UnitSpec, UnitStatus,
};
pub use store::{HistoryQuery, Seq, Snapshot, StateStore};
pub use strategy::{DeployStrategy, PlanInput, UnitInput, UnitReadiness};
pub use traffic::{AppTraffic, ReleaseTraffic};
pub use unit_io::{
    ExecOutcome, HintKind, HintStream, LogCursor, LogPiece, LogPieces, OutputStream, Socket, UnitHint,
    UnitIo, UnitStats,
};
