//! The table of mistakes, one by one: what is written wrong, and what is said about it.

use nd_api::manifest::Environment;
use nd_config::{Checked, ReadOptions, Report, Workload, read_manifest};

fn read(text: &str) -> Result<Checked, Report> {
    let lookup = |name: &str| (name == "IMAGE").then(|| "node:22".to_owned());
    let options = ReadOptions { environment: None, lookup: &lookup, workload: Workload::Required };
    read_manifest("nextdeploy.yml", text, &options)
}

/// What is said about a file, one line a mistake.
fn said(text: &str) -> String {
    match read(text) {
        Ok(checked) => checked.notes.to_string(),
        Err(report) => report.to_string(),
    }
}

/// A file that is right but for what is put below its first lines.
fn with(lines: &str) -> String {
    format!("version: \"1.0\"\napp: {{name: shop, port: 3000}}\nimage: node:22\n{lines}")
}

macro_rules! mistakes {
    ($($name:ident: $text:expr => $($said:literal)+;)+) => {$(
        #[test]
        fn $name() {
            let expected: &[&str] = &[$($said),+];
            assert_eq!(said(&$text), expected.join("\n"));
        }
    )+};
}

mistakes! {
    a_misspelt_key_is_told_the_right_one:
        with("deployment:\n  container:\n    heathcheck: {path: /}\n") =>
        "error[ND0110] nextdeploy.yml:6:5: unknown key `heathcheck` in deployment.container; help: a key with a similar name exists: `healthcheck`";
    a_right_key_in_the_wrong_place_is_told_where_it_belongs:
        "app: {name: shop, rate_limit: []}\nimage: a\n" =>
        "error[ND0111] nextdeploy.yml:1:19: `rate_limit` is not a key of `app`; help: move it to `proxy.rate_limit`";
    a_key_that_nothing_resembles_is_told_the_known_ones:
        with("scale: {banana: 1}\n") =>
        "error[ND0110] nextdeploy.yml:4:9: unknown key `banana` in scale; help: known keys: instances, min, max, cpu, memory, rps, cooldown";
    a_port_is_a_number_up_to_65535:
        "app: {name: shop, port: 30000000}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:25: port must be 1–65535, found 30000000";
    a_port_with_a_letter_is_no_port:
        "app: {name: shop, port: \"3000x\"}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:25: port must be 1–65535, found 3000x";
    port_zero_is_no_port:
        "app: {name: shop, port: 0}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:25: port must be 1–65535, found 0";
    memory_without_a_unit_is_bytes:
        "app: {name: shop, resources: {memory_max: 512}}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:43: 512 bytes is below the 6M minimum; help: write `512M`";
    a_duration_needs_a_unit:
        with("deployment: {container: {healthcheck: {path: /, interval: 30}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:59: duration needs a unit (other tools read 30 as seconds or as milliseconds); help: write `30s`";
    an_address_to_write_to_has_a_host:
        with("ssl: {email: ops}\n") =>
        "error[ND0121] nextdeploy.yml:4:14: email must be an e-mail address, found ops; help: write it as `ops@example.com`";
    a_dns_provider_is_a_name_of_the_daemons_settings:
        with("ssl: {dns_provider: Cloud Flare}\n") =>
        "error[ND0121] nextdeploy.yml:4:21: `Cloud Flare` is not the name of a DNS provider; help: write one of the daemon's settings: `[certs.dns_provider.NAME]`";
    a_domain_is_one:
        with("ssl: {domains: [\"not a domain\"]}\n") =>
        "error[ND0121] nextdeploy.yml:4:17: `not a domain` is not a host name; write it as `app.example.com`, without scheme, port or path";
    where_nobody_is_asked_nobody_writes_back:
        with("ssl: {provider: internal, email: ops@example.com, dns_provider: lab}\n") =>
        "warning[ND0232] nextdeploy.yml:4:34: `ssl.email` has no effect: for `internal` nobody on the net is asked"
        "warning[ND0232] nextdeploy.yml:4:65: `ssl.dns_provider` has no effect: for `internal` nobody on the net is asked";
    two_places_for_certificates_may_not_contradict_each_other:
        with("ssl: {email: ops@example.com}\nssl_config: {email: me@example.com, force: true, ssl: {email: ops@example.com}}\n") =>
        "error[ND0123] nextdeploy.yml:5:21: `ssl_config.email` contradicts what is said before; help: keep one of them: `ssl.email`"
        "note[ND0232] nextdeploy.yml:5:37: `ssl_config.force` has no effect here";
    a_lone_port_publishes_nothing:
        with("deployment: {container: {ports: [3000]}}\n") =>
        "error[ND0121] nextdeploy.yml:4:34: ports[0] must be \"HOST:CONTAINER\", found 3000; help: drop it, the proxy reaches `app.port` without a published port";
    a_misspelt_policy_is_told_the_right_one:
        with("deployment: {container: {restart: alway}}\n") =>
        "error[ND0121] nextdeploy.yml:4:35: `alway` is not one of always, on-failure, unless-stopped, never; help: `always`";
    a_newer_format_asks_for_a_newer_tool:
        "version: 2\napp: {name: shop}\nimage: a\n" =>
        "error[ND0203] nextdeploy.yml:1:10: version 2 is newer than this tool knows (1.0); help: nextdeploy update";
    a_tab_is_named:
        "app:\n\tname: shop\n" =>
        "error[ND0103] nextdeploy.yml:2:1: tab used for indentation; help: write spaces";
    a_tab_further_down_is_named_too:
        "app:\n  name: shop\n\tport: 80\n" =>
        "error[ND0103] nextdeploy.yml:3:1: tab used for indentation; help: write spaces";
    a_line_that_is_indented_like_no_other_is_named:
        "app:\n  name: shop\n image: a\n" =>
        "error[ND0101] nextdeploy.yml:3:2: the line is indented like no key above it; help: align it with the keys it belongs to";
    a_key_that_stands_twice_is_refused:
        "app: {name: shop}\nimage: a\napp: {name: blog}\n" =>
        "error[ND0102] nextdeploy.yml:3:1: `app` is defined twice, first at line 1";
    a_probe_must_not_outlast_its_interval:
        with("deployment:\n  container:\n    healthcheck: {path: /, interval: 30s, timeout: 40s}\n") =>
        "error[ND0123] nextdeploy.yml:6:52: healthcheck.timeout (40s) must not exceed interval (30s)";
    a_variable_that_is_not_set_is_named:
        "app: {name: shop}\nimage: ${NOPE}\n" =>
        "error[ND0130] nextdeploy.yml:2:8: variable `NOPE` is not set; help: export NOPE, or write `${NOPE:-default}`";
    an_environment_that_does_not_exist_is_named:
        with("environments: {produciton: {}}\n") =>
        "error[ND0240] nextdeploy.yml:4:16: unknown environment `produciton`; known: dev, staging, prod; help: `production`";
    the_engines_socket_is_refused:
        with("deployment: {container: {volumes: [\"/var/run/docker.sock:/s\"]}}\n") =>
        "error[ND0250] nextdeploy.yml:4:36: mounting `/var/run/docker.sock` would hand the Docker engine, and with it the host, to the app";
    a_volume_outside_the_project_is_refused:
        with("deployment: {container: {volumes: [../x:/x, \"/:/host\"]}}\n") =>
        "error[ND0250] nextdeploy.yml:4:36: volume path `../x` leaves the project directory; write the absolute path"
        "error[ND0250] nextdeploy.yml:4:45: mounting `/` would hand the whole host to the app";
    a_bad_app_name_is_told_the_alphabet:
        "app: {name: My_Shop}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:13: app name `My_Shop` contains `M`; only a-z, 0-9 and - are allowed";
    an_empty_image_is_no_image:
        "app: {name: shop}\nimage: \"\"\n" =>
        "error[ND0121] nextdeploy.yml:2:8: image must not be empty; write it as `node:22` or `registry.example/team/shop:1.4`";
    a_domain_is_not_an_address_of_the_web:
        "app: {name: shop, domain: \"https://a.example/\"}\nimage: a\n" =>
        "error[ND0121] nextdeploy.yml:1:27: `https://a.example/` is not a host name; write it as `app.example.com`, without scheme, port or path";
    a_file_must_say_what_runs:
        "app: {name: shop}\n" =>
        "error[ND0112] nextdeploy.yml:1:1: nothing says what runs: `image` or `command` is missing; help: write `image: REF` for a container, `command: …` for a plain process, or `upstream: HOST:PORT` for a server that runs elsewhere";
    an_app_needs_a_name:
        "app: {port: 80}\nimage: a\n" =>
        "error[ND0112] nextdeploy.yml:1:1: `app.name` is missing; help: write `name: shop`";
    a_list_is_no_text:
        "app: {name: [a]}\nimage: {x: y}\n" =>
        "error[ND0120] nextdeploy.yml:1:7: name must be a text, found a list"
        "error[ND0120] nextdeploy.yml:2:1: image must be a text, found a map";
    yes_is_not_true:
        with("proxy: {enabled: yes}\n") =>
        "error[ND0120] nextdeploy.yml:4:18: enabled must be true or false, found yes; help: write `true`";
    a_feature_of_a_later_version_is_named:
        with("cron: []\nsecrets: {required: [A]}\nlogging: {level: info}\n") =>
        "error[ND0202] nextdeploy.yml:4:1: `cron` is not supported yet by this version"
        "error[ND0202] nextdeploy.yml:5:1: `secrets` is not supported yet by this version"
        "warning[ND0202] nextdeploy.yml:6:1: `logging` is not supported yet by this version and has no effect";
    a_secret_is_a_feature_of_a_later_version:
        with("env: {DATABASE_URL: secret:DATABASE_URL}\n") =>
        "error[ND0202] nextdeploy.yml:4:21: `secret:DATABASE_URL` is not supported yet by this version; help: write `${DATABASE_URL}` and export it";
    a_mirror_shares_directories_by_their_whole_path:
        with("mirror: {cooldown: 1ms, sync: [data, /a, /a], sticky: yes}\n") =>
        "error[ND0121] nextdeploy.yml:4:20: cooldown must be 1s–24h, found 1ms"
        "error[ND0121] nextdeploy.yml:4:32: `data` is no directory to share; help: write an absolute path, as in `/app/sessions`"
        "error[ND0123] nextdeploy.yml:4:42: `/a` is written twice"
        "error[ND0121] nextdeploy.yml:4:55: `yes` is not one of cookie";
    a_strategy_has_one_of_four_names:
        with("deployment: {rollout: {strategy: canery}}\n") =>
        "error[ND0121] nextdeploy.yml:4:34: `canery` is not one of bluegreen, rolling, recreate, canary; help: `canary`";
    the_steps_of_a_canary_are_whole_and_rise:
        with("deployment: {rollout: {canary: {steps: [5, 0.5%, 5%, 101]}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:44: a step must be a whole percent, 1–100, found 0.5%"
        "error[ND0121] nextdeploy.yml:4:50: steps must rise, and 5% comes after 5%; help: write `[5, 25, 50]`"
        "error[ND0121] nextdeploy.yml:4:54: `101` is not a share of 0 to 100; write it as `5%` or `0.5%`";
    a_bound_of_a_canary_is_a_share_or_a_time:
        with("deployment: {rollout: {canary: {pause: 10ms, abort_if: {error_rate: few, p95: 2m}}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:40: pause must be 1s–24h, found 10ms"
        "error[ND0121] nextdeploy.yml:4:69: `few` is not a share of 0 to 100; write it as `5%` or `0.5%`"
        "error[ND0121] nextdeploy.yml:4:79: p95 must be 1ms–30s, found 2m";
    serverless_belongs_to_the_original_tool:
        with("target_type: serverless\n") =>
        "error[ND0201] nextdeploy.yml:4:14: target_type serverless is a target of the original Go tool `nextdeploy` only; help: write `vps` to deploy to a server of your own";
    two_ways_to_probe_are_one_too_many:
        with("deployment: {container: {healthcheck: {path: /, tcp: true}}}\n") =>
        "error[ND0123] nextdeploy.yml:4:49: a health check has one way to look: `path` or `tcp`; help: keep one of them";
    one_setting_under_two_names_is_one_too_many:
        with("restart: {delay: 1s, restart_delay: 2s}\n") =>
        "error[ND0123] nextdeploy.yml:4:22: `delay` and `restart_delay` say the same thing twice; help: keep one of them";
    a_key_without_effect_is_named_though_its_value_is_read:
        "app: {name: shop, resources: {memory_high: 64M}}\nimage: a\n" =>
        "warning[ND0202] nextdeploy.yml:1:31: `app.resources.memory_high` is not supported yet by this version and has no effect";
    what_belongs_to_a_check_over_http_has_no_place_beside_another:
        with("deployment: {container: {healthcheck: {tcp: true, headers: {x-probe: nd}, status: 200}}}\n") =>
        "error[ND0123] nextdeploy.yml:4:51: `headers` belongs to a check over HTTP, and `tcp` is another; help: write `path: /…` in its place"
        "error[ND0123] nextdeploy.yml:4:75: `status` belongs to a check over HTTP, and `tcp` is another; help: write `path: /…` in its place";
    statuses_are_ranges_of_three_digits:
        with("deployment: {container: {healthcheck: {path: /, status: [200, 2xx, 404-400]}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:63: `2xx` is not a range of HTTP statuses; write it as `200-299`, `200`, or several: `200, 301-302`"
        "error[ND0121] nextdeploy.yml:4:68: `404-400` is not a range of HTTP statuses; write it as `200-299`, `200`, or several: `200, 301-302`";
    a_header_that_frames_the_request_or_stands_twice_is_refused:
        with("deployment: {container: {healthcheck: {headers: {Content-Length: 3, Host: a, host: b}}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:50: the probe sets the header `Content-Length` itself"
        "error[ND0123] nextdeploy.yml:4:78: the header `host` is written twice, also as `Host`";
    a_header_has_a_name_and_one_line:
        with("deployment: {container: {healthcheck: {path: /, headers: {\"x probe\": a, x-probe: \"a\\nb\"}}}}\n") =>
        "error[ND0121] nextdeploy.yml:4:59: `x probe` is no name of a header (RFC 9110, section 5.1)"
        "error[ND0121] nextdeploy.yml:4:82: the header `x-probe` must be one line of ASCII";
    a_schedule_that_is_none_is_told_how_one_looks:
        with("restart: {cron: every night}\n") =>
        "error[ND0121] nextdeploy.yml:4:17: `every night` is no schedule (pattern must have between 5 and 7 fields); write minute, hour, day, month and weekday, as in `0 3 * * *`";
    a_time_to_the_kill_is_said_once:
        with("stop: {grace: 5s}\nkill_timeout: 6s\n") =>
        "error[ND0123] nextdeploy.yml:5:1: `kill_timeout` and `stop.grace` say the same thing twice; help: keep one of them";
    a_time_to_the_kill_needs_a_unit:
        with("kill_timeout: 5000\n") =>
        "error[ND0121] nextdeploy.yml:4:15: duration needs a unit (other tools read 5000 as seconds or as milliseconds); help: write `5000s`";
    a_container_says_by_its_health_check_that_it_is_ready:
        with("wait_ready: true\n") =>
        "note[ND0232] nextdeploy.yml:4:13: wait_ready has no effect on a container, which is waited for until its health check passes";
    a_container_runs_where_its_image_says:
        with("cwd: /srv\n") =>
        "warning[ND0232] nextdeploy.yml:4:6: cwd has no effect on a container, which runs in a directory of its own; help: write `working_dir: /…`, a directory inside the container";
    a_rate_limit_says_who_is_counted_and_in_which_time:
        with("proxy: {rate_limit: [{path: /login, per: client, limit: 10}]}\n") =>
        "error[ND0121] nextdeploy.yml:4:42: `client` is not one of ip, app"
        "error[ND0121] nextdeploy.yml:4:57: `10` is not a rate; write it as `10/s`, `100/m`, `1000/h` or `5000/d`";
    a_queue_needs_a_limit_and_only_a_cookie_is_sticky:
        with("proxy: {queue: 5, sticky: true}\n") =>
        "error[ND0112] nextdeploy.yml:4:9: `proxy.queue` has no effect without `max_requests`; help: write `max_requests: 200` beside it"
        "error[ND0121] nextdeploy.yml:4:27: `true` is not one of cookie";
    a_port_without_the_proxy_is_a_feature_of_a_later_version:
        with("proxy: {enabled: false, body_limit: 1M}\nscale: {instances: 2}\ndeployment: {container: {ports: [\"5432:5432\"]}}\n") =>
        "error[ND0123] nextdeploy.yml:4:25: `proxy.body_limit` is of the proxy, and `proxy.enabled: false` leaves that out; help: keep one of them"
        "error[ND0123] nextdeploy.yml:5:20: two instances cannot have one port of the host; help: leave out `ports`, `scale.instances` or `proxy.enabled`";
    a_plain_process_without_the_proxy_has_one_number_for_its_port:
        "app: {name: shop}\ncommand: ./shop\nproxy: {enabled: false}\ndeployment: {container: {ports: [\"8080:80\"]}}\n" =>
        "error[ND0123] nextdeploy.yml:4:34: a plain process listens on 8080 itself, and not on 80; help: write \"8080:8080\"; it is told the port in PORT";
    a_policy_is_no_limit:
        with("restart: always\n") =>
        "error[ND0120] nextdeploy.yml:4:10: restart holds limits, found always; help: write the policy as `deployment.container.restart: always`";
    a_process_has_no_image:
        with("runtime: process\n") =>
        "error[ND0123] nextdeploy.yml:3:8: `runtime: process` runs `command`, not an `image`; help: leave out `image` or `runtime`";
    a_port_is_published_once:
        with("deployment: {container: {ports: [\"3000:3000\", \"127.0.0.1:3000:4000\"]}}\n") =>
        "error[ND0123] nextdeploy.yml:4:47: host port 127.0.0.1:3000 is published twice";
    high_memory_stays_below_the_limit:
        "app: {name: shop, resources: {memory_max: 64M, memory_high: 1G}}\nimage: a\n" =>
        "warning[ND0202] nextdeploy.yml:1:48: `app.resources.memory_high` is not supported yet by this version and has no effect"
        "error[ND0123] nextdeploy.yml:1:61: resources.memory_high (1G) must not exceed memory_max (64M)";
    an_empty_file_says_what_to_write:
        "# nothing yet\n" =>
        "error[ND0112] nextdeploy.yml:1:1: the file is empty; help: begin with `app: {name: shop, port: 3000}` and `image: REF` or `command: …`";
    a_text_is_no_file:
        "just words\n" =>
        "error[ND0120] nextdeploy.yml:1:1: the file must be a map, found just words";
    an_alias_without_anchor_is_named:
        "app: {name: shop}\nimage: a\nenv: {A: *b}\n" =>
        "error[ND0101] nextdeploy.yml:3:10: `*b` has no anchor `&b` before it";
    a_second_document_is_refused:
        "app: {name: shop}\nimage: a\n---\napp: {name: blog}\n" =>
        "error[ND0101] nextdeploy.yml:3:1: a second document begins here";
    a_published_web_port_becomes_a_route:
        "app: {name: shop, domain: app.example.com}\nimage: a\ndeployment: {container: {name: shop_web, ports: [\"80:3000\"]}}\n" =>
        "note[ND0232] nextdeploy.yml:3:32: container.name has no effect: instances are called shop-RELEASE-N"
        "note[ND0231] nextdeploy.yml:3:50: host port 80 is the proxy's and serves every app: `80:3000` becomes the route app.example.com to port 3000";
}

#[test]
fn all_mistakes_are_reported_in_one_run_in_the_order_of_the_file() {
    let text = "app: {name: Shop, prot: 1}\nimage: ${NOPE}\nscale: {instances: 0}\nenv: {A=B: c}\n";
    let report = read(text).unwrap_err();
    let codes: Vec<_> = report.mistakes().iter().map(|mistake| mistake.code.as_str()).collect();
    assert_eq!(codes, ["ND0121", "ND0110", "ND0130", "ND0121", "ND0121"], "{report}");
}

#[test]
fn a_mistake_in_an_environment_that_was_not_asked_for_is_reported_too() {
    let text = with("environments:\n  prod: {app: {port: 0}, image: \"${ONLY_IN_CI}\"}\n");
    assert_eq!(said(&text), "error[ND0121] nextdeploy.yml:5:22: port must be 1–65535, found 0");
}

#[test]
fn an_environment_is_laid_over_the_file() {
    let text = "app: {name: shop, domain: a.example, port: 3000}\nimage: a\nenv: {A: \"1\", B: \"2\"}\n\
                environments:\n  development:\n    app: {domain: null}\n    env: {B: two, C: \"3\"}\n    scale: {instances: max}\n";
    let options =
        ReadOptions { environment: Some(Environment::Dev), lookup: &|_| None, workload: Workload::Required };
    let manifest = read_manifest("nextdeploy.yml", text, &options).unwrap().manifest;
    assert_eq!(manifest.app.domain, None);
    assert_eq!(manifest.app.environment, Some(Environment::Dev));
    assert_eq!(manifest.env.iter().collect::<Vec<_>>(), [("A", "1"), ("B", "two"), ("C", "3")]);
    assert!(manifest.scale.instances.is_some());
}

#[test]
fn the_environment_that_the_file_names_is_laid_over_it() {
    let text = "app: {name: shop, environment: production}\nimage: a\nenvironments: {prod: {image: b}}\n";
    let manifest = read(text).unwrap().manifest;
    assert_eq!(manifest.image.map(|image| image.to_string()).as_deref(), Some("b"));
}

#[test]
fn anchors_merge_keys_and_the_authors_own_keys_work() {
    let text = "x-base: &base {A: \"1\", B: \"2\"}\napp: {name: shop, x-note: hi}\nimage: ${IMAGE}\nenv: {<<: *base, B: own, V: 1.10}\n";
    let checked = read(text).unwrap();
    assert!(checked.notes.is_empty(), "{}", checked.notes);
    assert_eq!(checked.manifest.env.iter().collect::<Vec<_>>(), [("A", "1"), ("B", "own"), ("V", "1.10")]);
    assert_eq!(checked.manifest.image.map(|image| image.to_string()).as_deref(), Some("node:22"));
}

#[test]
fn an_alias_bomb_is_refused_at_once() {
    let mut text = String::from("x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..20 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        text.push_str(&format!("x-{level}: &a{level} [{}]\n", below.trim_end_matches(", ")));
    }
    let begun = std::time::Instant::now();
    let report = read(&text).unwrap_err().to_string();
    assert!(report.starts_with("error[ND0104]"), "{report}");
    assert!(begun.elapsed().as_secs() < 2);
}

#[test]
fn brackets_without_end_are_refused_and_do_not_overflow() {
    let report = read(&"[".repeat(100_000)).unwrap_err().to_string();
    assert!(report.starts_with("error[ND0104]") || report.starts_with("error[ND0101]"), "{report}");
}
