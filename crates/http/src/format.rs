//! A head and its edits become the head that is sent. One pass says how long it will be, the next
//! one writes it. Fields that nobody touches are copied as they came, neighbours at once.

use crate::edit::{Edit, EditError, NOTHING, Place, Program};
use crate::field::{Field, all};
use crate::framing::{Body, protocols};
use crate::grammar::digits;
use crate::name::Name;
use crate::request::{Form, Method, Request};
use crate::response::Response;
use crate::{MOST_FIELDS, Version};

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

/// Writes a request behind what `out` has.
pub fn format_request(
    head: &[u8],
    request: &Request,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let plan = Plan::new(head, fields, context)?;
    write(out, context.most, |sink| {
        write_request(sink, head, request, fields, to, context, &plan)
    })
}

/// Writes a response behind what `out` has.
pub fn format_response(
    head: &[u8],
    response: &Response,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let plan = Plan::new(head, fields, context)?;
    write(out, context.most, |sink| {
        write_response(sink, head, response, fields, to, context, &plan)
    })
}

/// Twice: for the length, and for the bytes.
fn write(out: &mut Vec<u8>, most: usize, run: impl Fn(&mut dyn Sink)) -> Result<(), FormatError> {
    let mut length = Length(0);
    run(&mut length);
    if length.0 > most {
        return Err(FormatError::Long(length.0));
    }
    out.reserve(length.0);
    run(out);
    Ok(())
}

trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

struct Length(usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Fate<'a> {
    Keep,
    Drop,
    Replace(Place),
    Append(&'a [u8]),
}

/// What becomes of each field.
struct Plan<'a> {
    fates: [Fate<'a>; MOST_FIELDS],
}

impl<'a> Plan<'a> {
    fn new(head: &[u8], fields: &[Field], context: &Context<'a>) -> Result<Self, FormatError> {
        let mut fates = [Fate::Keep; MOST_FIELDS];
        for (field, fate) in fields.iter().zip(&mut fates) {
            let ours = matches!(field.id(), Name::ContentLength | Name::Expect | Name::Host);
            if field.is_hop() || ours {
                *fate = Fate::Drop;
            }
        }
        for edit in context.program.edits() {
            match *edit {
                Edit::Remove(index) => fates[own(fields, index)?] = Fate::Drop,
                Edit::Replace(index, value) => fates[own(fields, index)?] = Fate::Replace(value),
                Edit::RemoveAll(name) => {
                    let name = context.program.text(name);
                    for (field, fate) in fields.iter().zip(&mut fates) {
                        if field.is_named(head, name) {
                            *fate = Fate::Drop;
                        }
                    }
                }
                _ => {}
            }
        }
        let mut plan = Self { fates };
        for stamp in context.stamps {
            plan.stamp(fields, stamp);
        }
        Ok(plan)
    }

    fn stamp(&mut self, fields: &[Field], stamp: &Stamp<'a>) {
        match stamp.mode {
            Mode::Keep => {}
            Mode::Replace | Mode::Remove => {
                for (field, fate) in fields.iter().zip(&mut self.fates) {
                    if field.id() == stamp.name {
                        *fate = Fate::Drop;
                    }
                }
            }
            Mode::Append => {
                if let Some(last) = self.last(fields, stamp.name) {
                    self.fates[last] = Fate::Append(stamp.value);
                }
            }
        }
    }

    /// The last field of a name that goes out as it came.
    fn last(&self, fields: &[Field], name: Name) -> Option<usize> {
        let goes = |(field, fate): (&Field, &Fate<'_>)| {
            field.id() == name && matches!(fate, Fate::Keep | Fate::Append(_))
        };
        fields.iter().zip(&self.fates).rposition(goes)
    }
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
    sink: &mut dyn Sink,
    head: &[u8],
    request: &Request,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    plan: &Plan<'_>,
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
    sink.put(method);
    sink.put(b" ");
    target(sink, head, request, path, query);
    sink.put(b" HTTP/1.1\r\nHost: ");
    match host {
        Some(host) => sink.put(host),
        None => host_of(sink, head, request, fields, to),
    }
    sink.put(b"\r\n");
    write_fields(sink, head, request.len, fields, context, plan);
    if to.expects {
        sink.put(b"Expect: 100-continue\r\n");
    }
    match to.body {
        Body::Length(length) => content_length(sink, length),
        Body::Chunked => sink.put(b"Transfer-Encoding: chunked\r\n"),
        Body::None | Body::UntilClose | Body::Tunnel => {}
    }
    if to.trailers {
        sink.put(b"TE: trailers\r\n");
    }
    connection(sink, head, fields, to, false);
    sink.put(b"\r\n");
}

/// RFC 9112 3.2: in origin form, but for CONNECT and for OPTIONS of a whole server.
fn target(
    sink: &mut dyn Sink,
    head: &[u8],
    request: &Request,
    path: Option<&[u8]>,
    query: Option<&[u8]>,
) {
    let own = request.path.of(head);
    match (request.form, path) {
        (Form::Authority, _) => return sink.put(request.target.of(head)),
        (Form::Asterisk, None) => return sink.put(b"*"),
        (Form::Absolute, None)
            if own.is_empty() && query.is_none() && request.method == Method::Options =>
        {
            return sink.put(b"*");
        }
        (_, Some(path)) => sink.put(path),
        (_, None) if own.is_empty() => sink.put(b"/"),
        (_, None) => sink.put(own),
    }
    if let Some(query) = query {
        sink.put(b"?");
        sink.put(query);
    }
}

/// Of an absolute target its authority, less a port that goes without saying.
fn host_of(
    sink: &mut dyn Sink,
    head: &[u8],
    request: &Request,
    fields: &[Field],
    to: &Outgoing<'_>,
) {
    if request.form == Form::Absolute {
        sink.put(request.host.of(head));
        let secure = head[usize::from(request.host.start) - 4].eq_ignore_ascii_case(&b's');
        if request.port != 0 && request.port != if secure { 443 } else { 80 } {
            sink.put(b":");
            sink.put(digits(u64::from(request.port), &mut [0; 20]));
        }
        return;
    }
    match all(fields, Name::Host).next() {
        Some(field) => sink.put(field.value(head)),
        None => sink.put(to.host),
    }
}

fn write_response(
    sink: &mut dyn Sink,
    head: &[u8],
    response: &Response,
    fields: &[Field],
    to: &Outgoing<'_>,
    context: &Context<'_>,
    plan: &Plan<'_>,
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
    sink.put(if to.version == Version::Http10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    sink.put(digits(u64::from(status), &mut [0; 20]));
    sink.put(b" ");
    sink.put(reason);
    sink.put(b"\r\n");
    write_fields(sink, head, response.len, fields, context, plan);
    match (to.body, to.length) {
        (Body::Length(length), _) | (Body::None, Some(length)) => content_length(sink, length),
        (Body::Chunked, _) => sink.put(b"Transfer-Encoding: chunked\r\n"),
        (Body::None | Body::UntilClose | Body::Tunnel, _) => {}
    }
    connection(sink, head, fields, to, to.version == Version::Http10);
    sink.put(b"\r\n");
}

/// Copies what stays, and adds what comes.
fn write_fields(
    sink: &mut dyn Sink,
    head: &[u8],
    len: u16,
    fields: &[Field],
    context: &Context<'_>,
    plan: &Plan<'_>,
) {
    let program = &context.program;
    // The empty line at the end is none of theirs.
    let end = usize::from(len) - 2;
    let line_of = |i: usize| fields.get(i).map_or(end, |field: &Field| field.line());
    let mut run = None;
    for (i, (field, fate)) in fields.iter().zip(&plan.fates).enumerate() {
        if matches!(fate, Fate::Keep) {
            run.get_or_insert(field.line());
            continue;
        }
        if let Some(start) = run.take() {
            sink.put(&head[start..line_of(i)]);
        }
        match *fate {
            Fate::Keep | Fate::Drop => {}
            Fate::Replace(value) => put_field(sink, field.name(head), program.text(value)),
            Fate::Append(more) => {
                sink.put(field.name(head));
                sink.put(b": ");
                let value = field.value(head);
                sink.put(value);
                if !value.is_empty() {
                    sink.put(b", ");
                }
                sink.put(more);
                sink.put(b"\r\n");
            }
        }
    }
    if let Some(start) = run {
        sink.put(&head[start..end]);
    }
    for edit in program.edits() {
        if let Edit::Add(name, value) = *edit {
            put_field(sink, program.text(name), program.text(value));
        }
    }
    for stamp in context.stamps {
        let adds = match stamp.mode {
            Mode::Remove => false,
            Mode::Replace => true,
            Mode::Append | Mode::Keep => plan.last(fields, stamp.name).is_none(),
        };
        if adds {
            put_field(sink, stamp.name.text().as_bytes(), stamp.value);
        }
    }
}

fn put_field(sink: &mut dyn Sink, name: &[u8], value: &[u8]) {
    sink.put(name);
    sink.put(b": ");
    sink.put(value);
    sink.put(b"\r\n");
}

fn content_length(sink: &mut dyn Sink, length: u64) {
    sink.put(b"Content-Length: ");
    sink.put(digits(length, &mut [0; 20]));
    sink.put(b"\r\n");
}

/// `says_keep`: keep-alive has to be said.
fn connection(
    sink: &mut dyn Sink,
    head: &[u8],
    fields: &[Field],
    to: &Outgoing<'_>,
    says_keep: bool,
) {
    if to.upgrade {
        sink.put(b"Connection: Upgrade\r\nUpgrade: ");
        for (i, protocol) in protocols(head, fields).enumerate() {
            if i > 0 {
                sink.put(b", ");
            }
            sink.put(protocol);
        }
        sink.put(b"\r\n");
        return;
    }
    if to.close {
        sink.put(b"Connection: close\r\n");
    } else if to.trailers {
        sink.put(b"Connection: TE\r\n");
    } else if says_keep {
        sink.put(b"Connection: keep-alive\r\n");
    }
}
