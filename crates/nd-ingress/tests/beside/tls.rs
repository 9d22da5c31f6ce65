//! Our certificates, shown by servers beside us.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::Ingress;
use nd_ingress::{CaddySettings, Https, NginxSettings, caddy_ingress, nginx_ingress};
use nd_testkit::free_address;
use nd_testkit::servers::{CaddyServer, NginxServer};
use nd_types::{Certificate, Challenge, EdgeState, HostPattern, Hsts, KeyPem, ServiceTls, TlsState};
use tokio::process::Command;

use crate::support::{APP, App, Result, ask, state};

/// A host of the app without a certificate.
const BARE: &str = "bare.localhost";

const HSTS: &str = "strict-transport-security: max-age=600; includeSubDomains";

/// One that signed itself, for this name.
fn certificate(name: &str) -> Result<Arc<Certificate>> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    let (names, chain) = (vec![HostPattern::pattern(name)?], made.cert.pem());
    Ok(Arc::new(Certificate { names, chain, key: KeyPem::new(made.signing_key.serialize_pem()) }))
}

/// The app under both hosts, which wants its visitors to come over TLS.
fn secured(generation: u64, app: &App, tls: TlsState) -> Result<Arc<EdgeState>> {
    let mut state = EdgeState::clone(&*state(generation, &[APP, BARE], Some(app.address))?);
    let hsts = Hsts { max_age: Duration::from_secs(600), include_subdomains: true, preload: false };
    for service in &mut state.services {
        service.tls = Arc::new(ServiceTls { redirect: true, hsts: Some(hsts), client_ca: None });
    }
    state.tls = Arc::new(tls);
    Ok(Arc::new(state))
}

fn showing(certificate: &Arc<Certificate>) -> TlsState {
    TlsState { certificates: vec![Arc::clone(certificate)], ..TlsState::default() }
}

/// What somebody is answered who trusts this certificate alone: fields and body.
async fn ask_securely(https: SocketAddr, host: &str, trusted: &str) -> Result<String> {
    let output = curl(https, host, &["--cacert", "/dev/stdin"], trusted).await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.to_ascii_lowercase())
}

async fn curl(https: SocketAddr, host: &str, words: &[&str], input: &str) -> Result<Output> {
    let port = https.port();
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "15", "--resolve", &format!("{host}:{port}:{}", https.ip())]);
    command.args(words).arg(format!("https://{host}:{port}/"));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await?;
    }
    Ok(child.wait_with_output().await?)
}

/// The status, and where it leads.
async fn led(at: SocketAddr, host: &str, path: &str) -> Result<(String, String)> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "15", "-H", &format!("Host: {host}")]);
    command.args(["-w", "\n%{http_code} %{redirect_url}", &format!("http://{at}{path}")]);
    let output = command.output().await?;
    let text = String::from_utf8(output.stdout)?;
    let (body, last) = text.rsplit_once('\n').ok_or("curl says nothing")?;
    Ok((body.to_owned(), last.trim().to_owned()))
}

/// From the first challenge to an app that wants no certificate any more.
async fn shows_our_certificates(ingress: &dyn Ingress, http: SocketAddr, https: SocketAddr) -> Result {
    let app = App::start().await?;
    let (first, second) = (certificate(APP)?, certificate(APP)?);
    let challenge = Challenge::Http01 { token: "a-B_c".to_owned(), answer: "a-B_c.xyz".to_owned() };
    let asked = TlsState { challenges: vec![challenge.clone()], ..TlsState::default() };
    ingress.apply(secured(1, &app, asked)?).await?;
    let path = "/.well-known/acme-challenge/a-B_c";
    assert_eq!(led(http, APP, path).await?, ("a-B_c.xyz".to_owned(), "200".to_owned()));
    assert_eq!(ask(http, APP).await?, (200, "app".to_owned()), "there is nothing to lead to yet");
    assert!(tokio::net::TcpStream::connect(https).await.is_err(), "without a certificate there is no TLS");

    let asked = TlsState { challenges: vec![challenge], ..showing(&first) };
    ingress.apply(secured(2, &app, asked)?).await?;
    let answer = ask_securely(https, APP, &first.chain).await?;
    assert!(
        answer.contains(" 200") && answer.ends_with("app") && answer.contains(&HSTS.to_lowercase()),
        "{answer}"
    );
    let secure = format!("308 https://{APP}:{}/x?y=1", https.port());
    assert_eq!(led(http, APP, "/x?y=1").await?.1, secure);
    assert_eq!(led(http, APP, path).await?.1, "200", "authorities come over plain HTTP");
    assert_eq!(
        ask(http, BARE).await?,
        (200, "app".to_owned()),
        "a host without a certificate is led nowhere"
    );
    assert!(ask_securely(https, BARE, &first.chain).await.is_err());

    ingress.apply(secured(3, &app, showing(&second))?).await?;
    ask_securely(https, APP, &second.chain).await?;
    assert!(ask_securely(https, APP, &first.chain).await.is_err(), "the one before is not shown any more");

    ingress.apply(secured(4, &app, TlsState::default())?).await?;
    assert_eq!(ask(http, APP).await?, (200, "app".to_owned()));
    assert!(tokio::net::TcpStream::connect(https).await.is_err(), "nothing is left of TLS");
    Ok(())
}

/// Whether the key stands in one of these files.
fn has_key(folder: &Path, certificate: &Certificate) -> Result<Vec<std::path::PathBuf>> {
    let secret = certificate.key.expose().lines().nth(1).ok_or("a key without content")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(has_key(&path, certificate)?);
        } else if path.is_file() && String::from_utf8_lossy(&fs::read(&path)?).contains(secret) {
            found.push(path);
        }
    }
    Ok(found)
}

fn beside_nginx(server: &NginxServer, https: SocketAddr) -> Arc<dyn Ingress> {
    let settings = NginxSettings {
        http: server.http,
        https: Some(Https::At(https)),
        file: server.ours().join("nextdeploy.conf"),
        config: Some(server.config()),
        pid_file: server.pid_file(),
        ..NginxSettings::default()
    };
    nginx_ingress(settings, server.folder().join("kept"), false)
}

fn beside_caddy(server: &CaddyServer, https: SocketAddr) -> Result<Arc<dyn Ingress>> {
    let settings = CaddySettings {
        admin: server.admin(),
        http: server.http,
        https: Some(Https::At(https)),
        ..CaddySettings::default()
    };
    Ok(caddy_ingress(&settings, server.folder().join("kept"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_shows_the_certificates_that_we_have_and_leads_to_tls() -> Result {
    let (server, https) = (NginxServer::start()?, free_address()?);
    shows_our_certificates(&*beside_nginx(&server, https), server.http, https).await?;
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_shows_the_certificates_that_we_have_and_leads_to_tls() -> Result {
    let (server, https) = (CaddyServer::start()?, free_address()?);
    shows_our_certificates(&*beside_caddy(&server, https)?, server.http, https).await?;
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lies_where_nobody_else_reads_it_and_goes_with_its_certificate() -> Result {
    let (server, https, app) = (NginxServer::start()?, free_address()?, App::start().await?);
    let ingress = beside_nginx(&server, https);
    let (first, second) = (certificate(APP)?, certificate(APP)?);
    ingress.apply(secured(1, &app, showing(&first))?).await?;
    let [file] = &has_key(server.folder(), &first)?[..] else { return Err("one file has the key".into()) };
    let mode = |path: &Path| fs::metadata(path).map(|data| data.permissions().mode() & 0o777);
    let folder = file.parent().ok_or("no folder")?;
    assert_eq!((mode(file)?, mode(folder)?), (0o600, 0o700));
    ingress.apply(secured(2, &app, showing(&second))?).await?;
    assert_eq!((has_key(server.folder(), &first)?.len(), has_key(server.folder(), &second)?.len()), (0, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_somebody_else_has_is_said_and_all_else_serves() -> Result {
    let (nginx, caddy, app) = (NginxServer::start()?, CaddyServer::start()?, App::start().await?);
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let https = holder.local_addr()?;
    let beside = [(beside_nginx(&nginx, https), nginx.http), (beside_caddy(&caddy, https)?, caddy.http)];
    for (ingress, http) in beside {
        let applied = ingress.apply(secured(1, &app, showing(&certificate(APP)?))?).await?;
        let fault = applied.faults.first().ok_or("nobody is told that the port is taken")?;
        assert!(fault.app.is_none() && fault.bind == https && fault.error.contains("in use"), "{fault:?}");
        assert_eq!(ask(http, APP).await?, (200, "app".to_owned()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_speaks_tls_on_the_same_port_of_nginx_notices_nothing() -> Result {
    let (server, https, app) = (NginxServer::start()?, free_address()?, App::start().await?);
    let own = certificate("user.localhost")?;
    let file = server.folder().join("own.pem");
    fs::write(&file, format!("{}{}", own.chain, own.key.expose()))?;
    let site = format!(
        "server {{ listen {https} ssl; server_name user.localhost; return 200 user; \
         ssl_certificate {0}; ssl_certificate_key {0}; }}\n",
        file.display()
    );
    fs::write(server.users_config(), fs::read_to_string(server.users_config())? + &site)?;
    let (ingress, first) = (beside_nginx(&server, https), certificate(APP)?);
    ingress.apply(secured(1, &app, showing(&first))?).await?;
    for host in ["user.localhost", "unknown.localhost"] {
        let answer = curl(https, host, &["-k"], "").await?;
        let answer = String::from_utf8(answer.stdout)?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("user"), "{host}: {answer}");
    }
    ask_securely(https, "user.localhost", &own.chain).await?;
    ask_securely(https, APP, &first.chain).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_speaks_tls_on_the_same_port_of_caddy_notices_nothing() -> Result {
    let (mut server, https, app) = (CaddyServer::start()?, free_address()?, App::start().await?);
    let own = certificate("user.localhost")?;
    let [chain, key] = ["own.pem", "own.key"].map(|name| server.folder().join(name));
    fs::write(&chain, &own.chain)?;
    fs::write(&key, own.key.expose())?;
    let site = format!(
        "https://user.localhost:{} {{\n\tbind {}\n\ttls {} {}\n\trespond user\n}}\n",
        https.port(),
        https.ip(),
        chain.display(),
        key.display()
    );
    let text =
        fs::read_to_string(server.caddyfile())?.replacen("{\n", "{\n\tauto_https disable_redirects\n", 1);
    fs::write(server.caddyfile(), text + &site)?;
    server.kill();
    server.launch()?;
    let (ingress, first, second) = (beside_caddy(&server, https)?, certificate(APP)?, certificate(APP)?);
    for (generation, shown) in [(1, &first), (2, &second)] {
        ingress.apply(secured(generation, &app, showing(shown))?).await?;
        let answer = ask_securely(https, "user.localhost", &own.chain).await?;
        assert!(answer.ends_with("user"), "{answer}");
        let answer = ask_securely(https, APP, &shown.chain).await?;
        assert!(answer.ends_with("app"), "{generation}: {answer}");
    }
    ingress.apply(state(3, &[], None)?).await?;
    assert!(ask_securely(https, "user.localhost", &own.chain).await?.ends_with("user"));
    Ok(())
}
