//! Heads that are changed on their way: what policy wants, and what the engine adds.

use crate::support::escape;
use sluice_http::{
    Asked, Body, Context, Edit, EditError, Field, FormatError, Formatter, Limits, Mode, Name,
    Outgoing, Place, Program, Request, Stamp, Version, parse_request, parse_response,
};

/// A program in the making.
#[derive(Default)]
struct Draft {
    edits: Vec<Edit>,
    text: Vec<u8>,
}

impl Draft {
    fn place(&mut self, text: &str) -> Place {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text.as_bytes());
        Place {
            start,
            len: text.len() as u32,
        }
    }

    fn with(mut self, edit: impl FnOnce(&mut Self) -> Edit) -> Self {
        let edit = edit(&mut self);
        self.edits.push(edit);
        self
    }

    fn add(self, name: &str, value: &str) -> Self {
        self.with(|draft| Edit::Add(draft.place(name), draft.place(value)))
    }

    fn remove_all(self, name: &str) -> Self {
        self.with(|draft| Edit::RemoveAll(draft.place(name)))
    }

    fn check(&self) -> Result<Program<'_>, EditError> {
        Program::check(&self.edits, &self.text)
    }
}

const HEAD: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nX-Seen: no\r\nB: 2\r\nx-seen: neither\r\nC: 3\r\n\r\n";

fn parse(head: &[u8]) -> (Request, Vec<Field>) {
    let mut fields = Vec::new();
    let request = parse_request(head, &mut fields, &Limits::default()).expect("a request");
    (request, fields)
}

fn edited(draft: &Draft, stamps: &[Stamp<'_>]) -> Result<String, FormatError> {
    let (request, fields) = parse(HEAD);
    let program = draft.check().map_err(FormatError::Edit)?;
    let context = Context {
        program,
        stamps,
        ..Context::default()
    };
    let mut out = Vec::new();
    Formatter::default().request(
        HEAD,
        &request,
        &fields,
        &Outgoing::default(),
        &context,
        &mut out,
    )?;
    Ok(escape(&out))
}

#[test]
fn fields_are_removed_replaced_and_added_around_those_that_stay() {
    let draft = Draft::default().remove_all("X-SEEN").add("x-seen", "1");
    let expected = r"GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nx-seen: 1\r\n\r\n";
    assert_eq!(edited(&draft, &[]), Ok(expected.into()));

    let draft = Draft::default()
        .with(|draft| Edit::Replace(2, draft.place("yes")))
        .with(|_| Edit::Remove(4));
    let expected = r"GET /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nX-Seen: yes\r\nB: 2\r\nC: 3\r\n\r\n";
    assert_eq!(edited(&draft, &[]), Ok(expected.into()));

    let draft = Draft::default()
        .with(|_| Edit::Remove(5))
        .with(|_| Edit::Remove(1));
    let expected = r"GET /a?b HTTP/1.1\r\nHost: h\r\nX-Seen: no\r\nB: 2\r\nx-seen: neither\r\n\r\n";
    assert_eq!(edited(&draft, &[]), Ok(expected.into()));
}

#[test]
fn method_path_query_and_host_are_edits_of_their_own() {
    let draft = Draft::default()
        .with(|draft| Edit::Method(draft.place("POST")))
        .with(|draft| Edit::Path(draft.place("/x/y")))
        .with(|draft| Edit::Query(draft.place("z=1")))
        .with(|draft| Edit::Host(draft.place("other:81")));
    let out = edited(&draft, &[]).expect("a head");
    assert!(
        out.starts_with(r"POST /x/y?z=1 HTTP/1.1\r\nHost: other:81\r\nA: 1"),
        "{out}"
    );

    let draft = Draft::default().with(|_| Edit::NoQuery);
    assert!(
        edited(&draft, &[])
            .expect("a head")
            .starts_with(r"GET /a HTTP/1.1")
    );
}

#[test]
fn what_frames_a_message_is_nobodys_to_edit() {
    for name in [
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "upgrade",
        "te",
        "trailer",
        "keep-alive",
        "expect",
        "proxy-connection",
        "http2-settings",
        "host",
    ] {
        for draft in [
            Draft::default().add(name, "3"),
            Draft::default().remove_all(name),
        ] {
            assert_eq!(draft.check().err(), Some(EditError::Reserved), "{name}");
        }
    }
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: x\r\nX: 1\r\nExpect: 100-continue\r\n\r\n";
    let (request, fields) = parse(head);
    for index in 0..7 {
        for replaced in [false, true] {
            let draft = Draft::default().with(|d| {
                if replaced {
                    Edit::Replace(index, d.place("3"))
                } else {
                    Edit::Remove(index)
                }
            });
            let context = Context {
                program: draft.check().expect("a program"),
                ..Context::default()
            };
            let to = Outgoing {
                body: Body::Length(5),
                ..Outgoing::default()
            };
            let mut out = Vec::new();
            let result =
                Formatter::default().request(head, &request, &fields, &to, &context, &mut out);
            let expected = match index {
                5.. => Err(FormatError::Edit(EditError::Index)),
                // Named by Connection: it goes no further, and there is nothing to edit.
                _ => Err(FormatError::Edit(EditError::Reserved)),
            };
            assert_eq!(result, expected, "field {index}");
            assert!(out.is_empty());
        }
    }
}

#[test]
fn no_edit_splits_a_message() {
    for bad in ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "a\x7fb", "\x01"] {
        let place = |draft: &mut Draft| draft.place(bad);
        let drafts = [
            (Draft::default().add("x", bad), EditError::Value),
            (Draft::default().add(bad, "x"), EditError::Name),
            (Draft::default().remove_all(bad), EditError::Name),
            (
                Draft::default().with(|d| Edit::Replace(1, place(d))),
                EditError::Value,
            ),
            (
                Draft::default().with(|d| Edit::Reason(place(d))),
                EditError::Value,
            ),
            (
                Draft::default().with(|d| Edit::Method(place(d))),
                EditError::Method,
            ),
            (
                Draft::default().with(|d| Edit::Path(d.place(&format!("/{bad}")))),
                EditError::Path,
            ),
            (
                Draft::default().with(|d| Edit::Query(place(d))),
                EditError::Query,
            ),
            (
                Draft::default().with(|d| Edit::Host(place(d))),
                EditError::Host,
            ),
        ];
        for (draft, error) in drafts {
            assert_eq!(
                draft.check().err(),
                Some(error),
                "{bad:?} in {:?}",
                draft.edits
            );
        }
    }
    let wrong = [
        (Draft::default().add("", "x"), EditError::Name),
        (Draft::default().add("a b", "x"), EditError::Name),
        (Draft::default().add(&"n".repeat(256), "x"), EditError::Name),
        (
            Draft::default().with(|d| Edit::Method(d.place(""))),
            EditError::Method,
        ),
        (
            Draft::default().with(|d| Edit::Method(d.place("CONNECT"))),
            EditError::Method,
        ),
        (
            Draft::default().with(|d| Edit::Path(d.place(""))),
            EditError::Path,
        ),
        (
            Draft::default().with(|d| Edit::Path(d.place("x"))),
            EditError::Path,
        ),
        (
            Draft::default().with(|d| Edit::Path(d.place("/a?b"))),
            EditError::Path,
        ),
        (
            Draft::default().with(|d| Edit::Path(d.place("/a#b"))),
            EditError::Path,
        ),
        (
            Draft::default().with(|d| Edit::Path(d.place("/a b"))),
            EditError::Path,
        ),
        (
            Draft::default().with(|d| Edit::Host(d.place(""))),
            EditError::Host,
        ),
        (
            Draft::default().with(|_| Edit::Status(204)),
            EditError::Status,
        ),
        (
            Draft::default().with(|_| Edit::Status(199)),
            EditError::Status,
        ),
        (
            Draft::default().with(|_| Edit::Status(1000)),
            EditError::Status,
        ),
        (
            Draft::default().with(|_| {
                Edit::Query(Place {
                    start: 1,
                    len: u32::MAX,
                })
            }),
            EditError::Place,
        ),
    ];
    for (draft, error) in wrong {
        assert_eq!(draft.check().err(), Some(error), "{:?}", draft.edits);
    }
}

#[test]
fn stamps_are_appended_replaced_kept_and_removed() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nVia: 1.0 a\r\nX-Real-IP: 9\r\n\r\n";
    let (request, fields) = parse(head);
    let with = |stamps: &[Stamp<'_>]| {
        let mut out = Vec::new();
        let context = Context {
            stamps,
            ..Context::default()
        };
        Formatter::default()
            .request(
                head,
                &request,
                &fields,
                &Outgoing::default(),
                &context,
                &mut out,
            )
            .expect("a head");
        escape(&out).replace(r"GET / HTTP/1.1\r\nHost: h\r\n", "")
    };
    let stamp = |mode, name| Stamp {
        name,
        mode,
        value: b"3.3.3.3",
    };
    assert_eq!(
        with(&[
            stamp(Mode::Append, Name::ForwardedFor),
            stamp(Mode::Append, Name::ForwardedHost)
        ]),
        r"X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\nVia: 1.0 a\r\nX-Real-IP: 9\r\nx-forwarded-host: 3.3.3.3\r\n\r\n"
    );
    assert_eq!(
        with(&[
            stamp(Mode::Replace, Name::ForwardedFor),
            stamp(Mode::Keep, Name::Via),
            stamp(Mode::Keep, Name::RequestId)
        ]),
        r"Via: 1.0 a\r\nX-Real-IP: 9\r\nx-forwarded-for: 3.3.3.3\r\nx-request-id: 3.3.3.3\r\n\r\n"
    );
    assert_eq!(
        with(&[
            stamp(Mode::Remove, Name::ForwardedFor),
            stamp(Mode::Remove, Name::RealIp)
        ]),
        r"Via: 1.0 a\r\n\r\n"
    );
}

#[test]
fn a_stamp_is_not_what_the_client_named_in_connection() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x-forwarded-for\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let (request, fields) = parse(head);
    let stamps = [Stamp {
        name: Name::ForwardedFor,
        mode: Mode::Append,
        value: b"1.2.3.4",
    }];
    let mut out = Vec::new();
    let context = Context {
        stamps: &stamps,
        ..Context::default()
    };
    Formatter::default()
        .request(
            head,
            &request,
            &fields,
            &Outgoing::default(),
            &context,
            &mut out,
        )
        .expect("a head");
    assert_eq!(
        escape(&out),
        r"GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 1.2.3.4\r\n\r\n"
    );
}

#[test]
fn a_response_takes_the_clients_version() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: s\r\n\r\n";
    let mut fields = Vec::new();
    let response =
        parse_response(head, &mut fields, Asked::Plain, &Limits::default()).expect("a response");
    let to = Outgoing {
        body: response.body,
        version: Version::Http10,
        ..Outgoing::default()
    };
    let draft = Draft::default()
        .with(|_| Edit::Status(404))
        .remove_all("server")
        .add("x", "1");
    let context = Context {
        program: draft.check().expect("a program"),
        ..Context::default()
    };
    let mut out = Vec::new();
    Formatter::default()
        .response(head, &response, &fields, &to, &context, &mut out)
        .expect("a head");
    assert_eq!(
        escape(&out),
        r"HTTP/1.0 404 \r\nx: 1\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn what_goes_out_is_bounded() {
    let (request, fields) = parse(HEAD);
    let value = "v".repeat(1_000);
    let draft = Draft::default().add("x", &value);
    let program = draft.check().expect("a program");
    let mut out = b"before".to_vec();
    let tight = Context {
        program,
        most: 1_000,
        ..Context::default()
    };
    let result = Formatter::default().request(
        HEAD,
        &request,
        &fields,
        &Outgoing::default(),
        &tight,
        &mut out,
    );
    let Err(FormatError::Long(length)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(out, b"before");
    let fits = Context {
        program,
        most: length,
        ..Context::default()
    };
    Formatter::default()
        .request(
            HEAD,
            &request,
            &fields,
            &Outgoing::default(),
            &fits,
            &mut out,
        )
        .expect("it fits exactly");
    assert_eq!(out.len(), "before".len() + length);
}
