//! Error pages: files of the project, which the daemon cannot read.

use std::collections::BTreeMap;
use std::path::Path;

use nd_api::Manifest;
use nd_api::manifest::PageSource;
use nd_types::ErrorPages;

use crate::failure::Failure;

/// Puts the pages themselves where the manifest names files or a directory of them.
pub(super) fn fold_in(manifest: &mut Manifest, dir: &Path) -> Result<(), Failure> {
    let pages = match manifest.proxy.error_pages.take() {
        None => return Ok(()),
        Some(PageSource::Directory(path)) => directory(&dir.join(path))?,
        Some(PageSource::Pages(pages)) => pages
            .into_iter()
            .map(|(key, page)| {
                let page = if PageSource::is_markup(&page) { page } else { read(&dir.join(page))? };
                Ok((key, page))
            })
            .collect::<Result<_, Failure>>()?,
    };
    ErrorPages::new(pages.clone()).map_err(|error| Failure::usage(format!("proxy.error_pages: {error}")))?;
    manifest.proxy.error_pages = Some(PageSource::Pages(pages));
    Ok(())
}

/// The files `503.html`, `5xx.html` and so on; others may stand beside them.
fn directory(dir: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let failed = |error| Failure::usage(format!("read the error pages of {}: {error}", dir.display()));
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let key = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| ErrorPages::is_key(stem));
        if let Some(key) = key.filter(|_| path.extension().is_some_and(|extension| extension == "html")) {
            pages.insert(key.to_owned(), read(&path)?);
        }
    }
    if pages.is_empty() {
        let title = format!("{} has no error page; name them `503.html`, `4xx.html`, …", dir.display());
        return Err(Failure::usage(title));
    }
    Ok(pages)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: String| Failure::usage(format!("read the error page {}: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > ErrorPages::LONGEST as u64 {
        return Err(failed("it is longer than 64 KiB".to_owned()));
    }
    let page = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if PageSource::is_markup(&page) { Ok(page) } else { Err(failed("it is no HTML".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(source: PageSource, dir: &Path) -> Result<Option<PageSource>, Failure> {
        let mut manifest = Manifest::new("shop".parse().unwrap());
        manifest.proxy.error_pages = Some(source);
        fold_in(&mut manifest, dir).map(|()| manifest.proxy.error_pages)
    }

    #[test]
    fn pages_are_read_from_where_they_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("errors")).unwrap();
        std::fs::write(dir.path().join("errors/503.html"), "<h1>soon</h1>").unwrap();
        std::fs::write(dir.path().join("errors/notes.txt"), "x").unwrap();
        let page = |key: &str, page: &str| BTreeMap::from([(key.to_owned(), page.to_owned())]);
        let expected = Some(PageSource::Pages(page("503", "<h1>soon</h1>")));
        assert_eq!(folded(PageSource::Directory("errors".into()), dir.path()).unwrap(), expected);
        let file = PageSource::Pages(page("503", "errors/503.html"));
        assert_eq!(folded(file, dir.path()).unwrap(), expected);
        let inline = PageSource::Pages(page("4xx", "<p>no</p>"));
        assert_eq!(folded(inline.clone(), dir.path()).unwrap(), Some(inline));
        assert!(folded(PageSource::Directory("nowhere".into()), dir.path()).is_err());
        assert!(folded(PageSource::Pages(page("503", "errors/notes.txt")), dir.path()).is_err());
    }
}
