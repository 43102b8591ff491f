//! The contract between the engine and TypeScript.
//!
//! Everything that both sides must agree on is declared here once: the bits of
//! a connection, the handshake handlers, event and command kinds, close
//! reasons and the layout of the shared memory. `cargo run -p sluice-wire`
//! writes the TypeScript twin, `src/wire/wire.ts`, which is checked in; a
//! difference fails CI, and [`version`] is compared when the addon loads.
//!
//! All values fit in 31 bits: JavaScript bit operations are signed, and V8
//! stores 31-bit integers without allocating.

mod table;

pub mod commands;
pub mod errors;
pub mod events;
pub mod flags;
pub mod handshakes;
pub mod http;
pub mod ring_layout;
pub mod states;

pub use table::{Group, Item};

/// Every group of constants, in the order in which TypeScript gets them.
pub const GROUPS: &[&Group] = &[
    &flags::conn_flag::GROUP,
    &flags::step::GROUP,
    &flags::close_op::GROUP,
    &handshakes::handshake::GROUP,
    &states::conn_state::GROUP,
    &states::conn_next::GROUP,
    &events::event::GROUP,
    &events::bytes_flag::GROUP,
    &events::hello_status::GROUP,
    &events::tls_flag::GROUP,
    &commands::command::GROUP,
    &commands::proceed_flag::GROUP,
    &commands::connect_flag::GROUP,
    &commands::close_mode::GROUP,
    &commands::send_flag::GROUP,
    &commands::timeout::GROUP,
    &errors::by::GROUP,
    &errors::phase::GROUP,
    &errors::code::GROUP,
    &ring_layout::field::GROUP,
    &ring_layout::family::GROUP,
    &ring_layout::control::GROUP,
    &ring_layout::layout::GROUP,
    &http::http_name::GROUP,
    &http::http_method::GROUP,
    &http::http_bad::GROUP,
    &http::http_fact::GROUP,
    &http::http_flag::GROUP,
    &http::http_field::GROUP,
    &http::http_edit::GROUP,
];

/// A 31-bit hash of every name and value of the contract. Two builds that
/// disagree about any of them have different versions.
#[must_use]
pub fn version() -> i32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut eat = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    };
    for group in GROUPS {
        eat(group.name.as_bytes());
        for item in group.items {
            eat(item.name.as_bytes());
            eat(&item.value.to_le_bytes());
        }
    }
    (hash & 0x7fff_ffff) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_fits_in_31_bits() {
        for group in GROUPS {
            for item in group.items {
                assert!(item.value >= 0, "{}.{} uses bit 31", group.name, item.name);
            }
        }
    }

    #[test]
    fn values_are_unique_within_a_group() {
        for group in GROUPS {
            let mut seen = std::collections::HashSet::new();
            for item in group.items {
                assert!(
                    group.masks || seen.insert(item.value),
                    "{}.{} repeats a value",
                    group.name,
                    item.name
                );
            }
        }
    }

    #[test]
    fn version_is_stable_within_a_build() {
        assert_eq!(version(), version());
        assert_ne!(version(), 0);
    }
}
