//! Commands inside a namespace, and sockets opened there.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use super::{every_step, ground, support};
use netloom::{Error, Namespace, Ping};

#[test]
fn closures() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        every_step(&["enter namespace net:[N]"], || red.run(|| 1).map(drop));
        every_step(&["start a worker in namespace net:[N]"], || red.worker()?.run(|| 1).map(drop));
    });
}

/// The steps of starting `true`.
const RUN_TRUE: [&str; 5] = [
    "run `true`",
    "enter namespace net:[N]",
    "make a mount namespace",
    "mount /sys",
    "become user the same, group the same",
];

#[test]
fn commands() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        every_step(&RUN_TRUE, || red.command("true").stdout(Stdio::null()).status().map(drop));
        every_step(
            &[
                "run `true`",
                "enter namespace net:[N]",
                "make a mount namespace",
                "replace file /etc/hosts",
                "mount /sys",
                "become user the same, group the same",
            ],
            || red.command("true").hosts("127.0.0.1 me\n").output().map(drop),
        );
        every_step(
            &[
                "run `sleep`",
                "enter namespace net:[N]",
                "make a mount namespace",
                "mount /sys",
                "become user the same, group the same",
            ],
            || red.command("sleep").arg("60").spawn().map(drop),
        );
        every_step(&RUN_TRUE, || {
            let mut child = red.command("true").spawn_detached()?;
            child.wait().map(drop).unwrap();
            Ok::<_, Error>(())
        });
    });
}

#[test]
fn sockets() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        every_step(
            &[
                "listen on 127.0.0.1:80",
                "connect to 127.0.0.1:80",
                "bind a UDP socket to 127.0.0.1:53",
                "open raw IPv4 socket for protocol 1",
            ],
            || {
                let listener = red.tcp_listen("127.0.0.1:80")?;
                let client = red.tcp_connect("127.0.0.1:80", Duration::from_secs(5))?;
                drop((listener.accept().unwrap(), client));
                red.udp_bind("127.0.0.1:53")?;
                red.raw_ipv4_socket(1).map(drop)
            },
        );
        let lo = red.link("lo").unwrap();
        every_step(
            &[
                "open a socket on `lo`",
                "listen on 127.0.0.1:80",
                "list listening sockets",
                "wait for a listener on port 80",
                "connect to 127.0.0.1:80",
                "bind a UDP socket to 127.0.0.1:53",
                "open raw IPv6 socket for protocol 58",
                "bind a socket to `lo`",
            ],
            || {
                let listener = lo.tcp_listen("127.0.0.1:80")?;
                assert_eq!(red.listeners()?.len(), 1);
                red.wait_listening(80, Duration::from_secs(5))?;
                let client = lo.tcp_connect("127.0.0.1:80", Duration::from_secs(5))?;
                drop((listener.accept().unwrap(), client));
                lo.udp_bind("127.0.0.1:53")?;
                let has_ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
                let raw = if has_ipv6 { red.raw_ipv6_socket(58)? } else { red.raw_ipv4_socket(1)? };
                lo.bind_socket(&raw)
            },
        );
    });
}

#[test]
fn pings() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        let cable = ground(&red);
        every_step(&["ping 10.0.0.1"], || {
            Ping::new(IpAddr::from([10, 0, 0, 1])).send(&red).map(drop)
        });
        every_step(&["ping 10.0.0.1"], || red.ping(IpAddr::from([10, 0, 0, 1])).map(drop));
        every_step(&["ping 10.0.0.1"], || {
            Ping::new(IpAddr::from([10, 0, 0, 1])).count(1).run(&red).map(drop)
        });
        drop(cable);
    });
}
