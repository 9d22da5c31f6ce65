//! `nextdeployd install` and `uninstall`: the daemon as a service of systemd, and nothing of it.
//!
//! What is to be done is a list of steps (`plan`) that can be printed instead of taken (`--dry-run`); each step says what
//! it did, and one that finds its work done says so (`step`).

mod plan;
mod step;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::step::Step;

/// Make the daemon a service of this system
#[derive(Clone, Debug, Parser)]
#[command(
    name = "nextdeployd install",
    after_help = "Examples:\n  sudo nextdeployd install\n  sudo nextdeployd install --user deploy\n  nextdeployd install --dry-run"
)]
struct Install {
    /// Run the daemon as this user instead of root; its plain processes then run as the same user
    #[arg(long, value_name = "USER", value_parser = user_name)]
    user: Option<String>,
    /// Place and enable everything, and start nothing
    #[arg(long)]
    no_start: bool,
    /// Print what would be done
    #[arg(long)]
    dry_run: bool,
    /// Place the files below this directory and run nothing, as for an image of a system
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Take the service of the daemon away; its data stays unless --purge is given
#[derive(Clone, Debug, Parser)]
#[command(
    name = "nextdeployd uninstall",
    after_help = "Examples:\n  sudo nextdeployd uninstall\n  sudo nextdeployd uninstall --purge --yes"
)]
struct Uninstall {
    /// Stop plain processes too, and remove state, logs, settings and certificates
    #[arg(long)]
    purge: bool,
    /// Do not ask; --purge needs it
    #[arg(short, long)]
    yes: bool,
    /// Print what would be done
    #[arg(long)]
    dry_run: bool,
    /// Remove the files below this directory and run nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// What a plan depends on.
#[derive(Clone, Debug)]
struct Site {
    /// The directory that stands for `/`.
    root: PathBuf,
    /// Whether commands are run: not for the image of a system.
    live: bool,
    /// Whether systemd runs, so that a service can be started.
    systemd: bool,
    /// The programs to place, each with its name.
    programs: Vec<(String, PathBuf)>,
}

/// `nextdeployd install`.
pub(crate) fn install(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = Install::parse_from(args);
    let site = match Site::here(options.root.as_deref()) {
        Ok(site) => site,
        Err(error) => return fail(&format!("find the program to install: {error}")),
    };
    if let Some(code) = refused(&site, options.dry_run, "install") {
        return code;
    }
    take(&plan::install(&site, options.user.as_deref(), !options.no_start), options.dry_run)
}

/// `nextdeployd uninstall`.
pub(crate) fn uninstall(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = Uninstall::parse_from(args);
    let site = match Site::here(options.root.as_deref()) {
        Ok(site) => site,
        Err(error) => return fail(&format!("find the installed program: {error}")),
    };
    let steps = plan::uninstall(&site, options.purge);
    if options.purge && !options.yes && !options.dry_run {
        eprintln!("error: --purge removes for good:");
        steps.iter().for_each(|step| eprintln!("  {step}"));
        eprintln!("help: nextdeployd uninstall --purge --yes");
        return ExitCode::from(2);
    }
    if let Some(code) = refused(&site, options.dry_run, "uninstall") {
        return code;
    }
    take(&steps, options.dry_run)
}

impl Site {
    fn here(root: Option<&Path>) -> io::Result<Self> {
        let daemon = std::env::current_exe()?;
        // The command-line tool lies beside the daemon, in an archive as in a build.
        let tool = daemon.with_file_name("nextdeploy");
        let mut programs = vec![("nextdeployd".to_owned(), daemon)];
        if tool.is_file() {
            programs.push(("nextdeploy".to_owned(), tool));
        }
        Ok(Self {
            root: root.unwrap_or(Path::new("/")).to_owned(),
            live: root.is_none(),
            systemd: root.is_none() && Path::new("/run/systemd/system").is_dir(),
            programs,
        })
    }
}

/// Why nothing can be done here, if so.
fn refused(site: &Site, dry_run: bool, verb: &str) -> Option<ExitCode> {
    if !site.live || dry_run {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        return Some(fail(&format!("a service of the system is root's to place; sudo nextdeployd {verb}")));
    }
    let systemctl = ["/usr/bin/systemctl", "/bin/systemctl"].iter().any(|path| Path::new(path).exists());
    (!systemctl).then(|| fail("this system has no systemd; start `nextdeployd run` with what it has instead"))
}

fn take(steps: &[Step], dry_run: bool) -> ExitCode {
    for step in steps {
        if dry_run {
            eprintln!("would {step}");
            continue;
        }
        match step.take() {
            Ok(done) => eprintln!("{done}"),
            Err(error) => return fail(&format!("{step}: {error}")),
        }
    }
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// A name that can stand in a unit without meaning anything else there.
fn user_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.starts_with(['-', '.']) || !text.chars().all(plain) {
        return Err("a user has letters, digits, `_`, `-` and `.` in its name".to_owned());
    }
    if text == "root" {
        Err("root is what it runs as without --user".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(dir: &Path) -> Site {
        let program = dir.join("built-nextdeployd");
        std::fs::write(&program, "program").unwrap();
        let programs = vec![("nextdeployd".to_owned(), program)];
        Site { root: dir.join("root"), live: false, systemd: false, programs }
    }

    fn run(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| step.take().unwrap()).collect()
    }

    fn temporary(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("nextdeployd-install-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn what_is_installed_twice_is_found_unchanged_and_goes_without_a_trace() {
        let dir = temporary("twice");
        let site = site(&dir);
        let first = run(&plan::install(&site, None, true));
        assert!(first.iter().all(|said| said.starts_with("placed ")), "{first:?}");
        let unit = site.root.join("etc/systemd/system/nextdeployd.service");
        assert!(std::fs::read_to_string(&unit).unwrap().contains("WatchdogSec=30"));
        let second = run(&plan::install(&site, None, true));
        assert!(second.iter().all(|said| said.ends_with(" is as it should be")), "{second:?}");
        std::fs::write(&unit, "changed by hand").unwrap();
        let third = run(&plan::install(&site, None, true));
        assert_eq!(third.iter().filter(|said| said.starts_with("replaced ")).count(), 1, "{third:?}");
        run(&plan::uninstall(&site, true));
        let left = |path: &str| site.root.join(path).exists();
        assert!(!left("etc/systemd/system/nextdeployd.service") && !left("usr/local/bin/nextdeployd"));
        let again = run(&plan::uninstall(&site, true));
        assert!(again.iter().all(|said| said.ends_with(" is not there")), "{again:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn another_user_is_a_drop_in_that_goes_when_root_is_asked_for_again() {
        let dir = temporary("user");
        let site = site(&dir);
        let drop_in = site.root.join("etc/systemd/system/nextdeployd.service.d/user.conf");
        run(&plan::install(&site, Some("deploy"), true));
        assert!(std::fs::read_to_string(&drop_in).unwrap().contains("User=deploy\n"));
        run(&plan::install(&site, None, true));
        assert!(!drop_in.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn data_stays_unless_it_is_purged() {
        let dir = temporary("purge");
        let site = site(&dir);
        let data = site.root.join("var/lib/nextdeploy");
        std::fs::create_dir_all(&data).unwrap();
        run(&plan::uninstall(&site, false));
        assert!(data.exists());
        run(&plan::uninstall(&site, true));
        assert!(!data.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_name_that_would_be_something_else_in_a_unit_is_refused() {
        for bad in ["", "root", "-x", "a b", "a\nExecStart=/bin/sh", "a/b"] {
            assert!(user_name(bad).is_err(), "{bad}");
        }
        assert_eq!(user_name("deploy"), Ok("deploy".to_owned()));
    }
}
