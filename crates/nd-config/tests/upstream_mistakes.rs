//! What can be written wrong beside `upstream:`, and what is said about it.

use nd_config::{ReadOptions, Workload, read_manifest};

/// What is said about a file with these lines below its upstream, which is its second line; one line a mistake.
fn said(lines: &str) -> String {
    let text = format!("app: {{name: legacy}}\nupstream: 127.0.0.1:4000\n{lines}\n");
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    match read_manifest("nextdeploy.yml", &text, &options) {
        Ok(checked) => checked.notes.to_string(),
        Err(report) => report.to_string(),
    }
}

macro_rules! mistakes {
    ($($name:ident: $text:literal => $said:literal;)+) => {$(
        #[test]
        fn $name() {
            assert_eq!(said($text), $said);
        }
    )+};
}

mistakes! {
    an_upstream_is_enough:
        "ssl: {redirect: true}" => "";
    a_server_runs_here_or_elsewhere:
        "image: node:22" =>
        "error[ND0123] nextdeploy.yml:3:1: `image` and `upstream` contradict each other; help: write one of them";
    a_runtime_that_is_not_that_of_servers_elsewhere_contradicts_it:
        "runtime: docker" =>
        "error[ND0123] nextdeploy.yml:3:1: `runtime` and `upstream` contradict each other; help: leave out one of them";
    what_can_only_be_done_where_it_runs_is_refused:
        "sleep_after: 30m" =>
        "error[ND0123] nextdeploy.yml:3:1: `sleep_after` and `upstream` contradict each other; help: it can neither be stopped nor be woken from here";
    no_command_can_be_run_inside_it:
        "deployment: {container: {healthcheck: {cmd: [true]}}}" =>
        "error[ND0123] nextdeploy.yml:3:40: `deployment.container.healthcheck.cmd` and `upstream` contradict each other; help: write `path: /health`, or `tcp: true`";
    without_the_proxy_nothing_leads_to_it:
        "proxy: {enabled: false}" =>
        "error[ND0123] nextdeploy.yml:3:18: without the proxy (`proxy.enabled: false`) nothing leads to an `upstream`; help: leave out one of them";
    what_has_no_effect_on_it_is_told:
        "env: {A: b}\nscale: {instances: 2}" =>
        "warning[ND0232] nextdeploy.yml:3:1: env has no effect on a server that something else runs\nwarning[ND0232] nextdeploy.yml:4:1: scale has no effect on a server that something else runs";
}

#[test]
fn a_runtime_of_servers_elsewhere_needs_one() {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    let report =
        read_manifest("nextdeploy.yml", "app: {name: legacy}\nruntime: external\n", &options).unwrap_err();
    assert!(report.to_string().contains("`runtime: external` needs an `upstream`"), "{report}");
}

#[test]
fn a_place_that_is_none_is_named_with_how_to_write_one() {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    let text = "app: {name: legacy}\nupstream: http://127.0.0.1:4000\n";
    let report = read_manifest("nextdeploy.yml", text, &options).unwrap_err();
    assert!(
        report.to_string().contains("nextdeploy.yml:2:11: `http://127.0.0.1:4000` must not have a scheme"),
        "{report}"
    );
}
