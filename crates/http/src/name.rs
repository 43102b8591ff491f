//! Names of fields that are known by number: what the engine itself reads, and what rules ask for
//! most. One list, in the order of their numbers.

macro_rules! names {
    ($( $name:ident $text:literal; )+) => {
        /// A well-known field name. `Other` is any other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Name {
            /// Not one of these.
            Other,
            $( #[doc = $text] $name, )+
        }

        impl Name {
            /// Each of them but `Other`.
            pub const ALL: &[Self] = &[$( Self::$name ),+];

            /// In lower case; '' for `Other`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { Self::Other => "", $( Self::$name => $text, )+ }
            }
        }
    };
}

names! {
    Host "host";
    ContentLength "content-length";
    TransferEncoding "transfer-encoding";
    Connection "connection";
    KeepAlive "keep-alive";
    ProxyConnection "proxy-connection";
    Te "te";
    Trailer "trailer";
    Upgrade "upgrade";
    Http2Settings "http2-settings";
    Expect "expect";
    ContentType "content-type";
    ContentEncoding "content-encoding";
    ContentLanguage "content-language";
    ContentRange "content-range";
    ContentDisposition "content-disposition";
    ContentSecurityPolicy "content-security-policy";
    Accept "accept";
    AcceptEncoding "accept-encoding";
    AcceptLanguage "accept-language";
    AcceptRanges "accept-ranges";
    Authorization "authorization";
    ProxyAuthorization "proxy-authorization";
    WwwAuthenticate "www-authenticate";
    ProxyAuthenticate "proxy-authenticate";
    Cookie "cookie";
    SetCookie "set-cookie";
    CacheControl "cache-control";
    Pragma "pragma";
    Expires "expires";
    Age "age";
    Vary "vary";
    Date "date";
    Etag "etag";
    LastModified "last-modified";
    IfMatch "if-match";
    IfNoneMatch "if-none-match";
    IfModifiedSince "if-modified-since";
    IfUnmodifiedSince "if-unmodified-since";
    IfRange "if-range";
    Range "range";
    Location "location";
    Referer "referer";
    Origin "origin";
    UserAgent "user-agent";
    Server "server";
    Via "via";
    Forwarded "forwarded";
    ForwardedFor "x-forwarded-for";
    ForwardedProto "x-forwarded-proto";
    ForwardedHost "x-forwarded-host";
    ForwardedPort "x-forwarded-port";
    RealIp "x-real-ip";
    RequestId "x-request-id";
    Traceparent "traceparent";
    Tracestate "tracestate";
    RequestedWith "x-requested-with";
    ApiKey "x-api-key";
    Allow "allow";
    RetryAfter "retry-after";
    Link "link";
    AltSvc "alt-svc";
    StrictTransportSecurity "strict-transport-security";
    AccessControlAllowOrigin "access-control-allow-origin";
    AccessControlAllowCredentials "access-control-allow-credentials";
    AccessControlAllowHeaders "access-control-allow-headers";
    AccessControlAllowMethods "access-control-allow-methods";
    AccessControlExposeHeaders "access-control-expose-headers";
    AccessControlMaxAge "access-control-max-age";
    AccessControlRequestHeaders "access-control-request-headers";
    AccessControlRequestMethod "access-control-request-method";
    SecWebSocketKey "sec-websocket-key";
    SecWebSocketAccept "sec-websocket-accept";
    SecWebSocketProtocol "sec-websocket-protocol";
    SecWebSocketVersion "sec-websocket-version";
    SecWebSocketExtensions "sec-websocket-extensions";
    SecFetchSite "sec-fetch-site";
    SecFetchMode "sec-fetch-mode";
    SecFetchDest "sec-fetch-dest";
    UpgradeInsecureRequests "upgrade-insecure-requests";
    LastEventId "last-event-id";
}

impl Name {
    /// The name of a number; `Other` for what is none.
    #[must_use]
    pub fn from_id(id: u8) -> Self {
        if id == 0 {
            Self::Other
        } else {
            Self::ALL
                .get(usize::from(id) - 1)
                .copied()
                .unwrap_or(Self::Other)
        }
    }

    /// Of one connection, whether or not Connection names it (RFC 9110 7.6.1).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::TransferEncoding
                | Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::Upgrade
                | Self::Http2Settings
        )
    }

    /// Framing and the connection itself: the engine writes them, nobody else.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.is_hop_by_hop() || matches!(self, Self::ContentLength | Self::Expect)
    }
}

/// The longest of them.
const LONGEST: usize = 32;
/// Of one length there are at most so many.
const MOST_OF_A_LENGTH: usize = 9;

/// A name, and its number; number 0 ends a row.
type Row = [(&'static [u8], u8); MOST_OF_A_LENGTH];

/// By length.
static BY_LENGTH: [Row; LONGEST + 1] = by_length();

const fn by_length() -> [Row; LONGEST + 1] {
    let mut table: [Row; LONGEST + 1] = [[(b"", 0); MOST_OF_A_LENGTH]; LONGEST + 1];
    let mut i = 0;
    while i < Name::ALL.len() {
        let name = Name::ALL[i];
        let row = &mut table[name.text().len()];
        let mut at = 0;
        while row[at].1 != 0 {
            at += 1;
        }
        row[at] = (name.text().as_bytes(), name as u8);
        i += 1;
    }
    table
}

/// The well-known name that `bytes` is, whatever its case.
#[must_use]
pub fn name_of(bytes: &[u8]) -> Name {
    Name::from_id(number_of(bytes))
}

/// Its number; 0 for any other.
pub(crate) fn number_of(bytes: &[u8]) -> u8 {
    let (Some(row), [first, .., last]) = (BY_LENGTH.get(bytes.len()), bytes) else {
        return 0;
    };
    for &(text, number) in row {
        if number == 0 {
            break;
        }
        // Most candidates differ in the first byte or the last.
        let near = text[0] == first | 0x20 && text[text.len() - 1] == last | 0x20;
        if near && text.eq_ignore_ascii_case(bytes) {
            return number;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else_is() {
        for &name in Name::ALL {
            assert_eq!(name_of(name.text().as_bytes()), name);
            assert_eq!(name_of(name.text().to_uppercase().as_bytes()), name);
            assert_eq!(Name::from_id(name as u8), name);
            let mut other = name.text().as_bytes().to_vec();
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(name_of(&other), Name::Other, "{}", name.text());
        }
        assert_eq!(name_of(b""), Name::Other);
        assert_eq!(name_of(&[b'x'; 300]), Name::Other);
        assert!(Name::ALL.len() < 0x7f, "a number has 7 bits");
    }

    #[test]
    fn numbers_are_those_of_the_contract() {
        let rows = sluice_wire::http::http_name::GROUP.items;
        assert_eq!(rows.len(), Name::ALL.len());
        for (row, &name) in rows.iter().zip(Name::ALL) {
            assert_eq!(row.value, i32::from(name as u8));
            assert_eq!(row.name.to_lowercase().replace('_', "-"), name.text());
        }
    }
}
