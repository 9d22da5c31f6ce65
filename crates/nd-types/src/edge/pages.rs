//! Pages of an app's own for what the data plane answers in its place.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A page for each status, or for all of a class.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct ErrorPages(BTreeMap<String, String>);

/// Why pages cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPages {
    /// A key that is no status of an error.
    #[error("`{0}` is not a status of an error; write 400 to 599, `4xx` or `5xx`")]
    Status(String),
    /// One is too long.
    #[error("the page for {0} is longer than 64 KiB")]
    TooLong(String),
    /// All together are too long.
    #[error("the error pages are longer than 256 KiB together")]
    TooMuch,
}

impl ErrorPages {
    /// The longest page, in bytes.
    pub const LONGEST: usize = 64 * 1024;
    /// All pages together, in bytes.
    pub const LONGEST_TOGETHER: usize = 256 * 1024;

    /// Pages by status (`503`) or class (`5xx`).
    ///
    /// # Errors
    /// [`InvalidPages`] for another key, and for more than may be kept.
    pub fn new(pages: BTreeMap<String, String>) -> Result<Self, InvalidPages> {
        for (key, page) in &pages {
            if !Self::is_key(key) {
                return Err(InvalidPages::Status(key.clone()));
            }
            if page.len() > Self::LONGEST {
                return Err(InvalidPages::TooLong(key.clone()));
            }
        }
        if pages.values().map(String::len).sum::<usize>() > Self::LONGEST_TOGETHER {
            return Err(InvalidPages::TooMuch);
        }
        Ok(Self(pages))
    }

    /// Whether this is a status of an error, or a class of them.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        matches!(key, "4xx" | "5xx") || key.len() == 3 && key.parse().is_ok_and(|n| (400..600).contains(&n))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The page for a status: its own, or that of its class.
    #[must_use]
    pub fn find(&self, status: u16) -> Option<&str> {
        let own = || self.0.get(&status.to_string());
        let of_class = || self.0.get(&format!("{}xx", status / 100));
        if self.0.is_empty() { None } else { own().or_else(of_class).map(String::as_str) }
    }
}

impl TryFrom<BTreeMap<String, String>> for ErrorPages {
    type Error = InvalidPages;

    fn try_from(pages: BTreeMap<String, String>) -> Result<Self, InvalidPages> {
        Self::new(pages)
    }
}

impl From<ErrorPages> for BTreeMap<String, String> {
    fn from(pages: ErrorPages) -> Self {
        pages.0
    }
}

impl fmt::Debug for ErrorPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(pages: &[(&str, usize)]) -> Result<ErrorPages, InvalidPages> {
        ErrorPages::new(pages.iter().map(|(key, length)| ((*key).to_owned(), "x".repeat(*length))).collect())
    }

    #[test]
    fn a_status_has_its_own_page_or_that_of_its_class() {
        let pages = pages(&[("503", 1), ("5xx", 2)]).unwrap();
        let length = |status| pages.find(status).map(str::len);
        assert_eq!((length(503), length(502), length(404)), (Some(1), Some(2), None));
    }

    #[test]
    fn foreign_keys_and_long_pages_are_refused() {
        for key in ["200", "600", "4XX", "50", "3xx", "0503", "+50"] {
            assert_eq!(pages(&[(key, 1)]), Err(InvalidPages::Status(key.to_owned())));
        }
        assert_eq!(pages(&[("500", 65_537)]), Err(InvalidPages::TooLong("500".to_owned())));
        let five = ["500", "501", "502", "503", "504"].map(|key| (key, 60_000));
        assert_eq!(pages(&five), Err(InvalidPages::TooMuch));
    }
}
