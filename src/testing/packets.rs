//! Proof by packets: some must arrive, others must not.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Input, Netns, Ping};

/// The time limit for a packet that must arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time to wait for a packet that must not arrive.
const BRIEFLY: Duration = Duration::from_millis(150);

/// Asserts that an echo request is answered.
#[track_caller]
pub(crate) fn reaches(from: &Netns, target: impl Input<IpAddr> + Copy) {
    let ping = || Ping::new(target).timeout(PATIENCE).send(from);
    if let Err(error) = when_routed(|| ping().map_err(io::Error::from)) {
        panic!("{error}");
    }
}

/// Repeats `work` for a moment while the network answers "no route".
///
/// The kernel adds the local route of a new IPv6 address asynchronously, a moment after the address
/// is listed (net/ipv6/addrconf.c, `addrconf_dad_work`). Until then the target answers "no route".
fn when_routed<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + BRIEFLY;
    loop {
        match work() {
            Err(error)
                if error.kind() == io::ErrorKind::NetworkUnreachable
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

/// Asserts that an echo request is not answered.
#[track_caller]
pub(crate) fn does_not_reach(from: &Netns, target: impl Input<IpAddr>) {
    if let Ok(reply) = Ping::new(target).timeout(BRIEFLY).send(from) {
        panic!("{} answered {from}", reply.from);
    }
}

/// Sends a greeting over TCP and back, and returns the client address that the server saw.
pub(crate) fn tcp(from: &Netns, to: &Netns, server: &str) -> io::Result<SocketAddr> {
    let server: SocketAddr = server.parse().unwrap();
    let listener = to.run(|| TcpListener::bind(server)).unwrap()?;
    let connect = || from.run(|| TcpStream::connect_timeout(&server, PATIENCE)).unwrap();
    let mut client = when_routed(connect)?;
    let (mut accepted, seen) = listener.accept()?;
    let mut greeting = [0; 5];
    client.write_all(b"hello")?;
    accepted.read_exact(&mut greeting)?;
    accepted.write_all(&greeting)?;
    client.read_exact(&mut greeting)?;
    assert_eq!(&greeting, b"hello");
    Ok(seen)
}

/// Sends a datagram and an answer, and returns the client address that the server saw.
pub(crate) fn udp(from: &Netns, to: &Netns, server: &str) -> io::Result<SocketAddr> {
    let server: SocketAddr = server.parse().unwrap();
    let listener = to.run(|| UdpSocket::bind(server)).unwrap()?;
    let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let client = from.run(|| UdpSocket::bind(any)).unwrap()?;
    listener.set_read_timeout(Some(PATIENCE))?;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 16];
    client.send_to(b"hello", server)?;
    let (length, seen) = listener.recv_from(&mut buffer)?;
    listener.send_to(&buffer[..length], seen)?;
    let (length, answered) = client.recv_from(&mut buffer)?;
    assert_eq!((&buffer[..length], answered), (b"hello".as_slice(), server));
    Ok(seen)
}
