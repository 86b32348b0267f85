//! Publishes a container's port on the host, as `docker run -p 8080:80` does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use netloom::{Bridge, Namespace, PortForward, VethEnd, VethPair};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    netloom::sandbox::enter()?;

    // A host with a bridge, a container on the bridge, and a client outside.
    let (host, container, client) = (new()?, new()?, new()?);
    let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
    let inside = VethPair::new(
        VethEnd::new("port1").master(&bridge).up(),
        VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up(),
    )
    .create_between(&host, &container)?;
    let outside = VethPair::new(
        VethEnd::new("out0").address("198.51.100.1/24").up(),
        VethEnd::new("eth0").address("198.51.100.2/24").up(),
    )
    .create_between(&host, &client)?;
    let forwarding = netloom::Forwarding::ipv4().create(&host)?;

    let server = container.tcp_listen("0.0.0.0:80".parse::<SocketAddr>()?)?;
    let answer = thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, from) = server.accept()?;
        writeln!(connection, "hello {from}")
    });

    let port = PortForward::new(8080, Ipv4Addr::new(10, 0, 0, 2)).target_port(80).create(&host)?;
    let mut text = String::new();
    client.run(|| TcpStream::connect("198.51.100.1:8080"))??.read_to_string(&mut text)?;
    print!("through port 8080: {text}");

    answer.join().map_err(|_| "the server panicked")??;
    drop((port, forwarding, outside, inside));
    Ok(())
}

fn new() -> Result<netloom::Owned<netloom::Netns>, netloom::Error> {
    Namespace::anonymous().create()
}
