//! Published SCTP ports, tested with the first two packets of a connection. Connection tracking may
//! support SCTP in a kernel without SCTP sockets.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Netns, PortForward};

use crate::lab::{Lab, of_both_kinds, of_kind};
use crate::traffic::{PATIENCE, SHORT};

const SCTP: u8 = 132;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

/// Opens a raw socket that sends and receives SCTP packets.
fn socket(netns: &Netns, is_ipv4: bool) -> UdpSocket {
    let socket = if is_ipv4 { netns.raw_ipv4_socket(SCTP) } else { netns.raw_ipv6_socket(SCTP) };
    UdpSocket::from(socket.unwrap())
}

/// Computes the CRC-32C of SCTP: <https://www.rfc-editor.org/rfc/rfc9260#appendix-A>.
fn checksum(packet: &[u8]) -> u32 {
    !packet.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

/// Returns the packet that opens a connection, or the reply to that packet.
fn packet(kind: u8, [from, to]: [u16; 2], tag: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(from.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([kind, 0, 0, 20]);
    packet.extend(7_u32.to_be_bytes()); // the sender's tag
    packet.extend(65_536_u32.to_be_bytes());
    packet.extend([0, 1, 0, 1]);
    packet.extend(1_u32.to_be_bytes());
    let sum = checksum(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

/// Returns the sender and the ports of the next packet of a kind.
fn next(socket: &UdpSocket, kind: u8, patience: Duration) -> Option<(IpAddr, [u16; 2])> {
    let end = Instant::now() + patience;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        socket.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 256];
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { return None };
        let start = if from.is_ipv4() { usize::from(bytes[0] & 15) * 4 } else { 0 };
        let sctp = &bytes[start..length];
        let mut summed = sctp.to_vec();
        summed[8..12].fill(0);
        if sctp[12] == kind && checksum(&summed).to_le_bytes() == sctp[8..12] {
            let port = |at: usize| u16::from_be_bytes([sctp[at], sctp[at + 1]]);
            return Some((from.ip(), [port(0), port(2)]));
        }
    }
    None
}

/// Opens a connection. Returns the client address that the server saw, and the address that replied
/// to the client.
fn connect(
    client: &Netns,
    to: SocketAddr,
    container: &Netns,
    patience: Duration,
) -> Option<(IpAddr, SocketAddr)> {
    let (near, far) = (socket(client, to.is_ipv4()), socket(container, to.is_ipv4()));
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (from, [port, at]) = next(&far, INIT, patience)?;
            assert_eq!(at, 80);
            far.send_to(&packet(INIT_ACK, [at, port], 7), (from, 0)).unwrap();
            Some(from)
        });
        near.send_to(&packet(INIT, [40_000, to.port()], 0), (to.ip(), 0)).unwrap();
        let answer = next(&near, INIT_ACK, patience);
        let seen = server.join().unwrap()?;
        let (from, [port, _]) = answer?;
        Some((seen, SocketAddr::new(from, port)))
    })
}

fn ways(tag: Option<&str>) {
    let lab = Lab::new(false);
    let forwards = ["10.0.0.2", "fd00::2"]
        .map(|target| of_kind(tag, PortForward::new(3868, target).target_port(80).sctp()));
    let forwards = PortForward::create_all(&forwards, &lab.host).unwrap();
    for (to, outside, host) in [
        ("198.51.100.2:3868", "198.51.100.1", "10.0.0.1"),
        ("[2001:db8::2]:3868", "2001:db8::1", "fd00::1"),
    ] {
        let to: SocketAddr = to.parse().unwrap();
        let [outside, host] = [outside, host].map(|text| text.parse::<IpAddr>().unwrap());
        let from = |client: &Netns| connect(client, to, &lab.web, PATIENCE);
        assert_eq!(from(&lab.outside), Some((outside, to)));
        // Connections of a neighbour, of the container itself and of the host are masqueraded.
        for client in [&lab.neighbor, &lab.web, &lab.host] {
            assert_eq!(from(client), Some((host, to)));
        }
        let other = SocketAddr::new(to.ip(), 3869);
        assert_eq!(connect(&lab.outside, other, &lab.web, SHORT), None);
    }
    let local = "127.0.0.1:3868".parse().unwrap();
    let seen = connect(&lab.host, local, &lab.web, PATIENCE);
    assert_eq!(seen, Some(("10.0.0.1".parse().unwrap(), local)));
    drop(forwards);
    // A range of ports at one host address.
    let some = PortForward::new(3868..=3870, "10.0.0.2").target_port(78..=80).sctp();
    let some = of_kind(tag, some.host_address("198.51.100.2")).create(&lab.host).unwrap();
    let at = |address: &str, port: u16| SocketAddr::new(address.parse().unwrap(), port);
    let last = at("198.51.100.2", 3870);
    let seen = connect(&lab.outside, last, &lab.web, PATIENCE);
    assert_eq!(seen, Some(("198.51.100.1".parse().unwrap(), last)));
    assert_eq!(connect(&lab.host, at("10.0.0.1", 3870), &lab.web, SHORT), None);
    drop(some);
    let to = "198.51.100.2:3868".parse().unwrap();
    let client = &lab.neighbor;
    netloom::ConntrackFilter::new().protocol(netloom::Protocol::SCTP).delete(&lab.host).unwrap();
    assert_eq!(connect(client, to, &lab.web, SHORT), None);
}

#[test]
fn sctp_ports_lead_there_by_every_way() {
    of_both_kinds(ways);
}
