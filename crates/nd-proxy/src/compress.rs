//! Compression of answers (RFC 9110, section 12.5.3): which coding a client gets, of which answers, and the coders.
//!
//! All of it is done only where a client asks for it; bodies of everybody else pass as they come.

mod answer;
mod encoder;

use std::sync::Arc;

use nd_types::{Compression, ContentCoding, TrafficRules};

use crate::http1::field::members;
use crate::http1::request::text;

pub(crate) use answer::{Recoding, recoding, write_changed};
pub(crate) use encoder::{Encoder, Encoders};

/// What a client and an app have agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The app's answers depend on what clients accept.
    pub(crate) varies: bool,
    pub(crate) coding: Option<ContentCoding>,
}

impl Agreed {
    /// Finds the coding that a client likes best; among equals the one that the app names first.
    pub(crate) fn on(
        rules: Option<&Arc<TrafficRules>>,
        asked: bool,
        fields: &[httparse::Header<'_>],
    ) -> Self {
        let offered = rules.map_or(&Compression::DEFAULT[..], |rules| &rules.compression.0);
        if offered.is_empty() || !asked {
            return Self { varies: !offered.is_empty(), coding: None };
        }
        let named = |name: &'static str| {
            let fields = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
            fields.flat_map(|field| members(text(field.value)))
        };
        if named("cache-control").any(|member| member.eq_ignore_ascii_case("no-transform")) {
            return Self { varies: true, coding: None };
        }
        let mut wishes = Wishes::default();
        named("accept-encoding").for_each(|member| wishes.take(member));
        Self { varies: true, coding: wishes.best(offered) }
    }
}

/// A quality value in thousandths (RFC 9110, section 12.4.2).
type Quality = u16;

#[derive(Default)]
struct Wishes {
    zstd: Option<Quality>,
    br: Option<Quality>,
    gzip: Option<Quality>,
    identity: Option<Quality>,
    others: Option<Quality>,
}

impl Wishes {
    fn take(&mut self, member: &str) {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        // Of a wish that makes no sense nothing is done.
        let Some(quality) = quality(parameters) else { return };
        let is = |known: &str| name.trim().eq_ignore_ascii_case(known);
        let slot = match () {
            () if is("zstd") => &mut self.zstd,
            () if is("br") => &mut self.br,
            () if is("gzip") || is("x-gzip") => &mut self.gzip,
            () if is("identity") => &mut self.identity,
            () if is("*") => &mut self.others,
            () => return,
        };
        *slot = Some(quality);
    }

    fn best(&self, offered: &[ContentCoding]) -> Option<ContentCoding> {
        let mut best = None;
        for coding in offered {
            let wish = match coding {
                ContentCoding::Zstd => self.zstd,
                ContentCoding::Br => self.br,
                ContentCoding::Gzip => self.gzip,
            };
            let quality = wish.or(self.others).unwrap_or(0);
            if quality > best.map_or(0, |(quality, _)| quality) {
                best = Some((quality, *coding));
            }
        }
        best.filter(|(quality, _)| *quality >= self.identity.unwrap_or(0)).map(|(_, coding)| coding)
    }
}

/// The `q` among the parameters; 1 where there is none.
fn quality(parameters: &str) -> Option<Quality> {
    let parts = parameters.split(';').filter_map(|part| part.split_once('='));
    let Some((_, value)) = parts.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("q")) else {
        return Some(1000);
    };
    let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Quality = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(offered: &[ContentCoding], accepts: &[&str]) -> Option<&'static str> {
        let rules = TrafficRules { compression: Compression(offered.to_vec()), ..TrafficRules::default() };
        let fields: Vec<_> = accepts
            .iter()
            .map(|value| httparse::Header { name: "Accept-Encoding", value: value.as_bytes() })
            .collect();
        Agreed::on(Some(&Arc::new(rules)), true, &fields).coding.map(ContentCoding::as_str)
    }

    #[test]
    fn the_client_chooses_and_then_the_order_of_the_app() {
        let all = ContentCoding::ALL;
        for (accepts, expected) in [
            (&["gzip, deflate, br, zstd"][..], Some("zstd")),
            (&["gzip;q=1.0, br;q=0.9, zstd;q=0.8"], Some("gzip")),
            (&["gzip", "br"], Some("br")),
            (&["GZIP ; Q=0.5"], Some("gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["*"], Some("zstd")),
            (&["*;q=0.5, zstd;q=0"], Some("br")),
            (&["*;q=0"], None),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000"], None),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip"], Some("gzip")),
            (&["identity;q=0, *;q=0"], None),
            (&["deflate"], None),
            (&[""], None),
            (&["gzip;q=1.5"], None),
            (&["gzip;q=x, br;q=0.1"], Some("br")),
            (&["gzip;q=0.0001"], None),
        ] {
            assert_eq!(agreed(&all, accepts), expected, "{accepts:?}");
        }
        assert_eq!(agreed(&[ContentCoding::Gzip, ContentCoding::Br], &["br, gzip"]), Some("gzip"));
        assert_eq!(agreed(&[], &["gzip"]), None);
    }

    #[test]
    fn who_asks_for_no_transformation_gets_none() {
        let field = |name, value: &'static str| httparse::Header { name, value: value.as_bytes() };
        let fields = [field("accept-encoding", "gzip"), field("Cache-Control", "max-age=0, no-transform")];
        assert_eq!(Agreed::on(None, true, &fields), Agreed { varies: true, coding: None });
        assert_eq!(Agreed::on(None, true, &fields[..1]).coding, Some(ContentCoding::Gzip));
    }
}
