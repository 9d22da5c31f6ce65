//! What goes wrong here is told to a person, and handled by nobody.

/// Why something did not work.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of most things here.
pub type Result<T = ()> = std::result::Result<T, Error>;
