//! The codec from outside: vectors, edits, limits.

mod edits;
mod limits;
mod support;
mod vectors;
