//! A host with two uplinks: answers leave by the uplink that was asked, and all else by the second
//! uplink when the first fails.

use std::time::Duration;

use netloom::{
    Address, Error, Namespace, Netns, Owned, PolicyRule, Route, Sysctl, VethEnd, VethPair,
};

/// One uplink: `wan1` at 192.0.1.2, with its provider at 192.0.1.1.
fn uplink(host: &Netns, provider: &Netns, n: u8) -> Result<impl Sized, Error> {
    let (address, gateway) = (format!("192.0.{n}.2"), format!("192.0.{n}.1"));
    let near = VethEnd::new(format!("wan{n}")).address(format!("{address}/24")).up();
    let far = VethEnd::new("eth0").address(format!("{gateway}/24")).up().loopback_up();
    let cable = VethPair::new(near, far).create_between(host, provider)?;
    // Both providers lead to the same server.
    let server = Address::new("198.51.100.1/32").create(&provider.link("lo")?)?;
    // What has the uplink's address leaves by the uplink, whatever the main table says.
    let by_table = Route::default_via(&gateway).table(n.into()).create(host)?;
    let rule = PolicyRule::ipv4().source(&address).table(n.into()).priority(1000 + u32::from(n));
    let rule = rule.create(host)?;
    // All else takes the default route with the lowest metric whose link has a carrier.
    let usual = Route::default_via(&gateway).metric(100 * u32::from(n)).create(host)?;
    Ok((server, by_table, rule, usual, cable))
}

fn main() -> Result<(), Error> {
    netloom::sandbox::enter()?;

    let namespace = || Namespace::anonymous().create();
    let (host, providers): (_, [Owned<Netns>; 2]) = (namespace()?, [namespace()?, namespace()?]);
    let _only_with_carrier =
        Sysctl::new("net.ipv4.conf.all.ignore_routes_with_linkdown", 1).create(&host)?;
    let _uplinks = [uplink(&host, &providers[0], 1)?, uplink(&host, &providers[1], 2)?];

    let gateway = |host: &Netns| Ok::<_, Error>(host.route_to("198.51.100.1")?.gateway);
    let show = |host: &Netns| {
        let by = gateway(host)?.map_or_else(String::new, |gateway| gateway.to_string());
        println!("the server answers by {by} in {:?}", host.ping("198.51.100.1")?);
        Ok::<_, Error>(())
    };
    show(&host)?;

    // The first provider fails: the carrier is gone.
    let first = gateway(&host)?;
    providers[0].link("eth0")?.set_down()?;
    let is_switched = || Ok(gateway(&host)? != first);
    host.wait_for(is_switched, Duration::from_secs(5))?;
    show(&host)
}
