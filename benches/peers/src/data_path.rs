//! TCP through veth, bridge and masquerade: set up by netloom, and the same set up by commands.

use std::process::Stdio;
use std::time::Duration;

use netloom::{Bridge, Forwarding, Namespace, NatRule, Netns, Together, VethEnd, VethPair};

use crate::harness::{contender, medians, settle};
use crate::peers::run;
use crate::report::{BATCHES, Report};

/// The time that a gigabyte takes at one bit per second.
const GIGABYTE: Duration = Duration::from_secs(8_000_000_000);
const SERVER: &str = "198.51.100.1";

pub fn measure(report: &mut Report, quick: bool) {
    let seconds = if quick { "1" } else { "2" };
    let host = Netns::current().unwrap();
    let measured = medians(
        5,
        &mut [
            contender("netloom", || {
                settle(&host);
                GIGABYTE.div_f64(by_netloom(seconds))
            }),
            contender(BATCHES, || {
                settle(&host);
                GIGABYTE.div_f64(by_commands(seconds))
            }),
        ],
    );
    let text = |time: Duration| format!("{:.1} Gbit/s", 8.0 / time.as_secs_f64());
    let cells = measured.into_iter().map(|(name, time)| (name, text(time), time)).collect();
    report.add_text("TCP through veth, bridge and masquerade", cells);
}

fn by_netloom(seconds: &str) -> f64 {
    let new = || Namespace::anonymous().create().unwrap();
    let (host, inside, outside) = (new(), new(), new());
    let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&host).unwrap();
    let port = VethEnd::new("port").master(&bridge).up();
    let eth0 = VethEnd::new("eth0").address("10.0.0.2/24").gateway("10.0.0.1").up();
    let cable = VethPair::new(port, eth0).create_between(&host, &inside).unwrap();
    let uplink = VethEnd::new("uplink").address("198.51.100.2/24").up();
    let server = VethEnd::new("eth0").address("198.51.100.1/24").up();
    let uplink = VethPair::new(uplink, server).create_between(&host, &outside).unwrap();
    let forwarding = Forwarding::ipv4().create(&host).unwrap();
    let nat = NatRule::masquerade().source("10.0.0.0/24").create(&host).unwrap();
    let _network = Together::new((bridge, cable, uplink, forwarding, nat));
    rate(&inside, &outside, seconds)
}

fn by_commands(seconds: &str) -> f64 {
    for name in ["host", "inside", "outside"] {
        run("ip", &["netns", "add", name], "");
    }
    let host = "link add br0 up type bridge\naddress add 10.0.0.1/24 dev br0\n\
         link add port master br0 up type veth peer name eth0 netns inside\n\
         link add uplink up type veth peer name eth0 netns outside\n\
         address add 198.51.100.2/24 dev uplink\n";
    run("ip", &["-n", "host", "-batch", "-"], host);
    let inside =
        "address add 10.0.0.2/24 dev eth0\nlink set eth0 up\nroute add default via 10.0.0.1\n";
    run("ip", &["-n", "inside", "-batch", "-"], inside);
    let outside = "address add 198.51.100.1/24 dev eth0\nlink set eth0 up\n";
    run("ip", &["-n", "outside", "-batch", "-"], outside);
    let forwarding =
        ["netns", "exec", "host", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
    run("ip", &forwarding, "");
    run("ip", &["netns", "exec", "host", "nft", "-f", "-"], crate::work::RULESET);
    let open = |name| Netns::open(name).unwrap();
    let rate = rate(&open("inside"), &open("outside"), seconds);
    for name in ["host", "inside", "outside"] {
        run("ip", &["netns", "del", name], "");
    }
    rate
}

/// Measures the rate that iperf3 receives, in bits per second.
fn rate(inside: &Netns, outside: &Netns, seconds: &str) -> f64 {
    let mut server =
        outside.command("iperf3").args(["-s", "-1"]).stdout(Stdio::null()).spawn().unwrap();
    outside.wait_listening(5201, Duration::from_secs(10)).unwrap();
    let client =
        inside.command("iperf3").args(["-c", SERVER, "-t", seconds, "-J"]).output().unwrap();
    server.wait().unwrap();
    let text = String::from_utf8_lossy(&client.stdout);
    let received = text.split("\"sum_received\"").nth(1).expect("iperf3 tells what was received");
    let rate = received.split("\"bits_per_second\":").nth(1).unwrap();
    rate.trim_start().split([',', '\n', '}']).next().unwrap().trim().parse().unwrap()
}
