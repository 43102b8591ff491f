//! Payload on its way: buffers, pipes, and forwarding between two connections.

pub mod buffer;
pub mod forward;
pub mod pipe;
