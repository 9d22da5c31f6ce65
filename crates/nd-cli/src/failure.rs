//! How a command ends badly: the code, and the block that says what, why and what to type.

use std::process::ExitCode;

use nd_api::v1::{Diagnosis, FieldError, Problem, Versioned};
use nd_client::{ClientError, Host, InvalidHost};
use nd_config::Report;
use serde::Serialize;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    /// Failed; what served before still does.
    Failed,
    /// A wrong command line or a wrong file.
    Usage,
    NotFound,
    /// A login is needed, or not enough.
    Forbidden,
    /// Something else holds what was asked for.
    Conflict,
    Unreachable,
    /// The wait is over; the work goes on.
    TimedOut,
    /// `plan` and `check` found something.
    Found,
    /// Some of it worked.
    Partial,
    /// Failed, and what served before does not any more.
    Lost,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Forbidden => 4,
            Self::Conflict => 5,
            Self::Unreachable => 6,
            Self::TimedOut => 7,
            Self::Found => 8,
            Self::Partial => 9,
            Self::Lost => 10,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed, as it is printed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) code: Option<String>,
    pub(crate) title: String,
    pub(crate) what: Option<String>,
    pub(crate) why: Option<String>,
    /// Whether an instance failed and nobody knows why: said aloud, where `what` alone would look like the cause.
    pub(crate) unexplained: bool,
    /// The last lines of an instance.
    pub(crate) logs: Vec<String>,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) fix: Vec<String>,
    /// Snippets of the user's file; printed as they are, in the place of all else.
    pub(crate) report: Option<Report>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, title: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            title: title.into(),
            what: None,
            why: None,
            unexplained: false,
            logs: Vec::new(),
            errors: Vec::new(),
            fix: Vec::new(),
            report: None,
        }
    }

    pub(crate) fn failed(title: impl Into<String>) -> Self {
        Self::new(Exit::Failed, title)
    }

    pub(crate) fn usage(title: impl Into<String>) -> Self {
        Self::new(Exit::Usage, title)
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix.push(fix.into());
        self
    }

    /// A deployment failed, for this reason.
    pub(crate) fn deployment(title: String, why: Diagnosis, exit: Exit) -> Self {
        let Diagnosis { what, why, exit: ended, probe, logs, fix } = why;
        let unexplained = why.is_none() && (ended.is_some() || probe.is_some());
        let mut facts = vec![what];
        // The diagnosis often says itself how the instance ended.
        facts.extend(
            ended
                .map(|ended| ended.to_string())
                .filter(|ended| !facts.iter().any(|fact| fact.contains(ended))),
        );
        facts.extend(probe.filter(|probe| !facts.iter().any(|fact| fact.contains(probe))));
        let code = Some("ND1207".to_owned());
        let what = Some(facts.join(", "));
        Self { code, what, why, unexplained, logs, fix, ..Self::new(exit, title) }
    }

    /// Several commands in one failed.
    pub(crate) fn several(failures: &[Self], of: usize, exit: Exit) -> Self {
        let errors = failures
            .iter()
            .map(|failure| FieldError {
                code: failure.code.clone(),
                message: failure.title.clone(),
                ..FieldError::default()
            })
            .collect();
        let fix = failures.iter().flat_map(|failure| failure.fix.clone()).collect();
        Self { errors, fix, ..Self::new(exit, format!("{} of {of} apps failed", failures.len())) }
    }

    /// One line of JSON: `{"v":1,"error":{…}}`.
    pub(crate) fn to_json(&self) -> String {
        let errors = match &self.report {
            Some(report) => report.to_field_errors(),
            None => self.errors.clone(),
        };
        let error = ErrorView {
            code: self.code.as_deref(),
            exit: self.exit.code(),
            title: &self.title,
            what: self.what.as_deref().unwrap_or(&self.title),
            why: self.why.as_deref(),
            logs: &self.logs,
            errors: &errors,
            fix: &self.fix,
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_string(&Versioned::new(ErrorLine { error })).unwrap_or_default()
    }

    /// Whether the daemon said so with this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// What `--json` prints on standard error. Every field is always there.
#[derive(Serialize)]
struct ErrorLine<'a> {
    error: ErrorView<'a>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    /// The stable code, as in `ND1207`; null for a mistake of the command line.
    code: Option<&'a str>,
    /// The exit code of the command.
    exit: u8,
    title: &'a str,
    what: &'a str,
    /// The cause; only where it is proven.
    why: Option<&'a str>,
    logs: &'a [String],
    errors: &'a [FieldError],
    fix: &'a [String],
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        let errors = report.to_field_errors();
        let code = errors.first().and_then(|error| error.code.clone());
        let title = format!("{} has mistakes", report.name());
        Self { code, report: Some(report), ..Self::usage(title) }
    }
}

impl From<InvalidHost> for Failure {
    fn from(error: InvalidHost) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let title = error.to_string();
        match error {
            ClientError::Refused(problem) => refused(*problem),
            ClientError::Unreachable { host, source } => {
                let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
                let mut failure = Self::new(if denied { Exit::Forbidden } else { Exit::Unreachable }, title);
                failure.fix = how_to_reach(&host, denied);
                failure
            }
            ClientError::Broken { .. } => Self::new(Exit::Unreachable, title).fix("nextdeploy ls"),
            ClientError::Timeout { .. } => Self::new(Exit::TimedOut, title).fix("nextdeploy ls"),
            ClientError::Unexpected { .. } => Self::failed(title).fix("nextdeploy version"),
        }
    }
}

fn refused(problem: Problem) -> Failure {
    let exit = match problem.status {
        400 | 405 | 413 | 415 | 422 => Exit::Usage,
        401 | 403 => Exit::Forbidden,
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        504 => Exit::TimedOut,
        _ => Exit::Failed,
    };
    let title = problem.detail.unwrap_or(problem.title);
    Failure { code: problem.code, errors: problem.errors, fix: problem.fix, ..Failure::new(exit, title) }
}

fn how_to_reach(host: &Host, denied: bool) -> Vec<String> {
    match host {
        Host::Unix(_) if denied => vec![
            "sudo usermod -aG nextdeploy $USER    (then log in again)".to_owned(),
            "sudo nextdeploy …".to_owned(),
        ],
        Host::Unix(_) => vec![
            "nextdeployd run    (or `systemctl start nextdeployd`)".to_owned(),
            "--host unix:///PATH, if the daemon has another socket".to_owned(),
        ],
        Host::Tcp(_) => vec!["nextdeployd run --listen ADDR:PORT    (on that machine)".to_owned()],
    }
}
