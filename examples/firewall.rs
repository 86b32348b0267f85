//! Separates two container networks, and guards a container's port against spoofed addresses.

use netloom::{Bridge, Firewall, Forwarding, Namespace, PortGuard, VethEnd, VethPair};

fn main() -> Result<(), netloom::Error> {
    netloom::sandbox::enter()?;

    let host = Namespace::anonymous().create()?;
    let _forwarding = Forwarding::ipv4().create(&host)?;
    let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
    let mut networks = Vec::new();
    for (n, container) in [(0, &red), (1, &blue)] {
        let gateway = format!("10.0.{n}.1");
        let bridge =
            Bridge::new(format!("br{n}")).address(&*format!("{gateway}/24")).up().create(&host)?;
        let eth0 = VethEnd::new("eth0").address(&*format!("10.0.{n}.2/24")).gateway(&*gateway).up();
        let port = VethEnd::new(format!("port{n}")).master(&bridge).up();
        networks.push((VethPair::new(port, eth0).create_between(&host, container)?, bridge));
    }
    println!("without a firewall, red reaches blue in {:?}", red.ping("10.0.1.2")?);

    let guard = PortGuard::new("port0").address("10.0.0.2");
    let firewall = Firewall::new().network("br0").network("br1").port(guard).create(&host)?;
    println!("with one: {}", red.ping("10.0.1.2").unwrap_err());

    firewall.connect("br0", "br1")?;
    println!("connected: {:?}", red.ping("10.0.1.2")?);
    Ok(())
}
