//! `certs`: list, show, renew, import, export and revoke.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nd_api::v1::{CertExport, CertImportBody, CertRevokeBody, CertState, CertView, RevocationReason};
use nd_types::{KeyPem, Timestamp};
use serde::Serialize;

use super::{Context, Outcome, trust};
use crate::args::{CertExportArgs, CertImportArgs, CertRevokeArgs, CertsVerb, RevokeWhy};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::render::table::{Text, Tone, render};
use crate::render::time;

/// Larger files are no certificates.
const LARGEST: u64 = 256 * 1024;

pub(super) async fn run(verb: &CertsVerb, context: &Context<'_>) -> Outcome {
    match verb {
        CertsVerb::Ls => list(context).await,
        CertsVerb::Show(cert) => {
            let view = context.client.cert(&cert.domain).await?;
            Ok(told(&view, whole, context.output))
        }
        CertsVerb::Renew(cert) => {
            let view = context.client.renew_cert(&cert.domain).await?;
            Ok(told(&view, |view| format!("{} renewed: {}", view.name, in_short(view)), context.output))
        }
        CertsVerb::Import(args) => import(args, context).await,
        CertsVerb::Export(args) => export(args, context).await,
        CertsVerb::Revoke(args) => revoke(args, context).await,
        CertsVerb::Trust(args) => trust::trust(args, context).await,
        CertsVerb::Untrust(args) => trust::untrust(args, context).await,
    }
}

async fn list(context: &Context<'_>) -> Outcome {
    let certs = context.client.certs().await?;
    if context.output.json {
        context.output.list(&certs);
        return Ok(Exit::Ok);
    }
    if certs.is_empty() {
        context.output.note("no app has a domain for which a certificate is wanted");
        return Ok(Exit::Ok);
    }
    let rows = certs.iter().map(|cert| {
        let names: Vec<&str> = cert.names.iter().map(nd_types::HostPattern::as_str).collect();
        let renewed = cert.renewal.as_ref().map(|renewal| time::date_clock(renewal.due));
        vec![
            Text::plain(names.join(", ")),
            Text(cert.state.to_string(), tone(cert.state)),
            Text::shown_or_dash(cert.app.as_ref()),
            Text::plain(issuer(cert)),
            Text::or_dash(cert.served.as_ref().map(|served| left(served.not_after))),
            Text::or_dash(renewed.or_else(|| cert.error.clone())),
        ]
    });
    let columns = ["domain", "state", "app", "issuer", "ends in", "renewed at"];
    context.output.result(&render(&columns, rows.collect(), context.output));
    Ok(Exit::Ok)
}

async fn import(args: &CertImportArgs, context: &Context<'_>) -> Outcome {
    let (chain, key) = (read(&args.chain)?, KeyPem::new(read(&args.key)?));
    let view = context.client.import_cert(&CertImportBody { chain, key }).await?;
    Ok(told(&view, |view| format!("{} is served: {}", view.name, in_short(view)), context.output))
}

async fn revoke(args: &CertRevokeArgs, context: &Context<'_>) -> Outcome {
    let reason = args.reason.map(|why| match why {
        RevokeWhy::KeyCompromise => RevocationReason::KeyCompromise,
        RevokeWhy::Superseded => RevocationReason::Superseded,
        RevokeWhy::Cessation => RevocationReason::CessationOfOperation,
    });
    let view = context.client.revoke_cert(&args.cert.domain, &CertRevokeBody { reason }).await?;
    Ok(told(&view, |view| format!("{} revoked: {}", view.name, in_short(view)), context.output))
}

/// Where a certificate was written.
#[derive(Serialize)]
struct Written {
    chain: PathBuf,
    key: PathBuf,
}

async fn export(args: &CertExportArgs, context: &Context<'_>) -> Outcome {
    let CertExport { chain, key } = context.client.export_cert(&args.cert.domain).await?;
    // A name of a certificate has no `/` in it, and its `*` would be more than a name for a shell.
    let stem = args.cert.domain.trim_end_matches('.').to_ascii_lowercase().replace('*', "_");
    let written =
        Written { chain: args.dir.join(format!("{stem}.pem")), key: args.dir.join(format!("{stem}.key")) };
    write(&written.key, key.expose())?;
    write(&written.chain, &chain)?;
    if context.output.json {
        context.output.object(&written);
    } else {
        context.output.result(&format!("{}\n{}", written.chain.display(), written.key.display()));
    }
    Ok(Exit::Ok)
}

/// Nobody else can read it, not for a moment; what is there already is somebody's.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("write {}: {error}", path.display()));
    let mut file: File =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |why: String| Failure::usage(format!("read {}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > LARGEST {
        return Err(failed(format!("{size} bytes are more than a certificate has")));
    }
    fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

fn told(view: &CertView, line: impl FnOnce(&CertView) -> String, output: &Output) -> Exit {
    if output.json {
        output.object(view);
    } else {
        output.result(&line(view));
    }
    Exit::Ok
}

fn in_short(view: &CertView) -> String {
    match &view.served {
        Some(served) => format!("serial {}, until {}", served.serial, time::date_clock(served.not_after)),
        None => view.state.to_string(),
    }
}

/// Everything about one, a line each.
fn whole(view: &CertView) -> String {
    let names: Vec<&str> = view.names.iter().map(nd_types::HostPattern::as_str).collect();
    let mut lines = vec![format!("{}  {}", view.name, view.state), row("names", &names.join(", "))];
    lines.extend(view.app.as_ref().map(|app| row("app", app.as_str())));
    lines.push(row("issuer", &issuer(view)));
    if let Some(served) = &view.served {
        lines.push(row("signed by", &served.signed_by));
        lines.push(row("serial", &served.serial));
        lines.push(row("sha-256", &served.fingerprint));
        let (from, to) = (time::date_clock(served.not_before), time::date_clock(served.not_after));
        lines.push(row("valid", &format!("{from} to {to}, {}", left(served.not_after))));
    }
    if let Some(renewal) = &view.renewal {
        lines.push(row("renewed", &format!("{} ({})", time::date_clock(renewal.due), renewal.why)));
    }
    lines.extend(view.error.as_ref().map(|error| row("error", error)));
    lines.extend(view.retry_at.map(|at| row("next try", &time::date_clock(at))));
    for order in &view.orders {
        let end = order.serial.as_ref().map(|serial| format!("serial {serial}"));
        let end = end.or_else(|| order.error.clone()).unwrap_or_default();
        lines.push(row("order", &format!("{} {}: {end}", time::date_clock(order.at), order.issuer)));
    }
    lines.join("\n")
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<10} {value}")
}

fn issuer(view: &CertView) -> String {
    view.issuer.clone().unwrap_or_else(|| "brought by hand".to_owned())
}

fn left(end: Timestamp) -> String {
    let left = end.duration_since(Timestamp::now()).as_secs();
    match left {
        ..0 => "expired".to_owned(),
        0..172_800 => time::uptime(left.unsigned_abs() * 1000),
        _ => format!("{} days", left / 86_400),
    }
}

pub(super) fn tone(state: CertState) -> Tone {
    match state {
        CertState::Valid => Tone::Good,
        CertState::Due | CertState::Ordering | CertState::Missing => Tone::Odd,
        CertState::Expired | CertState::Failed => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&path, "other").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }

    #[test]
    fn everything_about_a_certificate_is_shown_line_by_line() {
        let view: CertView = serde_json::from_value(serde_json::json!({
            "name": "a.example.com", "state": "failed", "names": ["a.example.com"], "issuer": "zerossl",
            "ordering": false, "error": "CAA forbids it",
            "orders": [{"at": "2026-11-21T15:04:05Z", "issuer": "zerossl", "error": "CAA forbids it"}],
        }))
        .unwrap();
        let text = whole(&view);
        assert!(text.starts_with("a.example.com  failed\nnames      a.example.com\n"), "{text}");
        assert!(
            text.contains("error      CAA forbids it") && text.contains("zerossl: CAA forbids it"),
            "{text}"
        );
        assert_eq!(left(Timestamp::UNIX_EPOCH), "expired");
    }
}
