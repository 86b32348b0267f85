//! Container networking from the first namespace to the internet: some forty commands that a person
//! would type, as one program that cleans up after itself.
//!
//! ```text
//! cargo run --example walkthrough             # the whole story
//! cargo run --example walkthrough -- --pause  # waits before taking down, to look around
//! ```
//!
//! Each step prints the command that it replaces. Packets prove each claim, and a false claim ends
//! the program with an error.

use std::error::Error;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use netloom::{
    Address, Bridge, Forwarding, Input, Namespace, NatRule, Netns, Owned, Ping, Route, VethEnd,
    VethPair,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

// Callable from netloom's own tests, which make every step of this example fail.
pub(crate) fn main() -> Result {
    let pause = std::env::args().any(|argument| argument == "--pause");
    let here = Netns::current()?;
    let before = traces(&here)?;

    title("A name for a namespace");
    names()?;
    {
        title("(a) Two namespaces, one cable");
        let ns1 = namespace("ns1")?;
        let ns2 = namespace("ns2")?;
        joined_by_a_cable(&here, &ns1, &ns2)?;

        title("(b) The cable gone, both on a bridge");
        let host = namespace("host")?;
        let network = on_a_bridge(&host, &ns1, &ns2)?;

        title("(c) The way out: a default route, forwarding, masquerading");
        let internet = namespace("internet")?;
        let way_out = to_the_internet(&host, &ns1, &internet)?;

        if pause {
            wait_for_enter(&[
                ("ns1", &ns1),
                ("ns2", &ns2),
                ("host", &host),
                ("internet", &internet),
            ])?;
        }
        // The order of drops does not matter. These two owners go first, the namespaces at the end
        // of the block.
        drop(way_out);
        drop(network);
    }

    title("Nothing is left");
    let after = traces(&here)?;
    claim("links, addresses, routes and names are what they were", before == after)
}

/// Does what `ip netns add`, `list`, `exec` and `del` do. iproute2 sees the names as well.
fn names() -> Result {
    command("ip netns add lab");
    let lab = Namespace::named("lab").create()?;
    command("ip netns list");
    for named in Netns::list()? {
        println!("    {}", named.name);
    }
    command("ip netns exec lab ls /sys/class/net");
    let links = lab.command("ls").arg("/sys/class/net").output()?;
    print!("    {}", String::from_utf8_lossy(&links.stdout));
    command("ip netns del lab");
    lab.delete()?;
    claim("its name is gone", Netns::list()?.iter().all(|named| named.name != "lab"))
}

fn joined_by_a_cable(here: &Netns, ns1: &Netns, ns2: &Netns) -> Result {
    command(
        "ip -n ns1 link add veth1 type veth peer name veth2; ip -n ns1 link set veth2 netns ns2",
    );
    let cable = VethPair::new("veth1", "veth2").create(ns1)?;
    cable.peer().move_to(ns2)?;
    command("ip -n ns1 link list");
    for link in ns1.links()? {
        println!("    {link}");
    }

    command("ip -n ns1 address add 10.0.0.2/24 dev veth1; ip -n ns1 link set veth1 up; …");
    let _address1 = Address::new("10.0.0.2/24").create(cable.near())?;
    let _address2 = Address::new("10.0.0.3/24").create(cable.peer())?;
    let _address61 = Address::new("fd00::2/64").create(cable.near())?;
    let _address62 = Address::new("fd00::3/64").create(cable.peer())?;
    cable.near().set_up()?;
    cable.peer().set_up()?;
    ns1.link("lo")?.set_up()?;

    command("ip -n ns1 address show");
    for address in ns1.addresses()? {
        println!("    {address}");
    }
    ping("ns1", ns1, "10.0.0.3")?;
    ping("ns2", ns2, "10.0.0.2")?;
    ping("ns1", ns1, "fd00::3")?;
    ping("ns2", ns2, "fd00::2")?;

    command("ip -n ns1 neighbour    # or: arp");
    for neighbor in ns1.neighbors()? {
        println!("    {neighbor}");
    }
    let knows_ns2 = |netns: &Netns| -> Result<bool> {
        let ns2 = IpAddr::from([10, 0, 0, 3]);
        Ok(netns.neighbors()?.iter().any(|neighbor| neighbor.address == ns2))
    };
    claim("ns1 knows ns2 as its neighbour", knows_ns2(ns1)?)?;
    claim("where the program runs nobody does", !knows_ns2(here)?)?;

    command("ip -n ns1 link del veth1");
    cable.delete()?;
    claim("the other end went with it", ns2.link("veth2").is_err())
}

/// Builds part (b). Returns the owners that part (c) drops, which deletes everything.
fn on_a_bridge(host: &Netns, ns1: &Netns, ns2: &Netns) -> Result<impl Sized + use<>> {
    command(
        "ip -n host link add br0 type bridge; ip -n host address add 10.0.0.1/24 brd + dev br0; …",
    );
    let address = Address::new("10.0.0.1/24").broadcast_auto();
    let bridge = Bridge::new("br0").address(address).address("fd00::1/64").up().create(host)?;

    command("ip link add port1 netns host master br0 type veth peer name eth0 netns ns1; …");
    let cable = |port: &str, netns: &Netns, v4: &str, v6: &str| {
        let port = VethEnd::new(port).master(&bridge).up();
        let eth0 = VethEnd::new("eth0").address(v4).address(v6).up();
        VethPair::new(port, eth0).create_between(host, netns)
    };
    let cable1 = cable("port1", ns1, "10.0.0.2/24", "fd00::2/64")?;
    let cable2 = cable("port2", ns2, "10.0.0.3/24", "fd00::3/64")?;

    command("bridge -n host link show");
    for port in host.bridge_ports()? {
        println!("    {port}");
    }
    ping("ns1", ns1, "10.0.0.3")?;
    ping("ns2", ns2, "10.0.0.2")?;
    ping("ns1", ns1, "fd00::3")?;
    ping("host", host, "10.0.0.2")?;
    ping("host", host, "10.0.0.3")?;
    ping("ns1", ns1, "10.0.0.1")?;
    Ok((cable1, cable2, bridge))
}

fn to_the_internet(host: &Netns, ns1: &Netns, internet: &Netns) -> Result<impl Sized + use<>> {
    const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    command("ip link add uplink netns host type veth peer name eth0 netns internet; …");
    let uplink = VethPair::new(
        VethEnd::new("uplink").address("198.51.100.2/24").up(),
        VethEnd::new("eth0").address("198.51.100.1/24").up(),
    )
    .create_between(host, internet)?;

    command("ip -n ns1 route add default via 10.0.0.1");
    let default = Route::default_via("10.0.0.1").create(ns1)?;
    command("ip -n ns1 route    # or: route");
    for route in ns1.routes()?.iter().filter(|route| route.table == 254) {
        println!("    {route}");
    }
    command("ip netns exec host sysctl -w net.ipv4.ip_forward=1");
    let forwarding = Forwarding::ipv4().create(host)?;

    let there = Ping::new(SERVER).timeout(Duration::from_millis(200));
    let lost = there.send(ns1).is_err_and(|error| error.is_timed_out());
    claim("without NAT no answer finds its way back", lost)?;

    command(
        "ip netns exec host iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -o uplink -j MASQUERADE",
    );
    let rule = NatRule::masquerade().source("10.0.0.0/24").oifname("uplink");
    println!("    {rule}");
    let nat = rule.create(host)?;
    ping("ns1", ns1, SERVER)?;

    let client = tcp_exchange(ns1, internet, SocketAddr::from((SERVER, 80)))?;
    claim("the server sees the host's address, not 10.0.0.2", client.ip() == IpAddr::from(HOST))?;
    Ok((nat, forwarding, default, uplink))
}

/// Connects a client in one namespace to a server in another. Returns the address that the server
/// saw.
fn tcp_exchange(from: &Netns, to: &Netns, server: SocketAddr) -> Result<SocketAddr> {
    let listener = to.run(|| TcpListener::bind(server))??;
    // The kernel completes the connection before the server accepts it: one thread is enough.
    let mut stream = from.run(|| TcpStream::connect_timeout(&server, Duration::from_secs(1)))??;
    let (mut served, client) = listener.accept()?;
    writeln!(served, "hello {client}")?;
    drop(served);
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    print!("    the server says: {answer}");
    Ok(client)
}

fn namespace(name: &str) -> Result<Owned<Netns>> {
    let netns = Namespace::anonymous().create()?;
    println!("  $ unshare -n    # {name}: {}", netns.id());
    Ok(netns)
}

fn ping(name: &str, from: &Netns, target: impl Input<IpAddr> + Display + Copy) -> Result {
    command(&format!("ip netns exec {name} ping -c 1 {target}"));
    println!("    answered in {:?}", from.ping(target)?);
    Ok(())
}

/// Lists everything visible in a namespace, to compare before and after.
fn traces(netns: &Netns) -> Result<String> {
    let names = Netns::list()?;
    Ok(format!("{:?} {:?} {:?} {names:?}", netns.links()?, netns.addresses()?, netns.routes()?))
}

fn wait_for_enter(namespaces: &[(&str, &Netns)]) -> Result {
    title("Paused: look around, then press Enter");
    let pid = std::process::id();
    for (name, netns) in namespaces {
        let fd = netns.as_fd().as_raw_fd();
        println!("  {name}:");
        println!("    nsenter --net=/proc/{pid}/fd/{fd} ip address");
        println!("    nsenter --net=/proc/{pid}/fd/{fd} ip route");
        println!("    nsenter --net=/proc/{pid}/fd/{fd} nft list ruleset");
    }
    println!("  As an ordinary user start each with: nsenter -U --preserve-credentials -t {pid} …");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn title(text: &str) {
    println!("\n{text}");
}

fn command(text: &str) {
    println!("  $ {text}");
}

fn claim(text: &str, holds: bool) -> Result {
    if !holds {
        return Err(format!("does not hold: {text}").into());
    }
    println!("  ✓ {text}");
    Ok(())
}
