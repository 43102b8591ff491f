//! The tables of `docs/table.md`: what the record of a connection says, who writes it, and
//! when. The prose around them is written by hand.

use std::fmt::Write as _;

use sluice_wire::Group;
use sluice_wire::flags::{close_op, conn_flag};
use sluice_wire::ring_layout::field;
use sluice_wire::states::{conn_next, conn_state};

use crate::reasons::{replace_generated, text};

const BEGIN: &str = "<!-- Generated from crates/wire by `npm run generate`. Do not edit. -->";

/// The document with its generated part replaced.
pub fn render_into(document: &str) -> Result<String, String> {
    replace_generated(document, BEGIN, &tables())
}

fn tables() -> String {
    let mut out = String::new();
    table(&mut out, "States", &conn_state::GROUP);
    steps(&mut out);
    table(&mut out, "Flags", &conn_flag::GROUP);
    table(&mut out, "Close operations", &close_op::GROUP);
    table(&mut out, "Words of a record", &field::GROUP);
    out
}

fn table(out: &mut String, heading: &str, group: &Group) {
    let _ = writeln!(out, "## {heading}\n\n| name | meaning |\n|---|---|");
    for item in group.items {
        let _ = writeln!(out, "| `{}` | {} |", item.name, text(item.doc));
    }
    out.push('\n');
}

/// The states that may follow each.
fn steps(out: &mut String) {
    let _ = writeln!(out, "| from | to |\n|---|---|");
    for from in conn_next::GROUP.items {
        let to: Vec<String> = conn_state::GROUP
            .items
            .iter()
            .filter(|state| from.value & 1 << state.value != 0)
            .map(|state| format!("`{}`", state.name))
            .collect();
        let to = if to.is_empty() {
            "nothing but the slot's next connection".to_owned()
        } else {
            to.join(", ")
        };
        let _ = writeln!(out, "| `{}` | {to} |", from.name);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_row_and_every_state_its_steps() {
        let tables = tables();
        let groups = [
            conn_state::GROUP,
            conn_flag::GROUP,
            close_op::GROUP,
            field::GROUP,
        ];
        for item in groups.iter().flat_map(|group| group.items) {
            assert!(tables.contains(&format!("\n| `{}` | ", item.name)));
        }
        assert!(tables.contains("| `ESTABLISHED` | `CLOSED`, `ERROR` |"));
        assert!(tables.contains("| `ERROR` | nothing but the slot's next connection |"));
    }
}
