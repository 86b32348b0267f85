//! Adds many routes in few datagrams, with one owner for all.

use std::net::Ipv4Addr;
use std::time::Instant;

use ipnet::Ipv4Net;
use netloom::{Namespace, Route, VethPair};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    netloom::sandbox::enter()?;

    let red = Namespace::anonymous().create()?;
    let cable = VethPair::new("veth1", "veth2").create(&red)?;
    cable.near().set_up()?;
    cable.peer().set_up()?;

    let prefix = |n: u32| Ipv4Net::new(Ipv4Addr::from(0x0a00_0000 + (n << 8)), 24);
    let routes = (0..10_000)
        .map(|n| Ok(Route::new(ipnet::IpNet::from(prefix(n)?)).dev(cable.near())))
        .collect::<Result<Vec<_>, ipnet::PrefixLenError>>()?;

    let started = Instant::now();
    let owner = Route::create_all(&routes, &red)?;
    println!("{} routes in {:?}", owner.len(), started.elapsed());

    // Counts the routes without storing them: each is borrowed from the receive buffer.
    let by_veth1 = red.fold_routes(|| 0, |count, _route| *count += 1)?;
    println!("{by_veth1} routes are listed");
    Ok(())
}
