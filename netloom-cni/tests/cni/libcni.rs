//! The plugin as libcni calls it, alone and in a chain with the reference plugins.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::plugin::{Host, address, container, program, with};
use super::support::{self, features, reaches, tools};
use super::traffic::{Server, tcp};

const PATIENCE: Duration = Duration::from_secs(5);
const GO_PATH: &str = "/usr/share/gocode";

/// Returns the path of the caller, built with Debian's libcni. `None` if libcni is not installed.
fn caller() -> Option<PathBuf> {
    let library = Path::new(GO_PATH).join("src/github.com/containernetworking/cni/libcni");
    let has_go = Command::new("go").arg("version").output().is_ok();
    if !has_go || !library.is_dir() {
        assert!(!tools::is_required("libcni"), "go and libcni are not installed");
        features::note("libcni", "go and libcni are not installed");
        return None;
    }
    let here = env::current_exe().unwrap();
    let target = here.parent().unwrap().parent().unwrap();
    let built = target.join("netloom-cni-libcni");
    let go = Command::new("go")
        .args(["build", "-o"])
        .arg(&built)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cni/libcni.go"))
        .env("GOPATH", GO_PATH)
        .env("GO111MODULE", "off")
        .env("GOCACHE", target.join("go-cache"))
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap();
    assert!(go.status.success(), "{}", String::from_utf8_lossy(&go.stderr));
    Some(built)
}

/// A network of plugins, called by libcni.
struct Network<'a> {
    caller: PathBuf,
    host: &'a Host,
    capabilities: Value,
}

const LIST: &str = "/run/network.conflist";

impl<'a> Network<'a> {
    fn new(caller: PathBuf, host: &'a Host, version: &str, plugins: &Value) -> Self {
        let list = json!({ "cniVersion": version, "name": "net1", "plugins": plugins });
        fs::write(LIST, list.to_string()).unwrap();
        let mappings = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
        Self { caller, host, capabilities: json!({ "portMappings": mappings }) }
    }

    fn call(&self, command: &str, name: &str) -> Result<Value, String> {
        let path = format!("{}:/usr/lib/cni", program().parent().unwrap().display());
        let netns = format!("/run/netns/{name}");
        let capabilities = self.capabilities.to_string();
        let arguments = [command, LIST, &netns, name, &capabilities, &path, "/run/cni-cache"];
        let caller = || Command::new(&self.caller).args(arguments).output().unwrap();
        let output = self.host.netns.run(caller).unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }
}

fn plugin(host: &Host) -> Value {
    let mut plugin = host.config();
    for field in ["cniVersion", "name"] {
        plugin.as_object_mut().unwrap().remove(field);
    }
    plugin
}

#[test]
fn libcni_adds_checks_and_deletes() {
    support::isolated(|| {
        let Some(caller) = caller() else { return };
        let host = Host::new();
        let world = host.world();
        let own = with(&plugin(&host), "capabilities", json!({ "portMappings": true }));
        for version in ["0.3.1", "0.4.0", "1.0.0"] {
            let network = Network::new(caller.clone(), &host, version, &json!([own]));
            network.call("VALIDATE", "red").unwrap();
            let red = container("red");
            let result = network.call("ADD", "red").unwrap();
            assert_eq!(result["cniVersion"], version);
            if version != "0.3.1" {
                network.call("CHECK", "red").unwrap();
            }
            let address = address(&result);
            let server = Server::start(&red, &format!("{address}:80"));
            assert!(tcp(&world, "198.51.100.2:8080", PATIENCE).is_ok());
            drop(server);
            reaches(&red, "198.51.100.1");
            network.call("DEL", "red").unwrap();
            network.call("DEL", "red").unwrap();
            assert!(red.link("eth0").is_err());
        }
        // libcni reports the plugin's error with the plugin's message.
        let broken = with(&own, "mtu", 12);
        let network = Network::new(caller, &host, "1.0.0", &json!([broken]));
        let _red = container("blue");
        let refused = network.call("ADD", "blue").unwrap_err();
        assert!(refused.contains("mtu: 12"), "{refused}");
    });
}

/// libcni 1.1 has no function for GC and STATUS. The test calls its package `invoke` instead.
#[test]
fn libcni_runs_gc_and_status() {
    support::isolated(|| {
        let Some(caller) = caller() else { return };
        let host = Host::new();
        let network = Network::new(caller.clone(), &host, "1.0.0", &json!([plugin(&host)]));
        network.call("STATUS", "").unwrap();
        let (red, blue) = (container("red"), container("blue"));
        for name in ["red", "blue"] {
            network.call("ADD", name).unwrap();
        }
        network.call("GC", "red").unwrap();
        network.call("CHECK", "red").unwrap();
        assert!(red.link("eth0").is_ok() && blue.link("eth0").is_err());
        assert_eq!(host.remembered("net1"), ["10.88.0.2", "last.0", "red@eth0"]);
        network.call("DEL", "blue").unwrap();
        network.call("GC", "").unwrap();
        assert!(red.link("eth0").is_err());
        assert_eq!(host.remembered("net1"), ["last.0"]);

        let broken = with(&plugin(&host), "bridge", "lo");
        let network = Network::new(caller, &host, "1.0.0", &json!([broken]));
        let refused = network.call("STATUS", "").unwrap_err();
        assert!(
            refused.contains("code 50: ") && refused.contains("`lo` is not a bridge"),
            "{refused}"
        );
        let wrong = with(&plugin(&host), "mtu", 12);
        let network = Network::new(network.caller, &host, "1.0.0", &json!([wrong]));
        let refused = network.call("GC", "").unwrap_err();
        assert!(refused.contains("code 7: ") && refused.contains("mtu: 12"), "{refused}");
    });
}

/// Chains the reference plugins that use `iptables`, if it is installed.
#[test]
fn the_plugin_works_as_the_first_of_a_chain() {
    support::isolated(|| {
        let Some(caller) = caller() else { return };
        let has = |plugin: &str| Path::new("/usr/lib/cni").join(plugin).exists();
        let has_iptables = Command::new("iptables").arg("--version").output().is_ok();
        if !["tuning", "firewall", "portmap"].into_iter().all(has) || !has_iptables {
            assert!(!tools::is_required("cni"), "the reference plugins or iptables are missing");
            features::note("cni", "the reference plugins or iptables are not installed");
            return;
        }
        let host = Host::new();
        let world = host.world();
        let plugins = json!([
            plugin(&host),
            { "type": "tuning", "mtu": 1400, "sysctl": { "net.ipv4.conf.eth0.arp_ignore": "1" } },
            { "type": "firewall", "backend": "iptables" },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ]);
        let network = Network::new(caller, &host, "1.0.0", &plugins);
        let (red, blue) = (container("red"), container("blue"));
        let result = network.call("ADD", "red").unwrap();
        assert_eq!(red.link("eth0").unwrap().info().unwrap().mtu, 1400);
        assert_eq!(red.sysctl("net.ipv4.conf.eth0.arp_ignore").unwrap(), "1");
        // The last plugin, portmap 1.1.1, fails if ip6tables is missing, even without IPv6
        // addresses.
        if let Err(said) = network.call("CHECK", "red") {
            assert!(said.contains("could not check ipv6 dnat"), "{said}");
        }
        let server = Server::start(&red, &format!("{}:80", address(&result)));
        assert!(tcp(&world, "198.51.100.2:8080", PATIENCE).is_ok());
        drop(server);
        reaches(&red, "198.51.100.1");
        let mut second = network;
        second.capabilities = json!({});
        second.call("ADD", "blue").unwrap();
        reaches(&red, "10.88.0.3");
        for name in ["blue", "red"] {
            second.call("DEL", name).unwrap();
        }
        assert!(red.link("eth0").is_err() && blue.link("eth0").is_err());
        assert!(host.remembered("net1").iter().all(|name| name.starts_with("last.")));
    });
}
