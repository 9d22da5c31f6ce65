//! What can be written wrong under `proxy:`, and what is said about it.

use nd_config::{Checked, ReadOptions, Report, Workload, read_manifest};

fn read(text: &str) -> Result<Checked, Report> {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    read_manifest("nextdeploy.yml", text, &options)
}

/// What is said about a file with these lines below `proxy:`, which is its third line; one line a mistake.
fn said(lines: &str) -> String {
    match read(&format!("app: {{name: shop, port: 3000}}\nimage: node:22\nproxy: {lines}\n")) {
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
    a_page_is_for_an_error:
        "{error_pages: {200: \"<p>fine</p>\"}}" =>
        "error[ND0121] nextdeploy.yml:3:23: `200` is not a status of an error; write 400 to 599, `4xx` or `5xx`";
    a_hash_of_a_weak_kind_is_refused_and_no_password_is_said_aloud:
        "{basic_auth: {users: {ana: \"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\", ben: \"\", \"a:b\": x}}}" =>
        "error[ND0121] nextdeploy.yml:3:30: the password of `ana`: not a hash of bcrypt or Argon2; `htpasswd -nB NAME` makes one\nerror[ND0121] nextdeploy.yml:3:77: ben must not be empty\nerror[ND0121] nextdeploy.yml:3:81: the name of a user is a text without a colon";
    users_are_what_a_password_is_for:
        "{basic_auth: {paths: [/admin]}}" =>
        "error[ND0112] nextdeploy.yml:3:9: `proxy.basic_auth.users` is missing; help: write `users: {ana: ${ANA_PASSWORD}}`";
    a_secret_of_the_store_is_not_there_yet:
        "{basic_auth: {users: \"secret:ADMIN\"}}" =>
        "error[ND0202] nextdeploy.yml:3:29: `secret:ADMIN` is not supported yet by this version; help: write `${ADMIN}` and export it";
    an_unknown_coding_is_named_with_the_known_ones:
        "{compression: [brotli, gzip, gzip]}" =>
        "error[ND0121] nextdeploy.yml:3:23: `brotli` is not one of zstd, br, gzip; help: `br`\nerror[ND0123] nextdeploy.yml:3:37: `gzip` is there already";
    a_star_stands_at_the_beginning_of_a_host:
        "{routes: [{host: api.*.com}]}" =>
        "error[ND0121] nextdeploy.yml:3:25: `api.*.com` is not a host name; write it as `app.example.com`, without scheme, port or path; help: a `*` stands for the first labels: `*.example.com`";
    a_path_has_no_star:
        "{routes: [{path: /api/*}]}" =>
        "error[ND0121] nextdeploy.yml:3:25: path must be a prefix such as `/api`, found /api/*; help: write `/api`";
    nothing_can_be_stripped_from_every_path:
        "{routes: [{host: a.example, strip: true}]}" =>
        "error[ND0123] nextdeploy.yml:3:43: strip takes the path of the route away, and it has none; help: write `path: /api` beside it";
    a_redirect_to_a_host_is_for_a_host:
        "{routes: [{path: /x, redirect: a.example}]}" =>
        "error[ND0112] nextdeploy.yml:3:39: a redirect to another host needs the `host` it is for; help: write `{host: www.example.com, redirect: app.example.com}`";
    a_host_does_not_lead_to_itself:
        "{routes: [{host: a.example, redirect: A.example}]}" =>
        "error[ND0123] nextdeploy.yml:3:46: the redirect leads to its own host";
    nobody_waits_for_a_redirect:
        "{routes: [{host: a.example, redirect: b.example, timeout: 5s}]}" =>
        "error[ND0123] nextdeploy.yml:3:66: timeout has no effect on a redirect, which no app answers";
    two_routes_are_not_the_same:
        "{routes: [{path: /x}, {path: /x, timeout: 5s}]}" =>
        "error[ND0123] nextdeploy.yml:3:30: routes[1] has the host and path of another route; help: keep one of them";
    a_misspelt_option_of_a_route_is_told_the_right_one:
        "{routes: [{path: /x, stripp: true}]}" =>
        "error[ND0110] nextdeploy.yml:3:29: unknown key `stripp` in proxy.routes; help: a key with a similar name exists: `strip`";
    a_redirect_has_a_path:
        "{redirects: [{from: old, to: /new}]}" =>
        "error[ND0121] nextdeploy.yml:3:28: `old` is not a path such as `/old/*`; at most nine `*`, and none beside another";
    no_visitor_chooses_the_host_of_a_redirect:
        "{redirects: [{from: /go/*, to: \"https://$1\"}]}" =>
        "error[ND0121] nextdeploy.yml:3:39: `https://$1` is neither a path such as `/new/$1` nor a URL whose host is written out";
    what_is_used_was_captured:
        "{redirects: [{from: /old, to: /new/$1}]}" =>
        "error[ND0121] nextdeploy.yml:3:38: `/new/$1` uses $1, and `/old` has 0 `*`";
    a_redirect_leads_away:
        "{redirects: [{from: /a/*, to: /a/b/$1}]}" =>
        "error[ND0121] nextdeploy.yml:3:38: `/a/*` leads to itself";
    a_redirect_has_a_status_of_redirects:
        "{redirects: [{from: /a, to: /b, code: 200}]}" =>
        "error[ND0121] nextdeploy.yml:3:46: 200 is not a redirect; write 301, 302, 307 or 308; help: 308 keeps method and body, 307 does so for now; 301 and 302 turn POST into GET";
    a_path_is_redirected_once:
        "{redirects: [{from: /a, to: /b}, {from: /a, to: /c}]}" =>
        "error[ND0123] nextdeploy.yml:3:48: `/a` is redirected already";
    framing_is_not_to_be_changed:
        "{headers: {add: {Content-Length: 5}, remove: [Connection]}}" =>
        "error[ND0121] nextdeploy.yml:3:25: `Content-Length` belongs to the connection or frames the message, so that the proxy alone sets it\nerror[ND0121] nextdeploy.yml:3:54: `Connection` belongs to the connection or frames the message, so that the proxy alone sets it";
    a_field_is_one_line:
        "{headers: {add: {X-A: \"b\\nSet-Cookie: c\"}}}" =>
        "error[ND0121] nextdeploy.yml:3:30: the value of a header field is one line of printable ASCII";
    a_field_is_set_once:
        "{headers: {add: {X-A: b, x-a: c}}}" =>
        "error[ND0123] nextdeploy.yml:3:33: `x-a` and `X-A` are the same field";
    a_network_has_a_prefix_that_fits:
        "{access: {allow: [10.0.0.0/33]}}" =>
        "error[ND0121] nextdeploy.yml:3:26: `10.0.0.0/33` is not a network; write it as `10.0.0.0/8` or `192.0.2.1`";
    paths_alone_keep_nobody_out:
        "{access: {paths: [/admin]}}" =>
        "error[ND0112] nextdeploy.yml:3:9: access has paths, and neither `allow` nor `deny`; help: write `allow: [203.0.113.0/24]`";
}

#[test]
fn what_the_proxy_does_is_left_out_together_with_the_proxy() {
    let said = said("{enabled: false, headers: {remove: [Server]}}");
    assert!(
        said.contains("`proxy.headers` is of the proxy, and `proxy.enabled: false` leaves that out"),
        "{said}"
    );
}
