//! The codec from outside: vectors, edits, limits.

mod boundary;
mod edits;
mod limits;
mod support;
mod vectors;
