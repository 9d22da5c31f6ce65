//! The token of the TCP port.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The daemon's token, kept as its SHA-256, so that comparing takes the same time however much of it is right.
#[derive(Clone)]
pub struct Token {
    hash: [u8; 32],
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{doing} the API token {path}: {source}", path = .path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} does not hold an API token; remove it and start the daemon again for a new one", path = .0.display())]
    Damaged(PathBuf),
    /// The system has no random source.
    #[error("make an API token: {0}")]
    Random(String),
}

/// What every token begins with.
const PREFIX: &str = "ndt_";

impl Token {
    /// Reads the token of a file, or makes one at the first start.
    ///
    /// # Errors
    /// [`TokenError`] when the file cannot be read, written or does not hold a token.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        let file = |doing| move |source| TokenError::File { doing, path: path.to_owned(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(file("protect"))?;
                Self::from_text(text.trim()).ok_or_else(|| TokenError::Damaged(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = random_text()?;
                write_private(path, &text).map_err(file("write"))?;
                Self::from_text(&text).ok_or_else(|| TokenError::Damaged(path.to_owned()))
            }
            Err(error) => Err(file("read")(error)),
        }
    }

    /// Takes a text as the token, if it has a token's form.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX)?;
        let plain = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| Self { hash: Sha256::digest(text).into() })
    }

    /// Whether a text is this token.
    pub(crate) fn is(&self, given: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(given).into();
        hash.ct_eq(&self.hash).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// 32 random bytes in hexadecimal digits.
fn random_text() -> Result<String, TokenError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
    Ok(bytes.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// Writes beside the file and renames, so that a half-written token is never read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        Token::load_or_create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), PREFIX.len() + 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Token::load_or_create(&path).unwrap();
        assert!(again.is(text.trim()));
        assert!(!again.is("ndt_0"));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "hello").unwrap();
        let error = Token::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("does not hold an API token"), "{error}");
    }
}
