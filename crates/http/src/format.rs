//! A head and its edits become the head that is sent. Fields that nobody touches are copied as they
//! came, neighbours at once.

use crate::Version;
use crate::edit::{Edit, EditError, NOTHING, Place, Program};
use crate::field::{Field, all};
use crate::framing::{Body, protocols};
use crate::grammar::digits;
use crate::name::Name;
use crate::request::{Form, Method, Request};
use crate::response::Response;

/// Why a head cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It would be longer than allowed: so many bytes.
    Long(usize),
    /// An edit names a field that is not there, or one that is the engine's.
    Edit(EditError),
}

/// What becomes of the fields of a name that the engine itself writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The value is added to the last of them, behind a comma; or stands alone.
    Append,
    /// It is the only one.
    Replace,
    /// Those that are there stay; otherwise it is added.
    Keep,
    /// There is none.
    Remove,
}

/// A field that the engine itself writes: a client's address, a request's id. Precondition: the
/// value has no control but HTAB, and the name is not reserved.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Its name.
    pub name: Name,
    /// What becomes of those that are there.
    pub mode: Mode,
    /// Its value.
    pub value: &'a [u8],
}

/// How a head goes out, beside what came and what policy wants.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What policy wants.
    pub program: Program<'a>,
    /// What the engine adds.
    pub stamps: &'a [Stamp<'a>],
    /// Most bytes.
    pub most: usize,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            program: NOTHING,
            stamps: &[],
            most: 65_536,
        }
    }
}

/// How the message is framed towards whoever gets it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its body. `UntilClose` says nothing, and needs `close`.
    pub body: Body,
    /// The connection ends behind it.
    pub close: bool,
    /// Upgrade goes with it.
    pub upgrade: bool,
    /// Requests: trailers are read.
    pub trailers: bool,
    /// Requests: Expect goes with it.
    pub expects: bool,
    /// Requests: the Host where none came (HTTP/1.0).
    pub host: &'a [u8],
    /// Responses: the client's version.
    pub version: Version,
    /// Responses without a body: the length that a body would have had.
    pub length: Option<u64>,
}

impl Default for Outgoing<'_> {
    fn default() -> Self {
        Self {
            body: Body::None,
            close: false,
            upgrade: false,
            trailers: false,
            expects: false,
            host: b"",
            version: Version::Http11,
            length: None,
        }
    }
}

/// Writes heads. One of them is used for many, so that its memory is made once.
#[derive(Debug, Default)]
pub struct Formatter {
    /// What becomes of each field.
    fates: Vec<Fate>,
}

impl Formatter {
    /// Writes a request behind what `out` has; nothing where it fails.
    pub fn request(
        &mut self,
        head: &[u8],
        request: &Request,
        fields: &[Field],
        to: &Outgoing<'_>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.write(head, fields, context, out, |out, fates| {
            write_request(out, head, request, fields, to, context, fates);
        })
    }

    /// Writes a response behind what `out` has; nothing where it fails.
    pub fn response(
        &mut self,
        head: &[u8],
        response: &Response,
        fields: &[Field],
        to: &Outgoing<'_>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.write(head, fields, context, out, |out, fates| {
            write_response(out, head, response, fields, to, context, fates);
        })
    }

    /// What is longer than allowed is taken back. A head and a program are bounded both, so that it
    /// is never much.
    fn write(
        &mut self,
        head: &[u8],
        fields: &[Field],
        context: &Context<'_>,
        out: &mut Vec<u8>,
        run: impl FnOnce(&mut Vec<u8>, &[Fate]),
    ) -> Result<(), FormatError> {
        self.plan(head, fields, context)?;
        let start = out.len();
        run(out, &self.fates);
        let length = out.len() - start;
        if length <= context.most {
            return Ok(());
        }
        out.truncate(start);
        Err(FormatError::Long(length))
    }

    fn plan(
        &mut self,
        head: &[u8],
        fields: &[Field],
        context: &Context<'_>,
    ) -> Result<(), FormatError> {
        let fates = &mut self.fates;
        fates.clear();
        fates.extend(fields.iter().map(|field| {
            let ours = matches!(field.id(), Name::ContentLength | Name::Expect | Name::Host);
            if field.is_hop() || ours {
                Fate::Drop
            } else {
                Fate::Keep
            }
        }));
        for edit in context.program.edits() {
            match *edit {
                Edit::Remove(index) => fates[own(fields, index)?] = Fate::Drop,
                Edit::Replace(index, value) => fates[own(fields, index)?] = Fate::Replace(value),
                Edit::RemoveAll(name) => {
                    let name = context.program.text(name);
                    drop_all(fields, fates, |field| field.is_named(head, name));
                }
                _ => {}
            }
        }
        for (i, stamp) in context.stamps.iter().enumerate() {
            match stamp.mode {
                Mode::Keep => {}
                Mode::Replace | Mode::Remove => {
                    drop_all(fields, fates, |field| field.id() == stamp.name);
                }
                Mode::Append => {
                    if let Some(last) = last(fields, fates, stamp.name) {
                        fates[last] = Fate::Append(i);
                    }
                }
            }
        }
        Ok(())
    }
}

fn drop_all(fields: &[Field], fates: &mut [Fate], which: impl Fn(&Field) -> bool) {
    for (field, fate) in fields.iter().zip(fates) {
        if which(field) {
            *fate = Fate::Drop;
        }
    }
}

/// The last field of a name that goes out with the sender's value.
fn last(fields: &[Field], fates: &[Fate], name: Name) -> Option<usize> {
    let goes = |(field, fate): (&Field, &Fate)| {
        field.id() == name && matches!(fate, Fate::Keep | Fate::Append(_))
    };
    fields.iter().zip(fates).rposition(goes)
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Keep,
    Drop,
    Replace(Place),
    /// With the value of the stamp in this place.
    Append(usize),
}

/// The field at an index, where it is policy's to change.
fn own(fields: &[Field], index: u8) -> Result<usize, FormatError> {
    let index = usize::from(index);
    let field = fields
        .get(index)
        .ok_or(FormatError::Edit(EditError::Index))?;
    let theirs = field.is_hop() || field.id().is_reserved() || field.id() == Name::Host;
    if theirs {
        Err(FormatError::Edit(EditError::Reserved))
    } else {
        Ok(index)
    }
}

fn write_request(
    out: &mut Vec<u8>,
    head: &[u8],
    request: &Request,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    fates: &[Fate],
) {
    let program = &context.program;
    let mut method = request.method_span.of(head);
    let mut path = None;
    let mut query = request.query.map(|query| query.of(head));
    let mut host = None;
    for edit in program.edits() {
        match *edit {
            Edit::Method(place) => method = program.text(place),
            Edit::Path(place) => path = Some(program.text(place)),
            Edit::Query(place) => query = Some(program.text(place)),
            Edit::NoQuery => query = None,
            Edit::Host(place) => host = Some(program.text(place)),
            _ => {}
        }
    }
    out.extend_from_slice(method);
    out.extend_from_slice(b" ");
    target(out, head, request, path, query);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    match host {
        Some(host) => out.extend_from_slice(host),
        None => host_of(out, head, request, fields, to),
    }
    out.extend_from_slice(b"\r\n");
    write_fields(out, head, request.len, fields, context, fates);
    if to.expects {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    match to.body {
        Body::Length(length) => content_length(out, length),
        Body::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Body::None | Body::UntilClose | Body::Tunnel => {}
    }
    if to.trailers {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    connection(out, head, fields, to, false);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 3.2: in origin form, but for CONNECT and for OPTIONS of a whole server.
fn target(
    out: &mut Vec<u8>,
    head: &[u8],
    request: &Request,
    path: Option<&[u8]>,
    query: Option<&[u8]>,
) {
    let own = request.path.of(head);
    match (request.form, path) {
        (Form::Authority, _) => return out.extend_from_slice(request.target.of(head)),
        (Form::Asterisk, None) => return out.extend_from_slice(b"*"),
        (Form::Absolute, None)
            if own.is_empty() && query.is_none() && request.method == Method::Options =>
        {
            return out.extend_from_slice(b"*");
        }
        (_, Some(path)) => out.extend_from_slice(path),
        (_, None) if own.is_empty() => out.extend_from_slice(b"/"),
        (_, None) => out.extend_from_slice(own),
    }
    if let Some(query) = query {
        out.extend_from_slice(b"?");
        out.extend_from_slice(query);
    }
}

/// Of an absolute target its authority, less a port that goes without saying.
fn host_of(out: &mut Vec<u8>, head: &[u8], request: &Request, fields: &[Field], to: &Outgoing<'_>) {
    if request.form == Form::Absolute {
        out.extend_from_slice(request.host.of(head));
        let secure = head[usize::from(request.host.start) - 4].eq_ignore_ascii_case(&b's');
        if request.port != 0 && request.port != if secure { 443 } else { 80 } {
            out.extend_from_slice(b":");
            out.extend_from_slice(digits(u64::from(request.port), &mut [0; 20]));
        }
        return;
    }
    match all(fields, Name::Host).next() {
        Some(field) => out.extend_from_slice(field.value(head)),
        None => out.extend_from_slice(to.host),
    }
}

fn write_response(
    out: &mut Vec<u8>,
    head: &[u8],
    response: &Response,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    fates: &[Fate],
) {
    let program = &context.program;
    let mut status = response.status;
    let mut reason = response.reason.of(head);
    for edit in program.edits() {
        match *edit {
            Edit::Status(edited) => {
                status = edited;
                reason = b"";
            }
            Edit::Reason(place) => reason = program.text(place),
            _ => {}
        }
    }
    out.extend_from_slice(if to.version == Version::Http10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    out.extend_from_slice(digits(u64::from(status), &mut [0; 20]));
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    write_fields(out, head, response.len, fields, context, fates);
    match (to.body, to.length) {
        (Body::Length(length), _) | (Body::None, Some(length)) => content_length(out, length),
        (Body::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        (Body::None | Body::UntilClose | Body::Tunnel, _) => {}
    }
    connection(out, head, fields, to, to.version == Version::Http10);
    out.extend_from_slice(b"\r\n");
}

/// Copies what stays, and adds what comes.
fn write_fields(
    out: &mut Vec<u8>,
    head: &[u8],
    len: u16,
    fields: &[Field],
    context: &Context<'_>,
    fates: &[Fate],
) {
    let program = &context.program;
    // The empty line at the end is none of theirs.
    let end = usize::from(len) - 2;
    let line_of = |i: usize| fields.get(i).map_or(end, |field: &Field| field.line());
    let mut run = None;
    for (i, (field, fate)) in fields.iter().zip(fates).enumerate() {
        if matches!(fate, Fate::Keep) {
            run.get_or_insert(field.line());
            continue;
        }
        if let Some(start) = run.take() {
            out.extend_from_slice(&head[start..line_of(i)]);
        }
        match *fate {
            Fate::Keep | Fate::Drop => {}
            Fate::Replace(value) => put_field(out, field.name(head), program.text(value)),
            Fate::Append(stamp) => {
                let more = context.stamps[stamp].value;
                out.extend_from_slice(field.name(head));
                out.extend_from_slice(b": ");
                let value = field.value(head);
                out.extend_from_slice(value);
                if !value.is_empty() {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(more);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if let Some(start) = run {
        out.extend_from_slice(&head[start..end]);
    }
    for edit in program.edits() {
        if let Edit::Add(name, value) = *edit {
            put_field(out, program.text(name), program.text(value));
        }
    }
    for stamp in context.stamps {
        let adds = match stamp.mode {
            Mode::Remove => false,
            Mode::Replace => true,
            Mode::Append | Mode::Keep => last(fields, fates, stamp.name).is_none(),
        };
        if adds {
            put_field(out, stamp.name.text().as_bytes(), stamp.value);
        }
    }
}

fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(digits(length, &mut [0; 20]));
    out.extend_from_slice(b"\r\n");
}

/// `says_keep`: keep-alive has to be said.
fn connection(
    out: &mut Vec<u8>,
    head: &[u8],
    fields: &[Field],
    to: &Outgoing<'_>,
    says_keep: bool,
) {
    if to.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
        for (i, protocol) in protocols(head, fields).enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(protocol);
        }
        out.extend_from_slice(b"\r\n");
        return;
    }
    if to.close {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if to.trailers {
        out.extend_from_slice(b"Connection: TE\r\n");
    } else if says_keep {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}
