//! Why a request was not fulfilled: one value, shown as an envelope on flat paths and as a problem on `/api/v1`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use nd_api::flat::Envelope;
use nd_api::v1::{FieldError, Problem};
use nd_core::engine::EngineError;
use nd_core::model::edit::EditError;
use nd_core::ports::{PortError, PortErrorKind};

/// Why a request was not fulfilled.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The stable code of the kind of failure.
    pub(crate) code: &'static str,
    /// What is wrong, in one line.
    pub(crate) title: String,
    /// What is wrong this time, where the title alone does not say it.
    pub(crate) detail: Option<String>,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) fix: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Self {
        Self { status, code, title: title.into(), detail: None, errors: Vec::new(), fix: Vec::new() }
    }

    /// The request itself is wrong.
    pub(crate) fn invalid(reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ND1001", format!("Invalid request: {reason}"))
    }

    /// The request is well formed and asks for something that cannot be.
    pub(crate) fn unprocessable(title: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "ND1002", title)
    }

    /// There is no app of this name.
    pub(crate) fn unknown_app(app: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ND1003", "App not found")
            .detail(format!("Application {app} not found in monitoring"))
            .fix("nextdeploy ls")
    }

    /// The daemon has a defect.
    pub(crate) fn failed() -> Self {
        let title = "the daemon failed to answer; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ND1199", title)
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }

    pub(crate) fn errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// The body for a path, in the form that its clients read.
    pub(crate) fn render(self, path: &str, request_id: &str) -> Response {
        let status = self.status;
        let (kind, body) = if path.starts_with("/api/v1") {
            (Problem::MEDIA_TYPE, serde_json::to_vec(&self.problem(path, request_id)))
        } else {
            ("application/json", serde_json::to_vec(&Envelope::error(self.title)))
        };
        let mut response = Response::new(Body::from(body.unwrap_or_default()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn problem(self, path: &str, request_id: &str) -> Problem {
        Problem {
            detail: self.detail,
            instance: Some(path.to_owned()),
            errors: self.errors,
            fix: self.fix,
            request_id: Some(request_id.to_owned()),
            ..Problem::new(self.status.as_u16(), self.title).with_code(self.code)
        }
    }
}

/// Carries the refusal to the middleware, which knows the path and so the form of the body.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        let plain = |status, code| Self::new(status, code, text.clone());
        match error {
            EngineError::UnknownApp(app) => Self::unknown_app(app),
            EngineError::UnknownDeployment(_) => {
                plain(StatusCode::NOT_FOUND, "ND1004").fix("nextdeploy deployments")
            }
            EngineError::Busy { deployment, .. } => plain(StatusCode::CONFLICT, "ND1101")
                .fix("nextdeploy deploy --lock-wait 5m")
                .fix(format!("nextdeploy cancel {deployment}")),
            EngineError::HostTaken { by, host } => {
                // A path of it is the matter of a deployment.
                let whole =
                    Some(format!("nextdeploy domains rm {by} {host}")).filter(|_| !host.contains('/'));
                let fix = whole.into_iter().chain([format!("nextdeploy status {by}")]).collect();
                Self { fix, ..plain(StatusCode::CONFLICT, "ND1102") }
            }
            EngineError::NameTaken { by, .. } => {
                plain(StatusCode::CONFLICT, "ND1102").fix(format!("nextdeploy status {by}"))
            }
            EngineError::HostPortTaken { by, .. } => {
                plain(StatusCode::CONFLICT, "ND1103").fix(format!("nextdeploy status {by}"))
            }
            EngineError::NoRuntime(_) => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1104"),
            EngineError::UpstreamIsIngress { .. } => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1125"),
            EngineError::IngressLacks { .. } => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1121"),
            EngineError::Ingress(error) => {
                let fix = error.fix.into_iter().collect();
                Self { fix, ..plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1122") }
            }
            EngineError::Unprovable { .. } => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1123")
                .fix("write who does into `[certs.dns_provider]` or `[certs.exec]` of nextdeployd.toml: docs/guide/certificates.md")
                .fix("nextdeploy certs import CHAIN KEY"),
            EngineError::Certificates(error) => Self::from(error),
            EngineError::Strategy(..) => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1105"),
            EngineError::NothingToRollBackTo(_) => {
                plain(StatusCode::CONFLICT, "ND1106").fix("nextdeploy deployments")
            }
            EngineError::Edit(EditError::NothingToRun) => {
                plain(StatusCode::CONFLICT, "ND1107").fix("nextdeploy deploy")
            }
            EngineError::Edit(EditError::ReleaseGone(_)) => {
                plain(StatusCode::NOT_FOUND, "ND1108").fix("nextdeploy deployments")
            }
            EngineError::Edit(EditError::NoSuchDomain(_)) => {
                plain(StatusCode::NOT_FOUND, "ND1018").fix("nextdeploy domains ls")
            }
            EngineError::Edit(EditError::NoRoutes) => plain(StatusCode::UNPROCESSABLE_ENTITY, "ND1124")
                .fix("take `proxy.enabled: false` out of nextdeploy.yml, and deploy"),
            EngineError::Edit(_) => plain(StatusCode::CONFLICT, "ND1107"),
            EngineError::Timeout { .. } => plain(StatusCode::GATEWAY_TIMEOUT, "ND1109"),
            EngineError::Store(error) => Self { title: text, ..Self::from(error) },
            EngineError::ShuttingDown => plain(StatusCode::SERVICE_UNAVAILABLE, "ND1110"),
        }
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        let (status, code) = match error.kind {
            PortErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "ND1002"),
            PortErrorKind::NotFound => (StatusCode::NOT_FOUND, "ND1004"),
            PortErrorKind::Conflict => (StatusCode::CONFLICT, "ND1107"),
            PortErrorKind::Denied => (StatusCode::FORBIDDEN, "ND1006"),
            PortErrorKind::Transient | PortErrorKind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "ND1111")
            }
            PortErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "ND1109"),
            PortErrorKind::Exhausted => (StatusCode::INSUFFICIENT_STORAGE, "ND1112"),
            PortErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "ND1199"),
        };
        let refusal = Self::new(status, code, error.to_string());
        match error.fix {
            Some(fix) => refusal.fix(fix),
            None => refusal,
        }
    }
}
