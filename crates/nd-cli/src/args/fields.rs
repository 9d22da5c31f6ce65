//! The fields that `--json=name,url` asks for.

use std::convert::Infallible;
use std::str::FromStr;

/// Names of fields, in the order they were asked for; without any, every field is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<String>);

impl Fields {
    /// The names; nothing where every field is meant.
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Fields {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }
}
