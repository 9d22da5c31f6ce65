//! `man`: the manual, made of the same tree of commands that reads the command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use super::Outcome;
use crate::args::{self, ManArgs};
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub(super) fn run(program: &'static str, args: &ManArgs, output: &Output) -> Outcome {
    let mut tree = args::command(program);
    if args.install {
        let dir =
            directory().ok_or_else(|| Failure::usage("HOME is not set, so there is no place for it"))?;
        let failed = |error| Failure::failed(format!("write the manual into {}: {error}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(failed)?;
        clap_mangen::generate_to(tree, &dir).map_err(failed)?;
        output.result(&dir.display().to_string());
        output.note(&format!("read it: man {program}"));
        return Ok(Exit::Ok);
    }
    tree.build();
    if args.markdown {
        output.result(markdown(&tree).trim_end());
        return Ok(Exit::Ok);
    }
    let mut chosen = &tree;
    for word in &args.command {
        chosen = chosen.find_subcommand(word).ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("there is no command `{}`", args.command.join(" ")))
                .fix(format!("{program} --help"))
        })?;
    }
    let mut page = Vec::new();
    Man::new(chosen.clone())
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("write the page: {error}")))?;
    output.result(String::from_utf8_lossy(&page).trim_end());
    Ok(Exit::Ok)
}

/// Where man(1) looks without being told: for all users, or for this one.
fn directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/usr/local/share/man/man1"));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    Some(data.or_else(home)?.join("man/man1"))
}

/// Every command with what `--help` says about it. The flags that each one takes stand once, at the top.
fn markdown(tree: &Command) -> String {
    let mut text = format!(
        "# {}\n\n{}\n",
        tree.get_name(),
        tree.get_about().map(ToString::to_string).unwrap_or_default()
    );
    section(tree, 2, &mut text);
    text
}

fn section(command: &Command, depth: usize, text: &mut String) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
        let help = verb.clone().term_width(100).render_long_help().to_string();
        // Writing to a String does not fail.
        write!(text, "\n{} {name}\n\n```text\n{}\n```\n", "#".repeat(depth), help.trim_end()).ok();
        section(verb, depth + 1, text);
    }
}
