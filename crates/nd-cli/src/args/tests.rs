use super::*;

fn typed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_tree_is_sound() {
    for program in ["nextdeploy", "nextdeployd"] {
        command(program).debug_assert();
    }
}

/// The lines of mission C4 that concern start, stop, restart, list, status, logs and scale, byte for byte.
#[test]
fn every_promised_line_is_read_as_typed() {
    for line in [
        "start --name=myapp --image=node:18 --ports=3000:3000",
        "stop --name=myapp",
        "restart --name=myapp",
        "list",
        "status --name=myapp",
        "logs --name=myapp --follow",
        "scale --name=myapp --instances=3",
        "start --name=app --restart=always",
        "start --name=app --restart=on-failure",
        "start --name=app --restart=never",
        "start --name=app --max-restarts=5",
        "start --name=app --health-check=/health",
        "start --name=app --health-port=8080",
        "start --name=app --health-timeout=30s",
    ] {
        for program in ["nextdeploy", "nextdeployd"] {
            assert!(typed(&format!("{program} {line}")).is_ok(), "{program} {line}");
            let spaced = line.replace('=', " ");
            assert!(typed(&format!("{program} {spaced}")).is_ok(), "{program} {spaced}");
        }
    }
}

#[test]
fn a_command_stands_behind_two_dashes_whatever_its_flags() {
    let cli = typed("nextdeploy deploy --name api -- node server.js --json -e x").unwrap();
    let Some(Command::Deploy(deploy)) = cli.command else { panic!("not a deploy") };
    assert_eq!(deploy.command, ["node", "server.js", "--json", "-e", "x"]);
    assert!(!cli.global.json);
}

#[test]
fn minus_one_is_a_number_of_restarts_and_no_flag() {
    let cli = typed("nextdeploy start --name app --max-restarts -1").unwrap();
    let Some(Command::Start(start)) = cli.command else { panic!("not a start") };
    assert_eq!(start.workload.max_restarts, Some(nd_api::manifest::RestartMax::UNLIMITED));
}

#[test]
fn a_wrong_value_is_told_how_to_be_written() {
    for (line, message) in [
        ("start --name=App", "only a-z, 0-9 and - are allowed"),
        ("start --name=a --image=", "image must not be empty"),
        ("start --name=a --image=b --ports=3000", "must be \"HOST:CONTAINER\""),
        ("start --name=a --image=b --port=70000", "port must be 1–65535"),
        ("start --name=a --restart=alway", "`alway` is not one of always"),
        ("start --name=a --health-timeout=30", "needs a unit"),
        ("scale --name=a --instances=0", "instances must be 1–1000"),
        ("deploy --strategy=canary", "not supported yet"),
    ] {
        let error = typed(&format!("nextdeploy {line}")).unwrap_err().to_string();
        assert!(error.contains(message), "{line}: {error}");
    }
}

#[test]
fn without_a_command_nothing_is_refused() {
    assert!(typed("nextdeploy").is_ok_and(|cli| cli.command.is_none()));
}
