//! Field names the proxy has an opinion on.

/// What the proxy does with a field of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Passed on as it is.
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    Accept,
    AcceptEncoding,
    Authorization,
    ETag,
    RequestId,
    KeepAlive,
    /// Meant for this hop alone (RFC 9110, section 7.6.1), and of no use to us.
    Hop,
    /// `X-Forwarded-For`.
    ForwardedFor,
    /// `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Real-IP`: kept from trusted peers.
    ForwardedProto,
    ForwardedHost,
    RealIp,
    /// A field of Cloudflare, and one of other networks, in which the client is named: kept from trusted peers.
    ConnectingIp,
    TrueClientIp,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// A further `X-Forwarded-…`: kept from trusted peers.
    ForwardedOther,
    /// A name that apps may mistake for one of the above, because gateways such as CGI turn `-` into `_`.
    LookAlike,
    ContentType,
    UserAgent,
    Referer,
}

impl Name {
    /// Finds the name's meaning; field names are compared without case (RFC 9110, section 5.1).
    pub(crate) fn of(name: &str) -> Self {
        if name.bytes().any(|byte| byte == b'_') {
            return Self::of_underscored(name);
        }
        let first = name.bytes().next().map(|byte| byte.to_ascii_lowercase());
        let is = |known: &str| first == known.bytes().next() && name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is("te") => Self::Hop,
            4 if is("etag") => Self::ETag,
            4 if is("host") => Self::Host,
            6 if is("accept") => Self::Accept,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("referer") => Self::Referer,
            9 if is("forwarded") => Self::Forwarded,
            9 if is("x-real-ip") => Self::RealIp,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::KeepAlive,
            10 if is("user-agent") => Self::UserAgent,
            12 if is("x-request-id") => Self::RequestId,
            12 if is("content-type") => Self::ContentType,
            13 if is("authorization") => Self::Authorization,
            14 if is("content-length") => Self::ContentLength,
            14 if is("true-client-ip") => Self::TrueClientIp,
            14 if is("http2-settings") => Self::Hop,
            15 if is("accept-encoding") => Self::AcceptEncoding,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("cf-connecting-ip") => Self::ConnectingIp,
            16 if is("proxy-connection") => Self::Hop,
            16 if is("x-forwarded-host") => Self::ForwardedHost,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            18 if is("cf-connecting-ipv6") => Self::ConnectingIp,
            19 if is("proxy-authorization") => Self::Hop,
            12.. if first == Some(b'x')
                && name.get(..12).is_some_and(|p| p.eq_ignore_ascii_case("x-forwarded-")) =>
            {
                Self::ForwardedOther
            }
            _ => Self::Other,
        }
    }

    fn of_underscored(name: &str) -> Self {
        if Self::of(&name.replace('_', "-")).is_end_to_end() { Self::Other } else { Self::LookAlike }
    }

    /// Whether the field is between client and app: nothing in it is about framing, routing or attribution.
    pub(crate) fn is_end_to_end(self) -> bool {
        matches!(
            self,
            Self::Other
                | Self::Accept
                | Self::AcceptEncoding
                | Self::Authorization
                | Self::ETag
                | Self::ContentType
                | Self::UserAgent
                | Self::Referer
        )
    }

    /// Whether a trailer of that name could change how a message is framed, routed or attributed
    /// (RFC 9110, section 6.5.1).
    pub(crate) fn is_forbidden_in_trailers(self) -> bool {
        !self.is_end_to_end()
    }
}

/// The comma-separated members of a list value (RFC 9110, section 5.6.1), without empty ones.
pub(crate) fn members(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Name::of("HOST"), Name::Host);
        assert_eq!(Name::of("transfer-Encoding"), Name::TransferEncoding);
        assert_eq!(Name::of("X-Forwarded-Prefix"), Name::ForwardedOther);
        assert_eq!(Name::of("X-Forwarded"), Name::Other);
        assert_eq!(Name::of("Accept-Encoding"), Name::AcceptEncoding);
    }

    #[test]
    fn an_underscore_does_not_hide_a_name() {
        assert_eq!(Name::of("X_Forwarded_For"), Name::LookAlike);
        assert_eq!(Name::of("Content_Length"), Name::LookAlike);
        assert_eq!(Name::of("my_field"), Name::Other);
    }

    #[test]
    fn lists_lose_their_empty_members() {
        assert_eq!(members(" a ,,\tb, ").collect::<Vec<_>>(), ["a", "b"]);
    }
}
