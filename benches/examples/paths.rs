//! Makes one call of `create` for `tools/paths`, which counts the functions that the call passes.
#![allow(missing_docs)]

use netloom::nft::{Chain, Family, Rule, Table};
use netloom::{Bridge, Error, Namespace, NatRule, Netns, PortForward, VethEnd, VethPair};

fn main() -> Result<(), Error> {
    let host = Namespace::anonymous().create()?;
    match std::env::args().nth(1).as_deref() {
        Some("bridge") => drop(bridge(&host)?),
        Some("table") => drop(table(&host)?),
        Some("nat") => drop(nat(&host)?),
        Some("port") => {
            let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host)?;
            let container = Namespace::anonymous().create()?;
            let near = VethEnd::new("port1").master(&bridge).up();
            let far = VethEnd::new("eth0").address("10.0.0.2/24").up();
            let _cable = VethPair::new(near, far).create_between(&host, &container)?;
            drop(port(&host)?);
        }
        other => panic!("bridge, table, nat or port, not {other:?}"),
    }
    Ok(())
}

#[inline(never)]
fn bridge(host: &Netns) -> Result<impl Sized, Error> {
    Bridge::new("br0").address("10.0.0.1/24").up().create(host)
}

#[inline(never)]
fn table(host: &Netns) -> Result<impl Sized, Error> {
    let chain = Chain::new("c").rule(Rule::new().tcp().dport(80).accept());
    Table::new(Family::Inet, "t").chain(chain).create(host)
}

#[inline(never)]
fn nat(host: &Netns) -> Result<impl Sized, Error> {
    NatRule::masquerade().source("10.0.0.0/24").create(host)
}

#[inline(never)]
fn port(host: &Netns) -> Result<impl Sized, Error> {
    PortForward::new(8080, "10.0.0.2").create(host)
}
