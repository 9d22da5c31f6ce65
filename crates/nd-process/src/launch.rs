//! From a unit's record to everything the shim needs to execute it.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use rustix::process::geteuid;

use crate::command::{self, DEFAULT_PATH};
use crate::error::ProcessError;
use crate::protocol::Launch;
use crate::record::UnitRecord;
use crate::user::{self, User};

/// Variables of the daemon that its units get too: language and time zone are the host's, everything else would tie a
/// unit to how the daemon was started.
const PASSED_ON: [&str; 4] = ["LANG", "LC_ALL", "LC_CTYPE", "TZ"];

/// Looks up program and user of `argv` in the unit of `record` as they are now.
///
/// The environment is, a later one replacing an earlier one: language and time zone of the daemon; `PATH` of the
/// release; `HOME`, `USER`, `LOGNAME`, `SHELL` of the user; the release's own variables; `PORT`, which is always the
/// leased one, so that two versions can run at once; and `NEXTDEPLOY_APP`, `NEXTDEPLOY_RELEASE`, `NEXTDEPLOY_UNIT`,
/// `NEXTDEPLOY_DAEMON`.
///
/// # Errors
/// When program, directory or user do not exist or cannot be used.
pub(crate) fn of_record(record: &UnitRecord, argv: &[String]) -> Result<Launch, ProcessError> {
    let (program, path) = find(argv, &record.cwd, record.path.as_deref(), &record.env)?;
    let user = find_user(record.user.as_deref())?;

    let mut env: BTreeMap<String, String> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("PATH", path);
    let account = match &user {
        Some(user) => user.account.clone(),
        None => user::account(geteuid().as_raw()),
    };
    if let Some(account) = account {
        set("HOME", account.home);
        set("LOGNAME", account.name.clone());
        set("USER", account.name);
        set("SHELL", account.shell);
    }
    for (name, value) in &record.env {
        set(name, value.clone());
    }
    set("PORT", record.port.to_string());
    set("NEXTDEPLOY_APP", record.id.app().to_string());
    set("NEXTDEPLOY_RELEASE", record.id.release().to_string());
    for (name, value) in record.marks() {
        set(name, value);
    }
    let identity = user.map(|user| user.identity);
    Ok(Launch {
        program,
        argv: argv.to_vec(),
        cwd: record.cwd.clone(),
        env,
        identity,
        limits: record.limits,
        wait_ready: record.wait_ready,
    })
}

/// Finds the program of `argv`, and the `PATH` it was looked for in.
///
/// # Errors
/// When program or directory do not exist or cannot be used.
pub(crate) fn find(
    argv: &[String],
    cwd: &Path,
    path: Option<&str>,
    env: &BTreeMap<String, String>,
) -> Result<(std::path::PathBuf, String), ProcessError> {
    command::check_directory(cwd)?;
    let path = match env.get("PATH").map(String::as_str).or(path) {
        Some(path) => path.to_owned(),
        None => env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned()),
    };
    let program = argv.first().map(String::as_str).unwrap_or_default();
    Ok((command::resolve(program, cwd, &path)?, path))
}

/// Finds the user of a release; `None` means the daemon's own.
///
/// # Errors
/// When there is none, or the daemon may not become it.
pub(crate) fn find_user(name: Option<&str>) -> Result<Option<User>, ProcessError> {
    let Some(name) = name else { return Ok(None) };
    let user = user::find(name)?;
    let own = geteuid();
    if own.is_root() || user.identity.uid == own.as_raw() {
        Ok(Some(user))
    } else {
        Err(ProcessError::OtherUser(name.to_owned()))
    }
}
