//! An example for every command, in one table: `--help` and the manual show them, and a test types each of them.

use clap::Command;

/// The command, by its words; then lines to type, without the program's name.
pub(super) const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["deploy --name web -- node server.js", "ls", "logs web --follow", "rollback web"]),
    (
        "deploy",
        &[
            "deploy",
            "deploy --prod -m 'fix cart'",
            "deploy --image ghcr.io/team/shop:1.4 --name shop --port 3000",
            "deploy --name api -- node server.js",
            "deploy --json=step,state,url",
        ],
    ),
    ("plan", &["plan", "plan --image ghcr.io/team/shop:1.5 --name shop"]),
    (
        "check",
        &[
            "check",
            "check deploy/nextdeploy.yml --strict",
            "check --once",
            "check shop docker:db --interval 60",
            "check systemd:nginx --url http://127.0.0.1/ --no-restart",
        ],
    ),
    ("ls", &["ls", "ls --watch", "ls --json=name,status,url"]),
    ("status", &["status shop", "status --name=shop --json=instances", "status --workers"]),
    ("describe", &["describe shop", "describe shop --json=config"]),
    ("why", &["why shop", "why shop --since 1h"]),
    (
        "logs",
        &[
            "logs shop --follow",
            "logs shop worker --level warn+ -n 500",
            "logs -F timeout --since 10m",
            "logs shop --raw --no-time > shop.log",
            "logs shop --err --lines 50",
        ],
    ),
    ("requests", &["requests shop", "requests shop --follow", "requests --name=shop -n 500 --json"]),
    ("flush", &["flush shop", "flush"]),
    ("metrics", &["metrics", "metrics --name=myapp"]),
    ("ecosystem", &["ecosystem", "ecosystem --name=shop", "ecosystem ecosystem.config.js"]),
    (
        "start",
        &[
            "start shop",
            "start --name=myapp --image=node:18 --ports=3000:3000",
            "start --name=myapp --restart=on-failure",
            "start --name=api -- node server.js",
            "start server.js -i max",
            "start ecosystem.json",
        ],
    ),
    ("stop", &["stop shop", "stop all"]),
    ("restart", &["restart shop worker", "restart --name=shop --no-wait"]),
    ("reload", &["reload shop", "reload all"]),
    ("scale", &["scale shop 3", "scale shop +2", "scale --name=myapp --instances=max"]),
    (
        "maintenance",
        &["maintenance on shop", "maintenance on shop --retry-after 10m", "maintenance off shop"],
    ),
    ("pause", &["pause shop", "pause shop --for 20s"]),
    ("resume", &["resume shop"]),
    ("rollback", &["rollback shop", "rollback shop dpl_8f3k2a1", "rollback --name=shop --steps=2"]),
    ("destroy", &["destroy shop", "destroy shop --yes"]),
    ("deployments", &["deployments shop", "deployments show dpl_8f3k2a1"]),
    ("deployments ls", &["deployments ls shop -n 5", "deployments ls shop --json=id,status"]),
    ("deployments show", &["deployments show dpl_8f3k2a1"]),
    ("deployments logs", &["deployments logs dpl_8f3k2a1", "deployments logs --follow dpl_8f3k2a1"]),
    ("cancel", &["cancel dpl_8f3k2a1"]),
    ("promote", &["promote dpl_8f3k2a1"]),
    ("events", &["events shop --follow", "events --type deploy.failed -n 5"]),
    ("monit", &["monit", "monit shop", "monit --once", "monit --interval 60"]),
    ("proxy", &["proxy show", "proxy test https://shop.example.com/cart"]),
    ("proxy show", &["proxy show", "proxy show --json"]),
    (
        "proxy test",
        &["proxy test https://shop.example.com/cart", "proxy test shop.example.com --from 203.0.113.9"],
    ),
    ("domains", &["domains ls", "domains add shop www.example.com", "domains rm shop www.example.com"]),
    (
        "domains add",
        &[
            "domains add shop www.example.com",
            "domains add shop example.com www.example.com",
            "domains add --name=shop '*.example.com'",
        ],
    ),
    ("domains rm", &["domains rm shop www.example.com"]),
    ("domains check", &["domains check", "domains check shop", "domains check www.example.com --json"]),
    ("domains ls", &["domains ls", "domains ls shop --json=domain,state"]),
    ("certs", &["certs ls", "certs show shop.example.com", "certs renew shop.example.com"]),
    ("certs ls", &["certs ls", "certs ls --json=name,state,served"]),
    ("certs show", &["certs show shop.example.com"]),
    ("certs renew", &["certs renew shop.example.com"]),
    ("certs import", &["certs import fullchain.pem privkey.pem"]),
    ("certs export", &["certs export shop.example.com", "certs export shop.example.com --dir /root/certs"]),
    ("certs revoke", &["certs revoke shop.example.com --reason key-compromise"]),
    (
        "certs trust",
        &["certs trust", "certs trust --output root.crt", "certs trust --output - | ssh build tee root.crt"],
    ),
    ("certs untrust", &["certs untrust", "certs untrust --all"]),
    ("workers", &["workers"]),
    ("upgrade", &["upgrade"]),
    ("version", &["version", "version --host http://127.0.0.1:8371"]),
    (
        "eternal",
        &[
            "eternal -- node server.js",
            "eternal --detach --restart-delay=2s --log-file logs/api.log -- ./api",
        ],
    ),
    ("daemon", &["daemon start -- node server.js", "daemon status", "daemon stop"]),
    ("daemon start", &["daemon start -- node server.js", "daemon start --pid-file api.pid"]),
    ("daemon stop", &["daemon stop", "daemon stop --pid-file api.pid"]),
    ("daemon restart", &["daemon restart"]),
    ("daemon status", &["daemon status", "daemon status --json"]),
    ("config", &["config view --env prod", "config explain app.port"]),
    ("config explain", &["config explain app.port", "config explain healthcheck"]),
    ("config view", &["config view", "config view --env prod"]),
    ("import", &["import pm2 ecosystem.config.js", "import compose compose.yaml"]),
    ("import pm2", &["import pm2 ecosystem.json", "import pm2 ecosystem.config.js --output shop.yml"]),
    ("import compose", &["import compose docker-compose.yml", "import compose compose.yaml --output -"]),
    ("save", &["save"]),
    ("resurrect", &["resurrect"]),
    ("startup", &["startup"]),
    ("explain", &["explain ND1207", "explain"]),
    ("completion", &["completion bash > /etc/bash_completion.d/nextdeploy", "completion fish | source"]),
    ("man", &["man deploy | man -l -", "man --install"]),
];

/// The examples of a command, as they are typed.
pub(crate) fn of(path: &str, program: &str) -> impl Iterator<Item = String> {
    let found = EXAMPLES.iter().find(|(known, _)| *known == path).map_or(&[][..], |(_, lines)| lines);
    found.iter().map(move |line| format!("{program} {line}"))
}

/// Puts the examples of every command behind the first words of its long help.
pub(super) fn shown(command: Command, program: &str) -> Command {
    at("", command, program)
}

fn at(path: &str, mut command: Command, program: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for name in names {
        let path = format!("{path} {name}").trim_start().to_owned();
        command = command.mut_subcommand(name, |verb| at(&path, verb, program));
    }
    let lines: String = of(path, program).map(|line| format!("\n  {line}")).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    if lines.is_empty() {
        return command;
    }
    command.long_about(format!("{about}\n\nExamples:{lines}"))
}
