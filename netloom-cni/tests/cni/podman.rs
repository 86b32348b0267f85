//! podman with its CNI backend: real containers, and their published ports.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use netloom::Netns;
use serde_json::json;

use super::plugin::{Host, program};
use super::support::{self, features, tools};

/// The directory of everything that podman stores. It is in the sandbox's own /run.
const ROOT: &str = "/run/podman-test";

struct Podman<'a> {
    host: &'a Host,
}

fn is_there() -> bool {
    let is_root = nix::unistd::geteuid().is_root() && nix::unistd::getuid().is_root();
    let maps = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // Only the machine's root will do: its user namespace maps all users.
    let is_root = is_root && maps.split_whitespace().nth(2) == Some("4294967295");
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let is_there = has("podman") && has("crun") && Path::new("/bin/busybox").exists();
    if is_root && !is_there {
        assert!(!tools::is_required("podman"), "podman, crun and busybox are not installed");
    }
    if !is_root || !is_there {
        features::unsupported("podman", "it takes root, podman, crun and a static busybox");
    }
    is_root && is_there
}

impl<'a> Podman<'a> {
    fn new(host: &'a Host) -> Self {
        let at = |path: &str| Path::new(ROOT).join(path);
        for directory in ["conf", "bin", "tmp", "root/bin", "root/www", "root/etc", "root/proc"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for directory in ["root/sys", "root/dev", "root/tmp"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::copy("/bin/busybox", at("root/bin/busybox")).unwrap();
        symlink("busybox", at("root/bin/sh")).unwrap();
        fs::write(at("root/www/index.html"), "hello from inside").unwrap();
        // podman needs cgroups, which `tools/sandbox` leaves out of /sys, and libcni stores its
        // results in /var/lib.
        for (kind, target) in [("cgroup2", "/sys/fs/cgroup"), ("tmpfs", "/var/lib")] {
            let mounted = Command::new("mount").args(["-t", kind, kind, target]).output();
            assert!(mounted.unwrap().status.success(), "{target}");
        }
        symlink(program(), at("bin/netloom-cni")).unwrap();
        for (name, bridge, subnets) in [
            ("netloom", "cni0", &["10.88.0.0/24"][..]),
            ("second", "cni1", &["10.89.0.0/24", "fd89::/64"]),
        ] {
            let network = json!({
                "cniVersion": "0.4.0",
                "name": name,
                "plugins": [{
                    "type": "netloom-cni",
                    "bridge": bridge,
                    "isDefaultGateway": true,
                    "ipMasq": true,
                    "hairpinMode": true,
                    "capabilities": { "portMappings": true, "ips": true, "mac": true },
                    "ipam": host.ipam(subnets),
                }],
            });
            fs::write(at(&format!("conf/{name}.conflist")), network.to_string()).unwrap();
        }
        let containers = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n\
             cgroups = \"disabled\"\n[engine]\ncgroup_manager = \"cgroupfs\"\n\
             events_logger = \"file\"\nruntime = \"crun\"\n[network]\nnetwork_backend = \"cni\"\n\
             cni_plugin_dirs = [\"{ROOT}/bin\"]\nnetwork_config_dir = \"{ROOT}/conf\"\n\
             default_network = \"netloom\"\n"
        );
        fs::write(at("containers.conf"), containers).unwrap();
        Self { host }
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|said| panic!("podman {line}: {said}"))
    }

    fn try_run(&self, line: &str) -> Result<String, String> {
        let command = || {
            Command::new("podman")
                .args(["--root", &format!("{ROOT}/storage"), "--storage-driver", "vfs"])
                .args(["--runroot", &format!("{ROOT}/runroot"), "--tmpdir", &format!("{ROOT}/tmp")])
                .args(line.split(' '))
                .env("CONTAINERS_CONF", format!("{ROOT}/containers.conf"))
                .output()
                .unwrap()
        };
        let output = self.host.netns.run(command).unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        Command::new("umount").args(["/sys/fs/cgroup", "/var/lib"]).output().ok();
    }
}

/// Requests a page of a web server from a namespace, and returns it.
fn asks(from: &Netns, server: &str) -> String {
    let server: SocketAddr = server.parse().unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    let fetch = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
    };
    loop {
        match from.run(fetch).unwrap() {
            Ok(page) => return page,
            // The server may not listen yet.
            Err(_) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => panic!("{server}: {error}"),
        }
    }
}

#[test]
fn podman_runs_containers_and_publishes_their_ports() {
    support::isolated(|| {
        if !is_there() {
            return;
        }
        let host = Host::new();
        let world = host.world();
        let podman = Podman::new(&host);
        let rootfs = format!("--rootfs {ROOT}/root");
        podman.run(&format!(
            "run -d --name web -p 8080:80 {rootfs} /bin/busybox httpd -f -p 80 -h /www"
        ));
        podman
            .run(&format!("run -d --name other --ip 10.88.0.77 {rootfs} /bin/busybox sleep 1000"));
        assert_eq!(asks(&world, "198.51.100.2:8080"), "hello from inside");
        assert_eq!(asks(&host.netns, "127.0.0.1:8080"), "hello from inside");
        assert_eq!(asks(&host.netns, "198.51.100.2:8080"), "hello from inside");
        for (from, server) in
            [("other", "198.51.100.2:8080"), ("other", "10.88.0.2:80"), ("web", "10.88.0.1:8080")]
        {
            let page = "/tmp/page";
            podman.run(&format!("exec {from} /bin/busybox wget -q -O {page} http://{server}/"));
            let page = podman.run(&format!("exec {from} /bin/busybox cat {page}"));
            assert_eq!(page, "hello from inside");
            podman.run(&format!("exec {from} /bin/busybox rm /tmp/page"));
        }
        let addresses = podman.run("exec other /bin/busybox ip address show dev eth0");
        assert!(addresses.contains("10.88.0.77/24"), "{addresses}");
        podman.run("rm -f -t 0 web other");
        let left = host.netns.links().unwrap();
        let left: Vec<_> = left.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(left, ["lo", "out0", "cni0"]);
        assert_eq!(host.remembered("netloom"), ["last.0"]);
        let tables = support::kernel::tables(&host.netns);
        assert!(tables.iter().all(|table| !table.contains("netloom-ports")), "{tables:?}");
    });
}

/// Returns the addresses and default routes of a container, listed by `ip` inside it.
fn sees(podman: &Podman<'_>, container: &str) -> String {
    let ip = |what: &str| podman.run(&format!("exec {container} /bin/busybox ip {what}"));
    ip("address") + &ip("route") + &ip("-6 route")
}

/// podman passes the container's port mappings to each network, and each adds a default route.
#[test]
fn podman_puts_a_container_into_two_networks() {
    support::isolated(|| {
        if !is_there() {
            return;
        }
        let host = Host::new();
        let world = host.world();
        let podman = Podman::new(&host);
        let rootfs = format!("--rootfs {ROOT}/root");
        podman.run(&format!(
            "run -d --name web --network netloom,second -p 8080:80 {rootfs} /bin/busybox httpd -f \
             -p 80 -h /www"
        ));
        podman.run(&format!("run -d --name other {rootfs} /bin/busybox sleep 1000"));
        let reaches_web = |server: &str| {
            assert_eq!(asks(&world, &format!("{server}:8080")), "hello from inside");
            assert_eq!(asks(&host.netns, "127.0.0.1:8080"), "hello from inside");
        };
        reaches_web("198.51.100.2");
        assert_eq!(asks(&world, "[2001:db8::2]:8080"), "hello from inside");
        for server in ["10.88.0.2:80", "10.89.0.2:80", "[fd89::2]:80"] {
            assert_eq!(asks(&host.netns, server), "hello from inside");
        }
        let seen = sees(&podman, "web");
        for text in ["default via 10.88.0.1", "default via 10.89.0.1", "default via fd89::1"] {
            assert!(seen.contains(text), "no {text} in:\n{seen}");
        }
        // podman runs DEL and ADD for every network.
        podman.run("network reload --all");
        reaches_web("198.51.100.2");
        assert_eq!(asks(&world, "[2001:db8::2]:8080"), "hello from inside");
        // Whichever network is disconnected, the other one takes over the port.
        for (network, rest, gateway) in
            [("netloom", "second", "10.89.0.1"), ("second", "netloom", "10.88.0.1")]
        {
            podman.run(&format!("network disconnect {network} web"));
            reaches_web("198.51.100.2");
            let seen = sees(&podman, "web");
            assert!(seen.contains(&format!("default via {gateway}")), "{seen}");
            assert_eq!(seen.matches("default via 10.").count(), 1, "{seen}");
            podman.run(&format!("network connect {network} web"));
            reaches_web("198.51.100.2");
            assert_eq!(sees(&podman, "web").matches("default via 10.").count(), 2, "{rest}");
        }
        // A container that started with one network.
        podman.run("network connect second other");
        assert!(sees(&podman, "other").contains("10.89.0."));
        podman.run("network disconnect netloom other");
        // A port of another container is a conflict.
        let taken = podman.try_run(&format!(
            "run -d --name taken --network second -p 8080:80 {rootfs} /bin/busybox sleep 1000"
        ));
        assert!(taken.unwrap_err().contains("port"));
        podman.run("rm -f -t 0 web other taken");
        for network in ["netloom", "second"] {
            let left = host.remembered(network);
            assert!(left.iter().all(|name| name.starts_with("last.")), "{left:?}");
        }
        let links = host.netns.links().unwrap();
        let left: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(left, ["lo", "out0", "cni0", "cni1"]);
        let tables = support::kernel::tables(&host.netns);
        assert!(tables.iter().all(|table| !table.contains("netloom-ports")), "{tables:?}");
    });
}
