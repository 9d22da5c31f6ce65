//! A name for an app that was given none.

use std::path::Path;

use nd_types::AppName;

/// The name of an image's repository: `shop` of `ghcr.io/team/shop:1.4`.
pub(super) fn of_image(reference: &str) -> Option<AppName> {
    let untagged = reference.split('@').next().unwrap_or(reference);
    let last = untagged.rsplit('/').next()?;
    sanitised(last.split(':').next()?)
}

/// The name of a directory.
pub(super) fn of_directory(dir: &Path) -> Option<AppName> {
    sanitised(dir.file_name()?.to_str()?)
}

/// The name of a file without its ending.
pub(crate) fn of_file(path: &Path) -> Option<AppName> {
    sanitised(path.file_stem()?.to_str()?)
}

/// The nearest name that an app may have.
fn sanitised(text: &str) -> Option<AppName> {
    let lower = text.to_lowercase();
    let mapped: String =
        lower.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let words: Vec<&str> = mapped.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(AppName::MAX_LENGTH).collect();
    name.trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_an_image_or_a_directory() {
        let image = |text: &str| of_image(text).map(|name| name.to_string());
        assert_eq!(image("ghcr.io/team/shop:1.4").as_deref(), Some("shop"));
        assert_eq!(image("localhost:5000/my_app@sha256:0").as_deref(), Some("my-app"));
        let dir = |text: &str| of_directory(Path::new(text)).map(|name| name.to_string());
        assert_eq!(dir("/srv/My Shop.io").as_deref(), Some("my-shop-io"));
        assert_eq!(dir("/"), None);
        assert_eq!(dir("/…"), None);
    }
}
