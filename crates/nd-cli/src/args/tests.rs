use super::*;

fn typed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn a_number_below_zero_is_refused_as_what_it_is() {
    for line in [
        "start --name b --instances -1 -- sleep 5",
        "start --name b --max-memory -5 -- sleep 5",
        "logs b --lines -3",
        "check --interval -1",
        "eternal --restart-delay -4 -- true",
    ] {
        let words = ["nextdeploy"].into_iter().chain(line.split(' '));
        let refused = command("nextdeploy").try_get_matches_from(words).unwrap_err();
        assert!(refused.to_string().contains("invalid value '-"), "{line}: {refused}");
    }
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
        "metrics --name=myapp",
        "ecosystem",
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
    assert_eq!(cli.global.json, None);
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
        ("deploy --strategy=canery", "is not one of bluegreen, rolling, recreate, canary"),
        ("deploy --strategy=canary=0%", "`0%` is not a whole percent"),
        ("deploy --strategy=canary=25,5", "the shares must rise"),
    ] {
        let error = typed(&format!("nextdeploy {line}")).unwrap_err().to_string();
        assert!(error.contains(message), "{line}: {error}");
    }
}

#[test]
fn without_a_command_nothing_is_refused() {
    assert!(typed("nextdeploy").is_ok_and(|cli| cli.command.is_none()));
}

#[test]
fn json_takes_fields_behind_an_equals_sign_alone() {
    let fields = |line: &str| {
        let fields = typed(line).unwrap().global.json;
        fields.map(|fields| fields.names().join(" "))
    };
    assert_eq!(fields("nextdeploy ls"), None);
    assert_eq!(fields("nextdeploy ls --json").as_deref(), Some(""));
    assert_eq!(fields("nextdeploy --json=name,url ls").as_deref(), Some("name url"));
    assert_eq!(fields("nextdeploy status --json shop").as_deref(), Some(""));
}

#[test]
fn deployments_are_listed_where_no_verb_is_typed() {
    for (line, expected) in [
        ("deployments shop", "list shop"),
        ("deployments --name shop -n 5", "list by name"),
        ("deployments ls shop", "ls shop"),
        ("deployments show dpl_8f3k2a1", "show"),
        ("deployments logs -f dpl_8f3k2a1", "logs"),
    ] {
        let Some(Command::Deployments(args)) = typed(&format!("nextdeploy {line}")).unwrap().command else {
            panic!("not deployments: {line}")
        };
        let read = match (&args.verb, &args.list.target) {
            (None, Some(target)) => format!("list {target}"),
            (None, None) => "list by name".to_owned(),
            (Some(DeploymentsVerb::Ls(list)), _) => {
                format!("ls {}", list.target.as_deref().unwrap_or_default())
            }
            (Some(DeploymentsVerb::Show { .. }), _) => "show".to_owned(),
            (Some(DeploymentsVerb::Logs { .. }), _) => "logs".to_owned(),
        };
        assert_eq!(read, expected, "{line}");
    }
}

fn paths(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        paths(verb, format!("{path} {}", verb.get_name()).trim_start(), found);
    }
}

#[test]
fn every_command_has_an_example_and_every_example_a_command() {
    let mut found = Vec::new();
    paths(&command("nextdeploy"), "", &mut found);
    let shown: Vec<_> = examples::EXAMPLES.iter().map(|(path, _)| *path).collect();
    for path in &found {
        assert!(shown.contains(&path.as_str()), "args/examples.rs has no example of `{path}`");
    }
    for path in shown {
        assert!(found.iter().any(|known| known == path), "there is no command `{path}`");
    }
}

#[test]
fn every_example_is_read_as_typed_and_is_of_its_command() {
    for (path, lines) in examples::EXAMPLES {
        assert!(!lines.is_empty(), "{path}");
        for line in *lines {
            assert!(line.starts_with(path), "`{line}` is no example of `{path}`");
            // What a shell takes for itself.
            let own = line.split(" | ").next().unwrap().split(" > ").next().unwrap();
            let words = own.replace('\'', "").replace("fix cart", "fix-cart");
            if let Err(error) = typed(&format!("nextdeploy {words}")) {
                panic!("`{line}`: {error}");
            }
        }
    }
}

#[test]
fn long_help_begins_with_examples() {
    let mut tree = command("nextdeployd");
    let help = tree.find_subcommand_mut("scale").unwrap().render_long_help().to_string();
    let (about, rest) = help.split_once("\n\nExamples:\n").unwrap();
    assert_eq!(about, "Change the number of instances of an app");
    assert!(rest.starts_with("  nextdeployd scale shop 3\n"), "{rest}");
}
