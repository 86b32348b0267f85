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

/// All of it is in the sandbox's own /run.
const ROOT: &str = "/run/podman-test";

struct Podman<'a> {
    host: &'a Host,
}

fn is_there() -> bool {
    let is_root = nix::unistd::geteuid().is_root() && nix::unistd::getuid().is_root();
    let maps = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // Root of the machine, that is: its user namespace knows all users.
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
        // As `tools/sandbox` leaves /sys without them; and where libcni keeps results.
        for (kind, target) in [("cgroup2", "/sys/fs/cgroup"), ("tmpfs", "/var/lib")] {
            let mounted = Command::new("mount").args(["-t", kind, kind, target]).output();
            assert!(mounted.unwrap().status.success(), "{target}");
        }
        symlink(program(), at("bin/netloom-cni")).unwrap();
        let network = json!({
            "cniVersion": "0.4.0",
            "name": "netloom",
            "plugins": [{
                "type": "netloom-cni",
                "bridge": "cni0",
                "isDefaultGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "capabilities": { "portMappings": true, "ips": true, "mac": true },
                "ipam": host.ipam(&["10.88.0.0/24"]),
            }],
        });
        fs::write(at("conf/10-netloom.conflist"), network.to_string()).unwrap();
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
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
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
