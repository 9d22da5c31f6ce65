//! `explain`: what an error code means.

use serde::Serialize;

use super::Outcome;
use crate::args::ExplainArgs;
use crate::explain;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::render::table;

#[derive(Serialize)]
struct CodeView<'a> {
    code: &'a str,
    meaning: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

pub(super) fn run(args: &ExplainArgs, output: &Output) -> Outcome {
    let Some(code) = &args.code else { return Ok(all(output)) };
    let wanted = code.to_ascii_uppercase();
    let found = explain::all().find(|(known, _)| *known == wanted);
    let Some((code, meaning)) = found else {
        return Err(
            Failure::new(Exit::NotFound, format!("there is no code `{code}`")).fix("nextdeploy explain")
        );
    };
    let help = explain::help(code);
    if output.json {
        output.object(&CodeView { code, meaning, help });
        return Ok(Exit::Ok);
    }
    output.result(&format!("{}  {meaning}", output.bold(code)));
    if let Some(help) = help {
        output.result(&format!("\n{}", table::wrapped(help, table::width().min(table::READABLE))));
    }
    Ok(Exit::Ok)
}

fn all(output: &Output) -> Exit {
    if output.json {
        let views: Vec<_> = explain::all()
            .map(|(code, meaning)| CodeView { code, meaning, help: explain::help(code) })
            .collect();
        output.list(&views);
    } else {
        for (code, meaning) in explain::all() {
            output.result(&format!("{}  {meaning}", output.bold(code)));
        }
    }
    Exit::Ok
}
