//! What many routes cost: counted in instructions, which no other program on the machine disturbs.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use nd_e2e::Target;
use rustix::process::Signal;

use super::super::stage::answers;
use super::super::{Figure, Report, step};
use super::load;
use crate::workspace::Workspace;
use crate::{Result, process};

const APPS: u32 = 200;
const ROUTES_OF_EACH: u32 = 5;
const BAR: f64 = 1.03;

/// Two lengths of a run: what starting costs is in both.
const FEW: u32 = 1_000;
const MANY: u32 = 6_000;

/// Instructions for a request with 1,000 routes of 200 apps, beside those with one.
pub(super) fn of_many_routes(workspace: &Workspace, server: SocketAddr, report: &mut Report) -> Result {
    if !process::in_path("valgrind") {
        step("no valgrind in PATH: instructions are not counted (apt-get install valgrind)");
        return Ok(());
    }
    step("instructions a request takes, with one route and with 1,000");
    let example = ["build", "--quiet", "--release", "--package", "nd-proxy", "--example", "proxy"];
    process::run(process::cargo().args(example))?;
    let program = workspace.target.join("release/examples/proxy");
    let a_request = |apps: u32, routes: u32| -> Result<f64> {
        let counted = |requests| Counted::run(&program, server, [apps, routes], requests);
        Ok((counted(MANY)? - counted(FEW)?) / f64::from(MANY - FEW))
    };
    let one = a_request(1, 1)?;
    let many = a_request(APPS, ROUTES_OF_EACH)?;
    let figure = Figure::new("proxy: instructions a request, 1,000 routes", many, "");
    report.add(figure.beside("one route:", one).at_most(one * BAR));
    Ok(())
}

/// The proxy under callgrind.
struct Counted(Option<Child>);

impl Counted {
    /// Instructions of a run with so many requests.
    fn run(
        program: &std::path::Path,
        server: SocketAddr,
        [apps, routes]: [u32; 2],
        requests: u32,
    ) -> Result<f64> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        command.args([address.to_string(), "1".to_owned(), apps.to_string(), routes.to_string()]);
        command.arg(server.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut counted = Self(Some(command.spawn()?));
        let (host, path) = (format!("app-{}.localhost", apps - 1), format!("/{}/", routes - 1));
        answers(&Target::Tcp(address), &host)?;
        load::exactly(requests, address, &host, &path)?;
        counted.end()
    }

    fn end(&mut self) -> Result<f64> {
        let child = self.0.take().ok_or("it has ended")?;
        nd_e2e::kill(i32::try_from(child.id())?, Signal::INT);
        let said = child.wait_with_output()?.stderr;
        let said = String::from_utf8_lossy(&said);
        let count = said.lines().find_map(|line| line.split_once("Collected :"));
        let count = count.and_then(|(_, count)| count.trim().parse().ok());
        count.ok_or_else(|| format!("valgrind did not count: {said}").into())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
