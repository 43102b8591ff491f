//! One datagram to a service manager (`sd_notify(3)`): Node has no datagrams on
//! unix sockets.

use std::io::{Error, ErrorKind, Result};
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `message` to `socket`, a path, or `@name` for an abstract socket. Never
/// waits for the receiver.
///
/// # Errors
///
/// Where the name is neither of the two, nobody has the socket, or its queue is full.
pub fn notify(socket: &str, message: &str) -> Result<()> {
    let address = address_of(socket)?;
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    let sent = sender.send_to_addr(message.as_bytes(), &address)?;
    // A datagram goes whole or not at all; nobody should have to know.
    if sent == message.len() {
        Ok(())
    } else {
        Err(ErrorKind::WriteZero.into())
    }
}

fn address_of(socket: &str) -> Result<SocketAddr> {
    match socket.as_bytes().first() {
        Some(b'/') => SocketAddr::from_pathname(socket),
        Some(b'@') => abstract_address(&socket.as_bytes()[1..]),
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("'{socket}' is neither an absolute path nor '@' and a name"),
        )),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> Result<SocketAddr> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "abstract sockets are Linux's",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(receiver: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 256];
        let length = receiver.recv(&mut buffer).expect("a datagram");
        buffer[..length].to_vec()
    }

    #[test]
    fn a_path_gets_the_message_whole() {
        let path = std::env::temp_dir().join(format!("sluice-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let receiver = UnixDatagram::bind(&path).expect("a socket");
        notify(path.to_str().expect("text"), "READY=1\nSTATUS=here").expect("sent");
        assert_eq!(receive(&receiver), b"READY=1\nSTATUS=here");
        drop(receiver);
        let error = notify(path.to_str().expect("text"), "READY=1").expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).expect("removed");
        let error = notify(path.to_str().expect("text"), "READY=1").expect_err("nothing is there");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_gets_it() {
        let name = format!("sluice-notify-{}", std::process::id());
        let address = abstract_address(name.as_bytes()).expect("a name");
        let receiver = UnixDatagram::bind_addr(&address).expect("a socket");
        notify(&format!("@{name}"), "WATCHDOG=1").expect("sent");
        assert_eq!(receive(&receiver), b"WATCHDOG=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_queue_is_an_error_and_no_wait() {
        let name = format!("sluice-notify-full-{}", std::process::id());
        let address = abstract_address(name.as_bytes()).expect("a name");
        let _receiver = UnixDatagram::bind_addr(&address).expect("a socket");
        let error = (0..100_000)
            .find_map(|_| notify(&format!("@{name}"), "WATCHDOG=1").err())
            .expect("it is full at some time");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn other_names_are_refused_with_what_was_expected() {
        for name in ["", "run/notify", "vsock:2:1234"] {
            let error = notify(name, "READY=1").expect_err("no socket");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("absolute path"));
        }
        assert!(notify(&format!("/{}", "x".repeat(200)), "READY=1").is_err());
    }
}
