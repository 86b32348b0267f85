//! Servers that send each client the address they see, and their clients, in namespaces.
#![allow(dead_code)] // each test program uses its own part
#![allow(clippy::unwrap_used, clippy::map_err_ignore, let_underscore_drop)] // tests fail by them

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netloom::{Namespace, Netns, Owned, Sysctl, Veth, VethEnd, VethPair};

/// A client behind a masquerading host, and a server outside that has no route to the client.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) client: Owned<Netns>,
    pub(crate) host: Owned<Netns>,
    pub(crate) server: Owned<Netns>,
    _cables: [Owned<Veth>; 2],
}

impl Net {
    pub(crate) fn new() -> Self {
        let [client, host, server] = [(); 3].map(|()| namespace());
        let near = VethEnd::new("eth0")
            .address("10.0.0.2/24")
            .address("fd00::2/64")
            .gateway("10.0.0.1")
            .gateway("fd00::1")
            .up();
        let inside = VethEnd::new("in0").address("10.0.0.1/24").address("fd00::1/64").up();
        let outside =
            VethEnd::new("out0").address("198.51.100.2/24").address("2001:db8::2/64").up();
        let far = VethEnd::new("eth0").address("198.51.100.1/24").address("2001:db8::1/64").up();
        let cables = [
            VethPair::new(inside, near).create_between(&host, &client).unwrap(),
            VethPair::new(outside, far).create_between(&host, &server).unwrap(),
        ];
        Self { client, host, server, _cables: cables }
    }
}

/// Creates a namespace without duplicate address detection, so that links have their IPv6 addresses
/// at once. A router sends no neighbour solicitation before its link-local address is verified,
/// which takes more than a second.
pub(crate) fn namespace() -> Owned<Netns> {
    let netns = Namespace::anonymous().create().unwrap();
    for which in ["all", "default"] {
        let name = format!("net.ipv6.conf.{which}.accept_dad");
        Sysctl::new(name, 0).create(&netns).unwrap().keep();
    }
    netns
}

/// The time limit for an answer that must arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// The time to wait for an answer that must not arrive.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// A server on one address, for TCP and for UDP. It sends each client the address it sees.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(netns: &Netns, address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let (tcp, udp) = netns
            .run(|| (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap()))
            .unwrap();
        Self::serve(tcp, udp)
    }

    fn serve(tcp: TcpListener, udp: UdpSocket) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tcp_stop, udp_stop) = (Arc::clone(&stop), Arc::clone(&stop));
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let tcp = move || {
            while !tcp_stop.load(Ordering::Relaxed) {
                match tcp.accept() {
                    Ok((mut stream, client)) => {
                        let _ = stream.write_all(client.to_string().as_bytes());
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        };
        let udp = move || {
            while !udp_stop.load(Ordering::Relaxed) {
                if let Ok((_, client)) = udp.recv_from(&mut [0; 64]) {
                    let _ = udp.send_to(client.to_string().as_bytes(), client);
                }
            }
        };
        Self { stop, threads: vec![thread::spawn(tcp), thread::spawn(udp)] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connects by TCP. Returns the client address that the server saw.
pub(crate) fn tcp(netns: &Netns, server: &str, patience: Duration) -> Result<SocketAddr> {
    let server: SocketAddr = server.parse().unwrap();
    let mut stream = netns.run(|| TcpStream::connect_timeout(&server, patience)).unwrap()?;
    stream.set_read_timeout(Some(patience))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.parse().map_err(|_| ErrorKind::UnexpectedEof.into())
}

/// Sends a request by UDP, from a new port. Returns the client address that the server saw.
pub(crate) fn udp(netns: &Netns, server: &str, patience: Duration) -> Result<SocketAddr> {
    ask(&udp_socket(netns, server)?, patience)
}

/// Opens a UDP socket connected to the server, to send more than one request.
pub(crate) fn udp_socket(netns: &Netns, server: &str) -> Result<UdpSocket> {
    let server: SocketAddr = server.parse().unwrap();
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = netns.run(|| UdpSocket::bind(any)).unwrap()?;
    socket.connect(server)?;
    Ok(socket)
}

/// Sends a request by a socket. Returns the client address that the server saw.
pub(crate) fn ask(socket: &UdpSocket, patience: Duration) -> Result<SocketAddr> {
    socket.set_read_timeout(Some(patience))?;
    // An ICMP error for an earlier packet may be pending.
    socket.take_error()?;
    socket.send(b"who am I?")?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer)?;
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    text.parse().map_err(|_| ErrorKind::InvalidData.into())
}
