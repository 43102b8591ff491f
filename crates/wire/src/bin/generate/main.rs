//! Writes what is generated from the contract, or compares it.
//!
//! `cargo run -p sluice-wire --bin generate` rewrites `src/wire/wire.ts` and
//! the generated parts of `docs/errors.md` and `docs/table.md`; with `--check` it writes nothing and
//! exits 1 where a file differs.

mod reasons;
mod records;
mod typescript;

use std::path::PathBuf;
use std::process::ExitCode;

/// A generated file: its path in the repository, and its wanted content given
/// the present one.
struct Output {
    path: &'static str,
    render: fn(&str) -> Result<String, String>,
}

const OUTPUTS: &[Output] = &[
    Output {
        path: "src/wire/wire.ts",
        render: |_| Ok(typescript::render()),
    },
    Output {
        path: "docs/errors.md",
        render: reasons::render_into,
    },
    Output {
        path: "docs/table.md",
        render: records::render_into,
    },
];

fn main() -> ExitCode {
    let check = std::env::args().any(|arg| arg == "--check");
    let mut outcome = ExitCode::SUCCESS;
    for output in OUTPUTS {
        if let Err(message) = bring_up_to_date(output, check) {
            eprintln!("{}: {message}", output.path);
            outcome = ExitCode::FAILURE;
        }
    }
    outcome
}

/// Writes the file where it differs; with `check`, says so instead.
fn bring_up_to_date(output: &Output, check: bool) -> Result<(), String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(output.path);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = (output.render)(&found)?;
    if found == wanted {
        return Ok(());
    }
    if check {
        return Err("does not match crates/wire: run `npm run generate`".to_owned());
    }
    std::fs::write(&path, wanted).map_err(|error| error.to_string())
}

/// How logs and metrics print a name: lower case with dashes.
fn label(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// Lines of a doc comment, without margins and empty lines.
fn doc_lines(doc: &str) -> Vec<&str> {
    doc.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_match_the_contract() {
        for output in OUTPUTS {
            assert_eq!(bring_up_to_date(output, true), Ok(()), "{}", output.path);
        }
    }
}
