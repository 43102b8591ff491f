//! Datagrams to a service manager, and a receiver for the tests of it.

use std::os::unix::net::UnixDatagram;

use napi_derive::napi;

/// Sends `message` to the socket of NOTIFY_SOCKET. Throws where that fails.
#[napi(catch_unwind)]
pub fn notify(socket: String, message: String) -> napi::Result<()> {
    sluice_engine::notify::notify(&socket, &message).map_err(error)
}

/// For tests: a datagram socket at a path, which Node cannot make.
#[napi]
pub struct TestDatagrams(UnixDatagram);

#[napi]
impl TestDatagrams {
    /// Binds it.
    #[napi(constructor, catch_unwind)]
    pub fn new(path: String) -> napi::Result<Self> {
        let socket = UnixDatagram::bind(path).map_err(error)?;
        socket.set_nonblocking(true).map_err(error)?;
        Ok(Self(socket))
    }

    /// What has arrived, in order.
    #[napi(catch_unwind)]
    pub fn take(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut messages = Vec::new();
        while let Ok(length) = self.0.recv(&mut buffer) {
            messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        messages
    }
}

fn error(error: std::io::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
