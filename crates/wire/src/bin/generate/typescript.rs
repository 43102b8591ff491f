//! The TypeScript twin of the contract.

use std::fmt::Write as _;

use sluice_wire::{Group, errors, http, ring_layout};

use crate::{doc_lines, label};

/// The whole of `src/wire/wire.ts`.
pub fn render() -> String {
    let mut out = String::from(
        "// Generated from crates/wire by `npm run generate`. Do not edit: a difference fails CI.\n\n",
    );
    version(&mut out);
    for group in sluice_wire::GROUPS {
        constants(&mut out, group);
    }
    regions(&mut out);
    labels(&mut out, "By", &errors::by::GROUP);
    labels(&mut out, "Phase", &errors::phase::GROUP);
    labels(&mut out, "Code", &errors::code::GROUP);
    labels(&mut out, "HttpBad", &http::http_bad::GROUP);
    labels(&mut out, "HttpName", &http::http_name::GROUP);
    out
}

fn version(out: &mut String) {
    let _ = writeln!(
        out,
        "/** Hash of every name and value below; the addon must have the same. */\n\
         export const WIRE_VERSION = {}",
        sluice_wire::version()
    );
}

/// A group as an object of constants.
fn constants(out: &mut String, group: &Group) {
    let _ = writeln!(
        out,
        "\n{}\nexport const {} = {{",
        comment(group.doc, ""),
        group.name
    );
    for item in group.items {
        let doc = comment(item.doc, "  ");
        let _ = writeln!(out, "{doc}\n  {}: {},", item.name, item.value);
    }
    let _ = writeln!(out, "}} as const");
}

fn regions(out: &mut String) {
    let regions = [
        ("EVENT_RING", ring_layout::EVENT_RING),
        ("COMMAND_RING", ring_layout::COMMAND_RING),
        ("EVENT_SLAB", ring_layout::EVENT_SLAB),
        ("COMMAND_SLAB", ring_layout::COMMAND_SLAB),
        ("WORKER_WORDS", ring_layout::WORKER_WORDS),
    ];
    let _ = writeln!(
        out,
        "\n/** Word offsets of the regions of a worker's memory. */\nexport const Region = {{"
    );
    for (name, value) in regions {
        let _ = writeln!(out, "  {name}: {value},");
    }
    let _ = writeln!(out, "}} as const");
}

/// The labels of a group, as a type and by value.
fn labels(out: &mut String, name: &str, group: &Group) {
    let labels: Vec<String> = group
        .items
        .iter()
        .map(|item| format!("'{}'", label(item.name)))
        .collect();
    let _ = writeln!(
        out,
        "\n/** Label of a {name}, as logs and metrics print it. */\n\
         export type {name}Label =\n  | {}",
        labels.join("\n  | ")
    );
    // Values begin at 1.
    let unused = labels.first().cloned();
    let by_value: Vec<String> = unused.into_iter().chain(labels).collect();
    let _ = writeln!(
        out,
        "\n/** {name} labels by value; index 0 is unused. */\n\
         export const {name}Labels: readonly {name}Label[] = [\n  {},\n]",
        by_value.join(",\n  ")
    );
}

fn comment(doc: &str, indent: &str) -> String {
    let lines = doc_lines(doc);
    if let [line] = lines[..] {
        return format!("{indent}/** {line} */");
    }
    let body: String = lines
        .iter()
        .map(|line| format!("{indent} * {line}\n"))
        .collect();
    format!("{indent}/**\n{body}{indent} */")
}
