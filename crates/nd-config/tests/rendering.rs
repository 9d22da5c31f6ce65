//! How reports look to people, byte for byte.

use nd_config::{Colour, ReadOptions, Report, Workload, read_manifest, read_settings};

fn refused(text: &str) -> Result<Report, String> {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    match read_manifest("nextdeploy.yml", text, &options) {
        Ok(_) => Err("the text was accepted".to_owned()),
        Err(report) => Ok(report),
    }
}

#[test]
fn a_snippet_shows_the_line_the_caret_and_the_help() {
    let text = "version: \"1.0\"\napp: {name: shop}\nimage: node:22\ndeployment:\n  container:\n    heathcheck: {path: /}\n";
    insta::assert_snapshot!("snippet", refused(text).unwrap().render(Colour::Never));
}

#[test]
fn a_conflict_shows_both_places() {
    let text = "app:\n  name: shop\nimage: a\ndeployment:\n  container:\n    healthcheck:\n      path: /\n      interval: 30s\n      timeout: 40s\n";
    insta::assert_snapshot!("conflict", refused(text).unwrap().render(Colour::Never));
}

#[test]
fn a_key_that_stands_twice_shows_the_first_one() {
    let text = "app: {name: shop}\nimage: a\n# far away\nimage: b\n";
    insta::assert_snapshot!("twice", refused(text).unwrap().render(Colour::Never));
}

#[test]
fn several_mistakes_are_several_snippets() {
    let text = "app: {name: shop, port: 70000}\nimage: a\nwebhook: {on: 1}\nenv:\n  - A=1\n  - B=2\n";
    insta::assert_snapshot!("several", refused(text).unwrap().render(Colour::Never));
}

#[test]
fn a_text_that_is_no_yaml_shows_where_it_stops_being_one() {
    insta::assert_snapshot!(
        "open_flow",
        refused("app: {name: shop\nimage: a\n").unwrap().render(Colour::Never)
    );
    insta::assert_snapshot!(
        "bad_indent",
        refused("app:\n  name: shop\n image: a\n").unwrap().render(Colour::Never)
    );
    insta::assert_snapshot!("open_quote", refused("app: \"shop\nimage: a\n").unwrap().render(Colour::Never));
    insta::assert_snapshot!(
        "tab",
        refused("app:\n  name: shop\n\tport: 80\n").unwrap().render(Colour::Never)
    );
}

#[test]
fn characters_of_several_bytes_do_not_shift_the_caret() {
    let text = "app: {name: shöp, port: 0}\nimage: \"ä\"\n";
    insta::assert_snapshot!("wide", refused(text).unwrap().render(Colour::Never));
}

#[test]
fn the_daemons_file_is_shown_the_same_way() {
    let report = read_settings(
        "nextdeployd.toml",
        "listen = \":8371\"\ndocket.socket = \"/x\"\n[log]\nlevel = \"inf\"\n",
    );
    insta::assert_snapshot!("daemon", report.unwrap_err().render(Colour::Never));
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let report = refused("app: 1\n").unwrap();
    assert!(report.render(Colour::Always).contains('\u{1b}'));
    assert!(!report.render(Colour::Never).contains('\u{1b}'));
}
