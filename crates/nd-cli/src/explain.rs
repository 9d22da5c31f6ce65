//! Error codes: what each one stands for, and what helps.
//!
//! Codes of the project's file are `nd-config`'s and come from its table; those of the daemon and its deployments stand
//! here. A test reads the daemon's sources and fails when it answers with a code that is not explained.

use nd_config::Code;

/// A code of the daemon: the code, what it stands for, what helps.
type Row = (&'static str, &'static str, &'static str);

const DAEMON: &[Row] = &[
    (
        "ND1001",
        "The request is not one that this path takes.",
        "Read the message: it names the parameter or the place in the body. With curl, compare the body with the reference of the path.",
    ),
    (
        "ND1002",
        "The request is well formed and asks for something that cannot be.",
        "Each mistake is listed with its place. `nextdeploy check` finds those of a file without the daemon.",
    ),
    (
        "ND1003",
        "There is no app of this name.",
        "`nextdeploy ls` lists the apps of this daemon; `-v` shows which daemon was asked, --host asks another one.",
    ),
    (
        "ND1004",
        "There is no deployment of this id.",
        "`nextdeploy deployments APP` lists the deployments of an app; old ones are dropped in time.",
    ),
    ("ND1005", "The body is not JSON.", "Send `Content-Type: application/json` with it."),
    (
        "ND1006",
        "This is not allowed to whoever asked.",
        "On the unix socket root and the group `nextdeploy` are let in: `sudo usermod -aG nextdeploy $USER`, then log in again. A browser must ask for the daemon's own address.",
    ),
    (
        "ND1007",
        "The body is larger than 1 MiB.",
        "No manifest is that large; send files another way than inside it.",
    ),
    ("ND1008", "The body did not arrive in time.", "Send it at once; a proxy in between may hold it back."),
    (
        "ND1009",
        "A token is needed, and none or a wrong one was sent.",
        "On TCP every request carries `Authorization: Bearer TOKEN`. The daemon wrote its token into the file `token` of its data directory; set NEXTDEPLOY_TOKEN to it, or ask over the unix socket, which needs none.",
    ),
    (
        "ND1010",
        "There is nothing at this path.",
        "`/api/v1` and the flat paths are case-sensitive and end without a slash.",
    ),
    (
        "ND1011",
        "The path does not take this method.",
        "The header `Allow` of the answer names those it takes.",
    ),
    (
        "ND1012",
        "The path belongs to a part that this version does not have yet.",
        "`nextdeploy version` shows what runs.",
    ),
    (
        "ND1013",
        "The Idempotency-Key was used for another request.",
        "A key names one request: use a new one for every wish, and the same one only to ask again after a broken connection.",
    ),
    (
        "ND1014",
        "The first request with this Idempotency-Key is still under way.",
        "Ask again with the same key a little later; the answer will be the one of the first request.",
    ),
    (
        "ND1015",
        "Too many connections of this kind are open.",
        "Close some of them; `nextdeploy logs -f` and `/api/v1/logs` follow the same lines without a WebSocket.",
    ),
    (
        "ND1016",
        "Requests are not written down, so there are none to show.",
        "Set `access_log = \"json\"` under [proxy] in nextdeployd.toml and restart the daemon.",
    ),
    (
        "ND1017",
        "There is no certificate for that name.",
        "`nextdeploy certs ls` lists those that are kept or wanted. A domain in nextdeploy.yml gets one with the next deployment where TLS is spoken and somebody issues it.",
    ),
    (
        "ND1018",
        "The domain does not lead to that app.",
        "`nextdeploy domains ls` shows which domain leads where.",
    ),
    (
        "ND1101",
        "Another deployment of the app is under way.",
        "Deployments of one app never overlap. Wait for it with `nextdeploy deploy --lock-wait 5m`, or end it with `nextdeploy cancel DPL`.",
    ),
    (
        "ND1102",
        "The domain belongs to another app.",
        "A domain and path lead to one app. Take it away from the other app first (`nextdeploy domains rm APP DOMAIN`), or choose another domain.",
    ),
    (
        "ND1103",
        "The port of the host belongs to another app.",
        "Choose another one in `--ports HOST:APP`, or take it away from the other app.",
    ),
    (
        "ND1104",
        "The daemon cannot run this kind of app.",
        "An image needs a Docker engine that answers; a command runs without one. `nextdeploy workers` shows what the daemon has.",
    ),
    (
        "ND1105",
        "The strategy cannot be used for this app.",
        "Two versions never share a writable volume or a fixed port; such an app is replaced with `--strategy recreate`, whose gap is covered by requests that wait.",
    ),
    (
        "ND1106",
        "There is no earlier release to go back to.",
        "`nextdeploy deployments APP` lists what was deployed; the first release has nothing before it.",
    ),
    (
        "ND1107",
        "The app is not in a state in which this can be done.",
        "`nextdeploy status APP` shows its state. An app that never had a release is deployed first.",
    ),
    (
        "ND1108",
        "The release is not kept any more.",
        "The last releases are kept. Deploy the version again that you want back.",
    ),
    (
        "ND1109",
        "It was not done in time; the work goes on.",
        "`nextdeploy status APP` shows how far it is. --wait-timeout waits longer.",
    ),
    ("ND1110", "The daemon is shutting down.", "Ask again when it is back; apps go on meanwhile."),
    (
        "ND1111",
        "Something the daemon needs does not answer: the Docker engine, or the file system.",
        "The message names it. `docker info` shows whether the engine answers; the daemon goes on by itself once it does.",
    ),
    (
        "ND1112",
        "There is no room left.",
        "Nothing that was acknowledged is lost, and traffic goes on. Make room on the disk of the data directory: `df -h`, `docker system df`.",
    ),
    (
        "ND1113",
        "The authority gives no more certificates for now.",
        "It counts orders and failures by the hour and the week. What is kept serves on, and the next order is placed when the authority allows it; `nextdeploy certs show NAME` says when.",
    ),
    (
        "ND1121",
        "The server in front of the app (`proxy_type`) cannot do what the app asks for.",
        "Take that out, or use `proxy_type: embedded`. docs/guide/ingress.md lists what each can do.",
    ),
    (
        "ND1122",
        "The server that is to stand in front of the app (`proxy_type`) is not there, or does not take routes.",
        "The message says what is missing: start it, or say under [caddy] or [nginx] in nextdeployd.toml where it is.",
    ),
    (
        "ND1123",
        "Nobody could get a certificate for the wildcard.",
        "Authorities give one only to who writes a record into the DNS (dns-01). Name who does in [certs.dns_provider] or [certs.exec] of nextdeployd.toml (docs/guide/certificates.md), or bring a certificate: `nextdeploy certs import CHAIN KEY`.",
    ),
    (
        "ND1124",
        "No domain leads to an app that has its ports itself.",
        "With `proxy.enabled: false` requests come without the proxy. Take that out of nextdeploy.yml and deploy, and the app has domains.",
    ),
    (
        "ND1125",
        "Requests to the upstream would go round in circles.",
        "`upstream` is where the app's own proxy listens. Name the server that shall answer.",
    ),
    (
        "ND1126",
        "The app runs here, and an upstream would take its place.",
        "A route to a server that something else runs is an app of its own: choose another `app_name`, or destroy this one first.",
    ),
    (
        "ND1199",
        "A mistake of the daemon.",
        "Its log says more, under the request's id. Please report it with that line.",
    ),
    (
        "ND1207",
        "A release did not become ready, and traffic stayed where it was.",
        "`what` says how it ended: the exit code or signal, or the last probe. `why` names the cause where it is proven: the app listens on another port than the one that is asked, on 127.0.0.1 inside its container, ran out of memory (exit 137), or its command does not exist (exit 127). `nextdeploy deployments show DPL` shows it again with the last lines the app wrote. An app that is slow to start needs a longer `healthcheck.start_period`.",
    ),
];

/// Every code and what it stands for, in their order.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_files = Code::ALL.iter().map(|code| (code.as_str(), code.meaning()));
    of_files.chain(DAEMON.iter().map(|(code, meaning, _)| (*code, *meaning)))
}

/// What helps, for a code of the daemon. Mistakes in a file bring their own help with them.
pub(crate) fn help(code: &str) -> Option<&'static str> {
    DAEMON.iter().find(|(known, ..)| *known == code).map(|(_, _, help)| *help)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn codes_in(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes_in(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let codes = text.match_indices("\"ND").filter_map(|(at, _)| text.get(at + 1..at + 7));
                found.extend(
                    codes.filter(|code| code[2..].bytes().all(|b| b.is_ascii_digit())).map(Into::into),
                );
            }
        }
    }

    #[test]
    fn every_code_of_the_daemon_is_explained() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut answered = BTreeSet::new();
        for name in ["nd-server", "nd-cli", "nd-config"] {
            codes_in(&crates.join(name).join("src"), &mut answered);
        }
        assert!(answered.len() > 30, "{answered:?}");
        let explained: BTreeSet<String> = all().map(|(code, _)| code.to_owned()).collect();
        let missing: Vec<_> = answered.difference(&explained).collect();
        assert!(missing.is_empty(), "say in nd-cli/src/explain.rs what these codes mean: {missing:?}");
    }

    #[test]
    fn no_code_stands_for_two_things() {
        let codes: Vec<_> = all().map(|(code, _)| code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }
}
