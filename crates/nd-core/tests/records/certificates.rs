//! Records of certificates.

use std::sync::Arc;

use nd_core::events::{Event, StoredEvent};
use nd_core::ports::CertFiles;
use nd_core::records::{CertOrderEnd, CertOrderRecord, CertRecord, Record, ReleaseRecord};
use nd_core::spec::{AppSpec, CommandSpec, TlsSpec, Workload};
use nd_types::{HostPattern, ServiceTls};

use super::{Outcome, at, keeps};

#[test]
fn the_record_of_a_certificate_is_kept() -> Outcome {
    let mut record = CertRecord::new(HostPattern::new("shop.example.com")?);
    record.wish = "letsencrypt 8f3k2a shop.example.com".to_owned();
    (record.failures, record.retry_at, record.asked_to_wait) = (2, Some(at(60)?), true);
    record.warned_days = Some(7);
    let issued = CertOrderEnd::Issued { serial: "01ab".to_owned(), not_after: at(90)? };
    let failed = CertOrderEnd::Failed { error: "the name does not lead here".to_owned() };
    let order = |end| {
        Ok::<_, Box<dyn std::error::Error>>(CertOrderRecord {
            at: at(0)?,
            issuer: "letsencrypt".to_owned(),
            end,
        })
    };
    record.orders = vec![order(issued)?, order(failed)?];
    keeps("cert-full.json", &Record::Cert(Box::new(record)))?;
    keeps("cert-new.json", &Record::Cert(Box::new(CertRecord::new(HostPattern::pattern("*.example.com")?))))
}

#[test]
fn the_events_of_certificates_are_kept() -> Outcome {
    let name = HostPattern::new("shop.example.com")?;
    let (issuer, serial, not_after) = ("letsencrypt".to_owned(), "01ab".to_owned(), at(90)?);
    let events = [
        Event::CertIssued { name: name.clone(), issuer: issuer.clone(), serial: serial.clone(), not_after },
        Event::CertRenewed { name: name.clone(), issuer, serial, not_after },
        Event::CertFailed { name: name.clone(), reason: "text".to_owned(), retry_at: at(60)? },
        Event::CertExpiring { name, not_after },
    ];
    for (number, what) in (34..).zip(events) {
        let file = format!("event-{number}-{}.json", what.type_name().replace('.', "-"));
        let (unit, deployment, actor) = (None, None, None);
        let event =
            StoredEvent { id: number, at: at(0)?, app: Some("shop".parse()?), unit, deployment, actor, what };
        keeps(&file, &Record::Event(Box::new(event)))?;
    }
    Ok(())
}

#[test]
fn what_a_release_wants_of_tls_is_kept() -> Outcome {
    let (argv, cwd) = (vec!["serve".to_owned()], "/srv".into());
    let mut spec = AppSpec::new(Workload::Command(CommandSpec { argv, cwd, user: None, path: None }));
    spec.tls = Arc::new(TlsSpec {
        enabled: true,
        issuer: "custom".parse().ok(),
        domains: vec![HostPattern::pattern("*.example.com")?],
        wildcard: false,
        auto_renew: false,
        files: Some(CertFiles { chain: "/etc/ssl/a.pem".into(), key: "/etc/ssl/a.key".into() }),
        dns_provider: "cloudflare".parse().ok(),
        email: Some("ops@example.com".to_owned()),
        service: Arc::new(ServiceTls { redirect: true, ..ServiceTls::default() }),
    });
    let record = ReleaseRecord {
        id: "8f3k2a".parse()?,
        app: "shop".parse()?,
        deployment: None,
        created_at: at(0)?,
        adopted: None,
        prepared: None,
        spec: (&spec).into(),
    };
    let kept = Record::Release(Box::new(record.clone())).encode()?;
    let text = kept.body.unwrap_or_default();
    let wanted = r#""tls":{"enabled":true,"issuer":"custom","domains":["*.example.com"],"wildcard":false,"auto_renew":false,"files":{"chain":"/etc/ssl/a.pem","key":"/etc/ssl/a.key"},"dns_provider":"cloudflare","email":"ops@example.com","service":{"redirect":true,"hsts":null,"client_ca":null}}"#;
    assert!(text.contains(wanted), "{text}");
    assert_eq!(Record::decode(kept.kind, &kept.key, &text)?, Record::Release(Box::new(record.clone())));
    assert_eq!(AppSpec::from(&record.spec), spec);
    Ok(())
}
