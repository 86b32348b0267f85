//! Another program reloads its ruleset repeatedly, while traffic flows through held ports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use netloom::{Firewall, NatRule, Netns, PortForward, Route};

use crate::lab::{Lab, address, assert_lost, seen};
use crate::support;
use crate::traffic::{PATIENCE, SHORT, Server, ask, udp_socket};

/// A connection with constant traffic, which counts the answers.
struct Flow {
    client: TcpStream,
    answers: AtomicUsize,
}

impl Flow {
    /// Connects to a published port of a container that echoes.
    fn new(from: &Netns, server: &str, container: &Netns, target: &str) -> Self {
        let listener = container.run(|| TcpListener::bind(target).unwrap()).unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let client = from.run(|| TcpStream::connect_timeout(&server, PATIENCE).unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        thread::spawn(move || std::io::copy(&mut served.try_clone().unwrap(), &mut served));
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { client, answers: AtomicUsize::new(0) }
    }

    fn go_on(&self, stop: &AtomicBool) {
        let mut client = &self.client;
        while !stop.load(Ordering::Relaxed) {
            client.write_all(b"still?").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            self.answers.fetch_add(1, Ordering::Relaxed);
            // Without a pause two connections keep two processors busy, and the kernel's grace
            // periods, which all other tests wait for, come tens of seconds late.
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn has_gone_on(&self, server: &str) {
        let before = self.answers.load(Ordering::Relaxed);
        let answers = || self.answers.load(Ordering::Relaxed);
        support::eventually(&format!("answers of {server}"), || answers() > before + 10);
    }
}

#[test]
fn held_rules_stay_while_others_reload_theirs() {
    const FOREIGN: &str = "flush ruleset
        table inet foreign {
            chain forward { type filter hook forward priority 0; policy accept; ct state invalid drop; }
            chain nat { type nat hook prerouting priority -100; tcp dport 7 redirect to :9; }
        }";
    support::isolated(|| {
        let lab = Lab::new(false);
        let host = &*lab.host;
        let port = |target: &str| PortForward::new(8080, target).target_port(80);
        let _ports = ["10.0.0.2", "fd00::2"].map(|target| lab.publish(&port(target)));
        let _echo = ["10.0.0.2", "fd00::2"]
            .map(|target| PortForward::new(7007, target).create(host).unwrap());
        let _nat = ["10.0.0.0/24", "fd00::/64"].map(|source| {
            NatRule::masquerade().source(source).oifname("out0").create(host).unwrap()
        });
        let _firewall = Firewall::new().network("br0").create(host).unwrap();
        let _servers = lab.servers();
        let _outside = ["198.51.100.1:99", "[2001:db8::1]:99"]
            .map(|address| Server::start(&lab.outside, address));
        let _ways = [("10.0.0.0/24", "198.51.100.2"), ("fd00::/64", "2001:db8::2")]
            .map(|(net, via)| Route::new(net).via(via).create(&lab.outside).unwrap());
        let ways =
            [("198.51.100.2:7007", "10.0.0.2:7007"), ("[2001:db8::2]:7007", "[fd00::2]:7007")];
        let flows = ways.map(|(server, target)| Flow::new(&lab.outside, server, &lab.web, target));
        let udp = ["198.51.100.2:8080", "[2001:db8::2]:8080"]
            .map(|server| udp_socket(&lab.outside, server).unwrap());
        let all_is_well = || {
            for (flow, (server, _)) in flows.iter().zip(ways) {
                flow.has_gone_on(server);
            }
            for socket in &udp {
                ask(socket, PATIENCE).unwrap();
            }
            // New connections find the rules, too.
            assert_eq!(seen(&lab.outside, "198.51.100.2:8080"), address("198.51.100.1"));
            assert_eq!(seen(&lab.outside, "[2001:db8::2]:8080"), address("2001:db8::1"));
            assert_eq!(seen(&lab.web, "198.51.100.1:99"), address("198.51.100.2"));
            assert_eq!(seen(&lab.web, "[2001:db8::1]:99"), address("2001:db8::2"));
            // Unpublished ports remain closed.
            for server in ["10.0.0.2:80", "[fd00::2]:80"] {
                assert!(crate::traffic::tcp(&lab.outside, server, SHORT).is_err());
            }
        };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for flow in &flows {
                scope.spawn(|| flow.go_on(&stop));
            }
            let guard = Stop(&stop);
            all_is_well();
            let place = support::Place::of_fd(host);
            for round in 0..5 {
                let script = if round % 2 == 0 { FOREIGN } else { "flush ruleset" };
                if support::nft(&place, &[script]).is_none() {
                    break;
                }
                all_is_well();
            }
            drop(guard);
        });
        assert_lost(&lab.outside, "198.51.100.2:80");
    });
}

/// A guard that stops the threads, however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
