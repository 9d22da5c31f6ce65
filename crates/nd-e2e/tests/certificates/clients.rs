//! What clients that are not ours say of our TLS.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nd_e2e::{Result, has};

use crate::shop::{By, SHOP, Shop, YEAR};

/// How long a browser may take to load a page on a busy machine, in seconds.
const PATIENCE: &str = "60";

/// What the app answers.
const PAGE: &str = "hello from release";

#[test]
fn openssl_verifies_the_chain_and_the_name_with_both_versions_of_tls() -> Result {
    let shop = Shop::open(By::Http, YEAR)?;
    shop.deploy("", SHOP)?;
    for (version, protocol) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (is_satisfied, said) = s_client(&shop, &[version, "-alpn", "h2,http/1.1"])?;
        assert!(is_satisfied, "{version}: {said}");
        for wanted in ["Verify return code: 0 (ok)", "ALPN protocol: h2", protocol] {
            assert!(said.contains(wanted), "{version}: no {wanted:?} in\n{said}");
        }
    }
    let (is_satisfied, said) = s_client(&shop, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])?;
    assert!(!is_satisfied, "TLS 1.1 is forbidden (RFC 8996): {said}");
    Ok(())
}

#[test]
fn a_browser_that_trusts_the_authority_shows_the_page_and_another_one_does_not() -> Result {
    if !has("chromium", "a page over TLS in a browser") || !has("certutil", "a browser's own roots") {
        return Ok(());
    }
    let shop = Shop::open(By::Http, YEAR)?;
    shop.deploy("", SHOP)?;
    let home = tempfile::tempdir()?;
    let stranger = browse(&shop, home.path())?;
    assert!(!stranger.contains(PAGE), "without the root it is no page to show: {stranger}");
    trust(home.path(), &shop.root)?;
    let page = browse(&shop, home.path())?;
    assert!(page.contains(PAGE), "{page}");
    Ok(())
}

/// Whether `openssl s_client` is satisfied with a handshake, and what it says.
fn s_client(shop: &Shop, words: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new("timeout");
    command.args(["15", "openssl", "s_client", "-servername", SHOP, "-verify_hostname", SHOP]);
    command.args(["-verify_return_error", "-connect", &format!("127.0.0.1:{}", shop.https)]);
    command.arg("-CAfile").arg(&shop.root).args(words).stdin(Stdio::null());
    let output = command.output()?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((output.status.success(), said.concat()))
}

/// The page of the shop as a browser with this home shows it.
fn browse(shop: &Shop, home: &Path) -> Result<String> {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", home.join("profile").display()));
    command.arg(format!("--host-resolver-rules=MAP {SHOP} 127.0.0.1"));
    command.arg(format!("https://{SHOP}:{}/", shop.https)).env("HOME", home);
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("chromium ended with {}: {said}", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Has the browser with this home trust a root (NSS shared database).
fn trust(home: &Path, root: &Path) -> Result {
    let folder = home.join(".pki/nssdb");
    fs::create_dir_all(&folder)?;
    let database = format!("sql:{}", folder.display());
    let certutil = |words: &[&str]| -> Result {
        let output = Command::new("certutil").args(["-d", &database]).args(words).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("certutil: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    };
    certutil(&["-N", "--empty-password"])?;
    certutil(&["-A", "-t", "C,,", "-n", "root", "-i", &root.display().to_string()])
}
