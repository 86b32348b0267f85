//! Settings of namespaces and of links, and forwarding.

use super::{every_step, ground, here, support};
use netloom::{Error, Forwarding, Setting, Sysctl};

#[test]
fn sysctls() {
    support::isolated(|| {
        let host = here();
        every_step(&["set sysctl net.ipv4.conf.all.rp_filter=1"], || {
            Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&host).map(drop)
        });
        every_step(&["read sysctl net.ipv4.ip_forward"], || {
            host.sysctl("net.ipv4.ip_forward").map(drop)
        });
        let _older = Sysctl::new("net.ipv4.conf.all.rp_filter", 2).create(&host).unwrap();
        every_step(&["set sysctl net.ipv4.conf.all.rp_filter=1"], || {
            Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&host).map(drop)
        });
    });
}

/// Sets a switch for all links. The kernel also changes the files of single links.
#[test]
fn a_switch_for_all_links() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        let done = host.sysctl("net.ipv6.conf.all.disable_ipv6");
        if support::features::supported("ipv6", done).is_none() {
            return;
        }
        every_step(&["set sysctl net.ipv6.conf.all.disable_ipv6=1"], || {
            Sysctl::new("net.ipv6.conf.all.disable_ipv6", 1).create(&host).map(drop)
        });
    });
}

/// Sets and restores the settings that have their own types.
#[test]
fn typed_settings() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "set sysctl net.ipv4.ip_unprivileged_port_start=80",
                "read sysctl net.ipv4.ip_unprivileged_port_start",
            ],
            || {
                let setting = Setting::unprivileged_port_start();
                let owner = setting.to(80).create(&host)?;
                setting.read(&host)?;
                owner.delete().map_err(Error::from)
            },
        );
    });
}

#[test]
fn sysctls_of_a_link() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        let name = "net.ipv4.conf.veth1.rp_filter";
        every_step(&["set sysctl net.ipv4.conf.veth1.rp_filter=1"], || {
            Sysctl::new(name, 1).create(&host).map(drop)
        });
        every_step(&["set sysctl net/ipv4/conf/veth1/route_localnet=1"], || {
            Setting::route_localnet(cable.near()).to(true).create(&host).map(drop)
        });
    });
}

#[test]
fn forwarding_of_links() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        every_step(&["find link N", "set sysctl net/ipv4/conf/veth1/forwarding=1"], || {
            Forwarding::ipv4().dev(cable.near()).create(&host).map(drop)
        });
        every_step(
            &[
                "find link N",
                "read sysctl net/ipv6/conf/veth1/accept_ra",
                "set sysctl net/ipv6/conf/veth1/accept_ra=2",
                "set sysctl net/ipv6/conf/veth1/forwarding=1",
            ],
            || Forwarding::ipv6().dev(cable.near()).create(&host).map(drop),
        );
    });
}

#[test]
fn forwarding() {
    support::isolated(|| {
        let host = here();
        let _cable = ground(&host);
        every_step(&["set sysctl net.ipv4.ip_forward=1"], || {
            Forwarding::ipv4().create(&host).map(drop)
        });
        every_step(
            &[
                "read sysctl net/ipv6/conf/default/accept_ra",
                "set sysctl net/ipv6/conf/default/accept_ra=2",
                "list links",
                "read sysctl net/ipv6/conf/lo/accept_ra",
                "set sysctl net/ipv6/conf/lo/accept_ra=2",
                "read sysctl net/ipv6/conf/veth2/accept_ra",
                "set sysctl net/ipv6/conf/veth2/accept_ra=2",
                "read sysctl net/ipv6/conf/veth1/accept_ra",
                "set sysctl net/ipv6/conf/veth1/accept_ra=2",
                "set sysctl net.ipv6.conf.all.forwarding=1",
            ],
            || Forwarding::ipv6().create(&host).map(drop),
        );
    });
}
