//! A first deployment, from the request to its first answer, beside the bare work.

use nd_e2e::{Daemon, Options};

use super::stage::{Bare, BareContainer, Image, Workload, deploy, destroy};
use super::{Bench, Figure, Report, median, ms, step};
use crate::Result;

/// What of the process runtime's time is allowed besides the bare time.
const PROCESS_MS: f64 = 150.0;

const RATIO: f64 = 1.3;

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    let (programs, rounds) = (&bench.programs, bench.rounds);
    step(&format!("{rounds} deployments beside bare starts"));
    let daemon = Daemon::start(programs, Options::default())?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let app = format!("process-{round}");
        ours.push(ms(deploy(&daemon, &app, Workload::Program(&programs.testapp))?));
        destroy(&daemon, &app)?;
        bare.push(ms(Bare::start(&programs.testapp)?.took));
    }
    let (ours, bare) = (median(ours), median(bare));
    let figure = Figure::new("deploy: process", ours, "ms").beside("spawn + first 200:", bare);
    report.add(figure.at_most((bare * RATIO).max(bare + PROCESS_MS)));
    if let Some(docker) = &bench.docker {
        let image = Image::new(docker, &programs.testapp)?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let app = format!("container-{round}");
            ours.push(ms(deploy(&daemon, &app, Workload::Image(&image.reference))?));
            destroy(&daemon, &app)?;
            bare.push(ms(BareContainer::start(docker, &image.reference, "no")?.took));
        }
        let (ours, bare) = (median(ours), median(bare));
        let figure = Figure::new("deploy: container", ours, "ms").beside("bare engine:", bare);
        report.add(figure.at_most(bare * RATIO));
    }
    Ok(())
}
