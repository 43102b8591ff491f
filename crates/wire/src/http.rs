//! What of HTTP is known by number on both sides: names of fields, methods, and what is wrong with
//! a message. A name in lower case with dashes is what stands on the wire, or in the log.

use crate::table::constants;

constants! {
    /// Field names that are known by number: those that the engine reads, and those that rules ask
    /// for most. 0 is any other.
    http_name => "HttpName" {
        /// `host`
        HOST = 1;
        /// `content-length`
        CONTENT_LENGTH = 2;
        /// `transfer-encoding`
        TRANSFER_ENCODING = 3;
        /// `connection`
        CONNECTION = 4;
        /// `keep-alive`
        KEEP_ALIVE = 5;
        /// `proxy-connection`
        PROXY_CONNECTION = 6;
        /// `te`
        TE = 7;
        /// `trailer`
        TRAILER = 8;
        /// `upgrade`
        UPGRADE = 9;
        /// `http2-settings`
        HTTP2_SETTINGS = 10;
        /// `expect`
        EXPECT = 11;
        /// `content-type`
        CONTENT_TYPE = 12;
        /// `content-encoding`
        CONTENT_ENCODING = 13;
        /// `content-language`
        CONTENT_LANGUAGE = 14;
        /// `content-range`
        CONTENT_RANGE = 15;
        /// `content-disposition`
        CONTENT_DISPOSITION = 16;
        /// `content-security-policy`
        CONTENT_SECURITY_POLICY = 17;
        /// `accept`
        ACCEPT = 18;
        /// `accept-encoding`
        ACCEPT_ENCODING = 19;
        /// `accept-language`
        ACCEPT_LANGUAGE = 20;
        /// `accept-ranges`
        ACCEPT_RANGES = 21;
        /// `authorization`
        AUTHORIZATION = 22;
        /// `proxy-authorization`
        PROXY_AUTHORIZATION = 23;
        /// `www-authenticate`
        WWW_AUTHENTICATE = 24;
        /// `proxy-authenticate`
        PROXY_AUTHENTICATE = 25;
        /// `cookie`
        COOKIE = 26;
        /// `set-cookie`
        SET_COOKIE = 27;
        /// `cache-control`
        CACHE_CONTROL = 28;
        /// `pragma`
        PRAGMA = 29;
        /// `expires`
        EXPIRES = 30;
        /// `age`
        AGE = 31;
        /// `vary`
        VARY = 32;
        /// `date`
        DATE = 33;
        /// `etag`
        ETAG = 34;
        /// `last-modified`
        LAST_MODIFIED = 35;
        /// `if-match`
        IF_MATCH = 36;
        /// `if-none-match`
        IF_NONE_MATCH = 37;
        /// `if-modified-since`
        IF_MODIFIED_SINCE = 38;
        /// `if-unmodified-since`
        IF_UNMODIFIED_SINCE = 39;
        /// `if-range`
        IF_RANGE = 40;
        /// `range`
        RANGE = 41;
        /// `location`
        LOCATION = 42;
        /// `referer`
        REFERER = 43;
        /// `origin`
        ORIGIN = 44;
        /// `user-agent`
        USER_AGENT = 45;
        /// `server`
        SERVER = 46;
        /// `via`
        VIA = 47;
        /// `forwarded`
        FORWARDED = 48;
        /// `x-forwarded-for`
        X_FORWARDED_FOR = 49;
        /// `x-forwarded-proto`
        X_FORWARDED_PROTO = 50;
        /// `x-forwarded-host`
        X_FORWARDED_HOST = 51;
        /// `x-forwarded-port`
        X_FORWARDED_PORT = 52;
        /// `x-real-ip`
        X_REAL_IP = 53;
        /// `x-request-id`
        X_REQUEST_ID = 54;
        /// `traceparent`
        TRACEPARENT = 55;
        /// `tracestate`
        TRACESTATE = 56;
        /// `x-requested-with`
        X_REQUESTED_WITH = 57;
        /// `x-api-key`
        X_API_KEY = 58;
        /// `allow`
        ALLOW = 59;
        /// `retry-after`
        RETRY_AFTER = 60;
        /// `link`
        LINK = 61;
        /// `alt-svc`
        ALT_SVC = 62;
        /// `strict-transport-security`
        STRICT_TRANSPORT_SECURITY = 63;
        /// `access-control-allow-origin`
        ACCESS_CONTROL_ALLOW_ORIGIN = 64;
        /// `access-control-allow-credentials`
        ACCESS_CONTROL_ALLOW_CREDENTIALS = 65;
        /// `access-control-allow-headers`
        ACCESS_CONTROL_ALLOW_HEADERS = 66;
        /// `access-control-allow-methods`
        ACCESS_CONTROL_ALLOW_METHODS = 67;
        /// `access-control-expose-headers`
        ACCESS_CONTROL_EXPOSE_HEADERS = 68;
        /// `access-control-max-age`
        ACCESS_CONTROL_MAX_AGE = 69;
        /// `access-control-request-headers`
        ACCESS_CONTROL_REQUEST_HEADERS = 70;
        /// `access-control-request-method`
        ACCESS_CONTROL_REQUEST_METHOD = 71;
        /// `sec-websocket-key`
        SEC_WEBSOCKET_KEY = 72;
        /// `sec-websocket-accept`
        SEC_WEBSOCKET_ACCEPT = 73;
        /// `sec-websocket-protocol`
        SEC_WEBSOCKET_PROTOCOL = 74;
        /// `sec-websocket-version`
        SEC_WEBSOCKET_VERSION = 75;
        /// `sec-websocket-extensions`
        SEC_WEBSOCKET_EXTENSIONS = 76;
        /// `sec-fetch-site`
        SEC_FETCH_SITE = 77;
        /// `sec-fetch-mode`
        SEC_FETCH_MODE = 78;
        /// `sec-fetch-dest`
        SEC_FETCH_DEST = 79;
        /// `upgrade-insecure-requests`
        UPGRADE_INSECURE_REQUESTS = 80;
        /// `last-event-id`
        LAST_EVENT_ID = 81;
    }
}

constants! {
    /// Methods that are known by number. 0 is any other.
    http_method => "HttpMethod" {
        /// `GET`
        GET = 1;
        /// `HEAD`
        HEAD = 2;
        /// `POST`
        POST = 3;
        /// `PUT`
        PUT = 4;
        /// `DELETE`
        DELETE = 5;
        /// `OPTIONS`
        OPTIONS = 6;
        /// `PATCH`
        PATCH = 7;
        /// `CONNECT`
        CONNECT = 8;
        /// `TRACE`
        TRACE = 9;
    }
}

constants! {
    /// Why a message is refused.
    http_bad => "HttpBad" {
        /// A line that does not end in CR LF: a LF alone, or a CR without its LF (RFC 9112 2.2).
        LINE_END = 1;
        /// A NUL, or another byte that no head has.
        BYTE = 2;
        /// The first line is no request line or status line.
        START_LINE = 3;
        /// The version is neither HTTP/1.0 nor HTTP/1.1.
        VERSION = 4;
        /// The target has no form that its method allows, or bytes that no target has.
        TARGET = 5;
        /// The first line is longer than its limit.
        TARGET_LONG = 6;
        /// A field line without a name, with a space before its colon, or folded (RFC 9112 5).
        FIELD_LINE = 7;
        /// A field name longer than 255 bytes.
        FIELD_NAME = 8;
        /// The head is longer than its limit.
        HEAD_LONG = 9;
        /// More fields than the limit.
        FIELDS = 10;
        /// No Host, several, one that is none, or another than the target's (RFC 9112 3.2).
        HOST = 11;
        /// Content-Length is no number, or stands there twice (RFC 9112 6.3).
        CONTENT_LENGTH = 12;
        /// Transfer-Encoding beside Content-Length, in HTTP/1.0, or not exactly `chunked` (RFC 9112 6.1).
        TRANSFER_ENCODING = 13;
        /// A transfer coding that is real and not ours.
        CODING = 14;
        /// An expectation other than 100-continue (RFC 9110 10.1.1).
        EXPECT = 15;
        /// A body where there is none: CONNECT.
        UNEXPECTED_BODY = 16;
        /// A status that none is, or 101 that nobody asked for.
        STATUS = 17;
        /// A chunk whose size line or end is wrong (RFC 9112 7.1).
        CHUNK = 18;
        /// A chunk's size line or the trailer section is longer than its limit.
        CHUNK_LONG = 19;
        /// A trailer field that is no field line.
        TRAILER = 20;
    }
}

constants! {
    /// Words of a request's or response's facts, as they stand in the event slab: then two words a
    /// field (`HttpField`), then the bytes of the head. A span is its start, and its length above
    /// bit 16.
    http_fact => "HttpFact" {
        /// Number of the request on its connection.
        NUMBER = 0;
        /// `HttpFlag` bits; below them the `HttpMethod` of a request.
        FLAGS = 1;
        /// Content-Length, the low 32 bits.
        LENGTH_LOW = 2;
        /// The high 32 bits.
        LENGTH_HIGH = 3;
        /// Requests: span of the target. Responses: the status.
        TARGET = 4;
        /// Requests: span of the path. Responses: span of the reason.
        PATH = 5;
        /// Requests: span of the query; starts at 0 where there is none.
        QUERY = 6;
        /// Requests: span of the host.
        HOST = 7;
        /// Requests: the host's port, or 0.
        PORT = 8;
        /// Fields; above bit 16 the bytes of the head.
        COUNTS = 9;
        /// A bit for each `HttpName` that is there and goes further: three words.
        NAMES = 10;
        /// Words of the facts.
        WORDS = 13;
    }
}

constants! {
    /// What a head says in bits. The lowest 8 bits are a request's `HttpMethod`.
    http_flag => "HttpFlag", masks = true {
        /// HTTP/1.0.
        HTTP_1_0 = 1 << 8;
        /// The connection may be used again.
        KEEP_ALIVE = 1 << 9;
        /// Another protocol is asked for, or begun.
        UPGRADE = 1 << 10;
        /// The client waits for 100 (Continue).
        EXPECTS = 1 << 11;
        /// The client reads trailers.
        TRAILERS = 1 << 12;
        /// The body comes in chunks.
        CHUNKED = 1 << 13;
        /// Content-Length was sent.
        LENGTH = 1 << 14;
        /// The body ends with the connection.
        UNTIL_CLOSE = 1 << 15;
        /// The target is absolute.
        ABSOLUTE = 1 << 16;
        /// The target is an authority: CONNECT.
        AUTHORITY = 1 << 17;
        /// The target is `*`.
        ASTERISK = 1 << 18;
    }
}

constants! {
    /// Bits of a field's two words: start and length of its name, what it is; start and length of
    /// its value.
    http_field => "HttpField" {
        /// First word: bits below it are the start of the name.
        NAME_LENGTH_SHIFT = 16;
        /// First word: bits below it, 8 of them, are the length of the name.
        ID_SHIFT = 24;
        /// In the number above it: of this connection only.
        HOP = 128;
    }
}

constants! {
    /// Operations of an edit program: three words each, (operation, and an index or status above
    /// bit 8; span of a name; span of a value), behind the number of operations; then the text.
    http_edit => "HttpEdit" {
        /// The field at the index goes.
        REMOVE = 1;
        /// The field at the index has this value.
        REPLACE = 2;
        /// Every field of the name goes.
        REMOVE_ALL = 3;
        /// A field is added.
        ADD = 4;
        /// Another method.
        METHOD = 5;
        /// Another path.
        PATH = 6;
        /// Another query.
        QUERY = 7;
        /// No query.
        NO_QUERY = 8;
        /// Another host.
        HOST = 9;
        /// Another status: above bit 8.
        STATUS = 10;
        /// Other words behind the status.
        REASON = 11;
    }
}
