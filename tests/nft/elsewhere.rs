//! Rules that divert packets, tested with packets: copies, other links, local sockets, a proxy's
//! handshake.

use std::io::{ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::time::Duration;

use netloom::nft::{Chain, CtState, Family, Hook, Priority, Rule, Synproxy, Table};
use netloom::{Address, Forwarding, Namespace, Netns, Owned, Sysctl, Veth, VethEnd, VethPair};
use nix::sys::socket::{setsockopt, sockopt};

use crate::support::{self, Place, ip};

/// The time limit for a packet that must arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// The addresses: `left` at 10.0.1.2, the router's `l` and `r`, `right` at 10.0.2.2.
struct Line {
    left: Owned<Netns>,
    router: Owned<Netns>,
    right: Owned<Netns>,
    cables: [Owned<Veth>; 2],
}

fn line() -> Line {
    let [left, router, right] = [(); 3].map(|()| Namespace::anonymous().create().unwrap());
    let cable = |number: u8, port: &str, netns: &Netns| {
        let port = VethEnd::new(port).address(format!("10.0.{number}.1/24")).up();
        let end = VethEnd::new("eth0").address(format!("10.0.{number}.2/24")).up();
        let end = end.gateway(format!("10.0.{number}.1"));
        VethPair::new(port, end).create_between(&router, netns).unwrap()
    };
    let cables = [cable(1, "l", &left), cable(2, "r", &right)];
    Line { left, router, right, cables }
}

#[track_caller]
fn hears(socket: &UdpSocket, words: &[&str]) {
    let mut buffer = [0; 16];
    for word in words {
        let (length, from) = socket.recv_from(&mut buffer).expect(word);
        assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(*word));
        assert_eq!(from.ip().to_string(), "10.0.1.2", "as it was sent");
    }
}

/// Sends two words to the router's port 7000 while the table exists, and a third without the table.
/// Checks the words that reach the router and `right`, which also has the router's address.
#[track_caller]
fn words_go(line: &Line, table: &Table, to_router: &[&str], to_right: &[&str]) {
    const THERE: &str = "10.0.1.1:7000";
    let lo = line.right.link("lo").unwrap();
    lo.set_up().unwrap();
    let _address = Address::new("10.0.1.1/32").create(&lo).unwrap();
    let ears = [&line.router, &line.right].map(|netns| {
        let socket = netns.udp_bind(THERE).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    });
    let sender = line.left.udp_bind("10.0.1.2:0").unwrap();
    let say = |word: &str| assert_eq!(sender.send_to(word.as_bytes(), THERE).unwrap(), word.len());
    let table = table.create(&line.router).unwrap();
    say("first");
    say("second");
    hears(&ears[1], to_right);
    drop(table);
    say("third");
    // Words arrive in the order they were sent, so a word missing before the third was diverted.
    hears(&ears[0], to_router);
    ears[1].set_nonblocking(true).unwrap();
    assert_eq!(ears[1].recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn port_7000() -> Rule {
    Rule::new().udp().dport(7000)
}

#[test]
fn a_copy_goes_to_another_machine() {
    support::isolated(|| {
        let line = line();
        for rule in [port_7000().dup("10.0.2.2"), port_7000().dup_by("10.0.2.2", "r")] {
            let chain = Chain::new("in").hook(Hook::Prerouting, Priority::MANGLE).rule(rule);
            let table = Table::new(Family::Ip, "t").chain(chain);
            words_go(&line, &table, &["first", "second", "third"], &["first", "second"]);
        }
    });
}

#[test]
fn a_packet_leaves_by_another_link_before_it_has_come_in() {
    support::isolated(|| {
        let line = line();
        let at_l = |rule| {
            let chain = Chain::new("in").hook(Hook::Ingress, Priority::FILTER).dev("l").rule(rule);
            Table::new(Family::Netdev, "t").chain(chain)
        };
        // `fwd_to` sets the neighbour's hardware address.
        let to_neighbor = at_l(port_7000().fwd_to("10.0.2.2", "r"));
        line.router.ping("10.0.2.2").unwrap();
        words_go(&line, &to_neighbor, &["third"], &["first", "second"]);
        // `fwd` leaves the frame unchanged, so the receiver needs the frame's destination address.
        let mac = line.cables[0].near().info().unwrap().mac.unwrap();
        line.cables[1].peer().set_mac(mac).unwrap();
        words_go(&line, &at_l(port_7000().fwd("r")), &["third"], &["first", "second"]);
        let copy = at_l(port_7000().dup_to_link("r"));
        words_go(&line, &copy, &["first", "second", "third"], &["first", "second"]);
    });
}

/// No host has the server's address. A proxy on another port accepts the server's connections.
#[test]
fn a_transparent_proxy_gets_what_was_meant_for_the_server() {
    support::isolated(|| {
        const SERVER: &str = "203.0.113.7:80";
        let line = line();
        let place = Place::of_fd(&*line.router);
        if ip(&place, &["rule", "add", "fwmark", "1", "lookup", "100"]).is_none() {
            return;
        }
        ip(&place, &["route", "add", "local", "default", "dev", "lo", "table", "100"]);
        line.router.link("lo").unwrap().set_up().unwrap();
        let rules = [
            Rule::new().tcp().socket_transparent().counter().set_mark(1).accept(),
            Rule::new().iifname("l").tcp().dport(80).tproxy(8080).set_mark(1).counter().accept(),
        ];
        let chain = Chain::new("in").hook(Hook::Prerouting, Priority::MANGLE);
        let chain = rules.into_iter().fold(chain, Chain::rule);
        let table = Table::new(Family::Inet, "t").chain(chain).create(&line.router).unwrap();
        let rules = table.chain("in").unwrap().rules().unwrap();
        let counted = |at: usize| rules[at].0.counter().unwrap().packets;

        let proxy = line.router.tcp_listen("0.0.0.0:8080").unwrap();
        setsockopt(&proxy, sockopt::IpTransparent, &true).unwrap();
        let mut client = line.left.tcp_connect(SERVER, PATIENCE).unwrap();
        let (mut accepted, from) = proxy.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        assert_eq!(accepted.local_addr().unwrap().to_string(), SERVER);
        assert_ne!(counted(1), 0);
        let mut word = [0; 5];
        client.write_all(b"hello").unwrap();
        accepted.read_exact(&mut word).unwrap();
        accepted.write_all(b"world").unwrap();
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"world");
        let of_the_socket = counted(0);
        assert_ne!(of_the_socket, 0, "the connection's own socket was found");

        // The rule does not match the packets of a socket that is not transparent.
        let plain = line.router.tcp_listen("10.0.1.1:9000").unwrap();
        let client = line.left.tcp_connect("10.0.1.1:9000", PATIENCE).unwrap();
        let (accepted, _) = plain.accept().unwrap();
        drop((client, accepted));
        let mine = line.router.tcp_connect("10.0.2.2:9", PATIENCE);
        assert!(mine.is_err());
        assert_eq!(counted(0), of_the_socket);
    });
}

/// The client gets a SYN-ACK before the server receives a packet. Then the server gets the
/// connection.
#[test]
fn a_synproxy_shakes_hands_for_the_server() {
    support::isolated(|| {
        const SERVER: &str = "10.0.2.2:80";
        let line = line();
        let _forwarding = Forwarding::ipv4().create(&line.router).unwrap();
        let web = || Rule::new().tcp().dport(80);
        let raw =
            Chain::new("raw").hook(Hook::Prerouting, Priority::RAW).rule(web().tcp_syn().notrack());
        let offer = Synproxy::new().mss(1460).window_scale(7).timestamp().sack_permitted();
        let through = Chain::new("through")
            .hook(Hook::Forward, Priority::FILTER)
            .rule(web().ct_state(CtState::INVALID | CtState::UNTRACKED).counter().synproxy(offer))
            .rule(Rule::new().ct_state(CtState::INVALID).drop());
        let table = Table::new(Family::Ip, "t").chain(raw).chain(through);

        // Without the proxy, the client gets the server's refusal.
        let refused = line.left.tcp_connect(SERVER, PATIENCE).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ECONNREFUSED), "{refused}");
        let table = table.create(&line.router).unwrap();
        let strict = Sysctl::new("net.netfilter.nf_conntrack_tcp_loose", 0);
        let _strict = strict.create(&line.router).unwrap();
        // With the proxy, the connection is established, and reset once the server refuses its
        // part.
        let reset = match line.left.tcp_connect(SERVER, PATIENCE) {
            Err(error) => error.raw_os_error(),
            Ok(mut alone) => {
                alone.set_read_timeout(Some(PATIENCE)).unwrap();
                alone.read(&mut [0]).unwrap_err().raw_os_error()
            }
        };
        assert_eq!(reset, Some(nix::libc::ECONNRESET));

        let server = line.right.tcp_listen(SERVER).unwrap();
        let mut client = line.left.tcp_connect(SERVER, PATIENCE).unwrap();
        let (mut accepted, from) = server.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        let mut word = [0; 5];
        client.write_all(b"hello").unwrap();
        accepted.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"hello");
        accepted.write_all(b"world").unwrap();
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"world");
        let rules = table.chain("through").unwrap().rules().unwrap();
        assert_ne!(rules[0].0.counter().unwrap().packets, 0);
    });
}
