//! The tables of close reasons in `docs/errors.md`. The prose around them is
//! written by hand.

use std::fmt::Write as _;

use sluice_wire::errors::{by, code, phase};
use sluice_wire::{Group, Item};

use crate::{doc_lines, label};

const BEGIN: &str =
    "<!-- Generated from crates/wire/src/errors.rs by `npm run generate`. Do not edit. -->";
const END: &str = "<!-- End of the generated part. -->";

/// The document with its generated part replaced.
pub fn render_into(document: &str) -> Result<String, String> {
    replace_generated(document, BEGIN, &tables())
}

/// The document with `content` between the line `begin` and the line that ends what is generated.
pub fn replace_generated(document: &str, begin: &str, content: &str) -> Result<String, String> {
    let (before, rest) = document
        .split_once(begin)
        .ok_or_else(|| format!("the line '{begin}' is missing"))?;
    let (_, after) = rest
        .split_once(END)
        .ok_or_else(|| format!("the line '{END}' is missing"))?;
    Ok(format!("{before}{begin}\n\n{content}{END}{after}"))
}

fn tables() -> String {
    let mut out = String::new();
    table(&mut out, "by", &by::GROUP);
    table(&mut out, "phase", &phase::GROUP);
    table(&mut out, "code", &code::GROUP);
    out
}

fn table(out: &mut String, name: &str, group: &Group) {
    let _ = writeln!(out, "### `{name}`: {}\n", heading(group.doc));
    let _ = writeln!(out, "| value | `{name}` | meaning |\n|---|---|---|");
    for item in group.items {
        row(out, item);
    }
    out.push('\n');
}

fn row(out: &mut String, item: &Item) {
    let _ = writeln!(
        out,
        "| {} | `{}` | {} |",
        item.value,
        label(item.name),
        text(item.doc)
    );
}

/// A group's sentence as a heading: 'who ended the connection'.
fn heading(doc: &str) -> String {
    let text = text(doc);
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// A doc comment as the text of a table cell.
pub fn text(doc: &str) -> String {
    doc_lines(doc).join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prose_around_the_generated_part_stays() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let rendered = render_into(&document).expect("both marks are there");
        assert!(rendered.starts_with(&format!("before\n{BEGIN}\n\n### `by`: ")));
        assert!(rendered.ends_with(&format!("\n{END}\nafter\n")));
        assert!(!rendered.contains("old"));
        assert_eq!(render_into(&rendered).as_ref(), Ok(&rendered));
    }

    #[test]
    fn every_reason_has_a_row() {
        let tables = tables();
        for item in [by::GROUP, phase::GROUP, code::GROUP]
            .iter()
            .flat_map(|group| group.items)
        {
            let cells = format!("| {} | `{}` | ", item.value, label(item.name));
            assert!(tables.contains(&cells), "{}", item.name);
        }
    }

    #[test]
    fn a_document_without_the_marks_is_an_error() {
        assert!(render_into("").is_err());
        assert!(render_into(BEGIN).is_err());
    }
}
