//! A small TCP service behind NAT, tested with `netloom::sandbox` alone, as a user's program would
//! do it, as root and as an ordinary user.
//!
//! ```text
//!   client             router                       server
//!   10.0.0.2 ──────── 10.0.0.1 / 198.51.100.1 ──── 198.51.100.7:80
//!              masquerade 10.0.0.0/24
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::thread;
use std::time::Duration;

use netloom::{
    Forwarding, ForwardingHandle, Namespace, NatRule, NatRuleHandle, Netns, Owned, Veth, VethEnd,
    VethPair, sandbox,
};

const SERVER: &str = "198.51.100.7:80";
const SOON: Duration = Duration::from_secs(3);

/// Runs the tested service: it sends its name and the client's address as it sees it.
fn serve(listener: TcpListener) -> thread::JoinHandle<Vec<IpAddr>> {
    thread::spawn(move || {
        let mut clients = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            clients.push(stream.peer_addr().unwrap().ip());
            let mut name = String::new();
            BufReader::new(&stream).read_line(&mut name).unwrap();
            if name.trim() == "stop" {
                return clients;
            }
            writeln!(stream, "hello {}", name.trim()).unwrap();
        }
        clients
    })
}

struct Network {
    client: Owned<Netns>,
    router: Owned<Netns>,
    server: Owned<Netns>,
    _cables: [Owned<Veth>; 2],
    _forwarding: Owned<ForwardingHandle>,
}

fn network() -> Result<Network, netloom::Error> {
    let client = Namespace::anonymous().create()?;
    let router = Namespace::anonymous().create()?;
    let server = Namespace::anonymous().create()?;
    let inner = VethPair::new(
        VethEnd::new("inner").address("10.0.0.1/24").up(),
        VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up(),
    );
    let outer = VethPair::new(
        VethEnd::new("outer").address("198.51.100.1/24").up(),
        VethEnd::new("eth0").address("198.51.100.7/24").up(),
    );
    let cables = [inner.create_between(&router, &client)?, outer.create_between(&router, &server)?];
    let forwarding = Forwarding::ipv4().create(&router)?;
    Ok(Network { client, router, server, _cables: cables, _forwarding: forwarding })
}

fn masquerade(router: &Netns) -> Result<Owned<NatRuleHandle>, netloom::Error> {
    NatRule::masquerade().source("10.0.0.0/24").oifname("outer").create(router)
}

#[test]
fn the_service_is_reached_through_nat_and_sees_the_router() {
    sandbox::run(|| {
        let network = network().unwrap();
        let nat = masquerade(&network.router).unwrap();
        let server = serve(network.server.tcp_listen(SERVER).unwrap());
        for name in ["anna", "bert"] {
            let mut stream = network.client.tcp_connect(SERVER, SOON).unwrap();
            writeln!(stream, "{name}").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, format!("hello {name}\n"));
        }
        writeln!(network.client.tcp_connect(SERVER, SOON).unwrap(), "stop").unwrap();
        let clients = server.join().unwrap();
        let router = IpAddr::from([198, 51, 100, 1]);
        assert_eq!(clients, [router; 3]);
        drop(nat);
    })
    .unwrap();
}

#[test]
fn without_nat_it_is_out_of_reach() {
    sandbox::run(|| {
        let network = network().unwrap();
        let _listener = network.server.tcp_listen(SERVER).unwrap();
        network.server.wait_listening(80, SOON).unwrap();
        let error = network.client.tcp_connect(SERVER, Duration::from_millis(200)).unwrap_err();
        assert!(error.is_timed_out(), "{error}");
        let _nat = masquerade(&network.router).unwrap();
        network.client.tcp_connect(SERVER, SOON).unwrap();
    })
    .unwrap();
}

/// A real program as the client, with the server's name in its `/etc/hosts`.
#[test]
fn a_command_finds_the_service_by_name() {
    sandbox::run(|| {
        let network = network().unwrap();
        let _nat = masquerade(&network.router).unwrap();
        let server = serve(network.server.tcp_listen(SERVER).unwrap());
        let script = "exec 3<>/dev/tcp/web/80; echo carl >&3; cat <&3";
        let mut bash = network.client.command("bash");
        bash.args(["-c", script]).hosts("127.0.0.1 localhost\n198.51.100.7 web\n");
        let answered = bash.output();
        writeln!(network.client.tcp_connect(SERVER, SOON).unwrap(), "stop").unwrap();
        server.join().unwrap();
        match answered {
            Ok(output) => assert_eq!(output.stdout, b"hello carl\n", "{output:?}"),
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
    })
    .unwrap();
}
