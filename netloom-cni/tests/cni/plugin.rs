//! A host that runs the plugin in its own namespace. Each container has a namespace too.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use netloom::{Namespace, Netns, Owned, Sysctl, VethEnd, VethPair};
use serde_json::{Value, json};

/// Returns the path of the plugin that cargo built for this test.
pub(crate) fn program() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_netloom-cni"));
    if built.is_file() {
        return built;
    }
    // In a virtual machine the plugin is copied to the directory above the test's own.
    env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("netloom-cni")
}

/// The plugin's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) succeeded: bool,
    pub(crate) said: Value,
}

impl Answer {
    /// Returns the result. Asserts that the plugin succeeded.
    #[track_caller]
    pub(crate) fn result(self) -> Value {
        assert!(self.succeeded, "{}", self.said);
        self.said
    }

    /// Asserts that the plugin failed with this code and that the message contains these words.
    #[track_caller]
    pub(crate) fn refused(self, code: u32, words: &[&str]) {
        assert!(!self.succeeded, "not refused: {}", self.said);
        let message = self.said["msg"].as_str().unwrap_or_else(|| panic!("{}", self.said));
        assert_eq!(self.said["code"], code, "{message}");
        assert!(self.said["cniVersion"].is_string());
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
    }
}

/// A host. A container is identified by the name of its namespace.
pub(crate) struct Host {
    pub(crate) netns: Owned<Netns>,
    data: PathBuf,
}

impl Host {
    /// Creates a host without duplicate address detection. Until a router has a valid IPv6 address,
    /// it resolves no neighbours.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Every sandbox has a /run of its own.
        let data = PathBuf::from(format!("/run/cni-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let netns = Namespace::anonymous().create().unwrap();
        netns.link("lo").unwrap().set_up().unwrap();
        addresses_at_once(&netns);
        Self { netns, data }
    }

    /// Creates a neighbour outside the host, at `198.51.100.1` and `2001:db8::1`. It has no routes
    /// to containers.
    pub(crate) fn world(&self) -> Owned<Netns> {
        let world = super::traffic::namespace();
        let near = VethEnd::new("out0").address("198.51.100.2/24").address("2001:db8::2/64").up();
        let far = VethEnd::new("eth0").address("198.51.100.1/24").address("2001:db8::1/64").up();
        VethPair::new(near, far).create_between(&self.netns, &world).unwrap().keep();
        world
    }

    /// Returns the directory of a network.
    pub(crate) fn state(&self, network: &str) -> PathBuf {
        self.data.join(network)
    }

    /// Returns the names of a network's records.
    pub(crate) fn remembered(&self, network: &str) -> Vec<String> {
        let entries = fs::read_dir(self.state(network)).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    /// Returns a network configuration: the bridge `cni0`, a gateway, and addresses in
    /// 10.88.0.0/24.
    pub(crate) fn config(&self) -> Value {
        json!({
            "cniVersion": "1.1.0",
            "name": "net1",
            "type": "netloom-cni",
            "bridge": "cni0",
            "isDefaultGateway": true,
            "ipMasq": true,
            "dataDir": self.data,
            "ipam": self.ipam(&["10.88.0.0/24"]),
        })
    }

    /// Returns an `ipam` field with built-in assignment: one address from each subnet.
    pub(crate) fn ipam(&self, subnets: &[&str]) -> Value {
        let sets: Vec<_> = subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
        json!({ "type": "netloom", "dataDir": self.data, "ranges": sets })
    }

    pub(crate) fn start(&self, command: &str, container: &str, config: &str) -> Child {
        self.start_by(Command::new(program()), command, container, config)
    }

    /// Starts the plugin through another program, such as `strace`.
    pub(crate) fn start_by(
        &self,
        program: Command,
        command: &str,
        container: &str,
        config: &str,
    ) -> Child {
        let path = format!("/run/netns/{container}");
        let variables = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", &path),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/usr/lib/cni:/opt/cni/bin"),
        ];
        self.spawn(program, &variables, config.as_bytes())
    }

    pub(crate) fn start_with(&self, variables: &[(&str, &str)], config: &str) -> Child {
        self.spawn(Command::new(program()), variables, config.as_bytes())
    }

    pub(crate) fn start_with_bytes(&self, variables: &[(&str, &str)], config: &[u8]) -> Child {
        self.spawn(Command::new(program()), variables, config)
    }

    fn spawn(&self, mut plugin: Command, variables: &[(&str, &str)], config: &[u8]) -> Child {
        let spawn = || {
            plugin.env_clear().envs(variables.iter().copied());
            plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        };
        let mut child = self.netns.run(spawn).unwrap().unwrap();
        // The plugin may end before it has read its input.
        child.stdin.take().unwrap().write_all(config).ok();
        child
    }

    pub(crate) fn call(&self, command: &str, container: &str, config: &Value) -> Answer {
        answer(self.start(command, container, &config.to_string()))
    }

    pub(crate) fn call_with(&self, variables: &[(&str, &str)], config: &str) -> Answer {
        answer(self.start_with(variables, config))
    }

    #[track_caller]
    pub(crate) fn add(&self, container: &str, config: &Value) -> Value {
        self.call("ADD", container, config).result()
    }

    #[track_caller]
    pub(crate) fn del(&self, container: &str, config: &Value) {
        assert_eq!(self.call("DEL", container, config).result(), Value::Null);
    }

    #[track_caller]
    pub(crate) fn check(&self, container: &str, config: &Value, result: &Value) -> Answer {
        self.call("CHECK", container, &with(config, "prevResult", result.clone()))
    }
}

pub(crate) fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said =
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    Answer { succeeded: output.status.success(), said }
}

/// Creates a container with this name.
pub(crate) fn container(name: &str) -> Owned<Netns> {
    let netns = Namespace::named(name).create().unwrap();
    addresses_at_once(&netns);
    netns
}

/// Returns whether this kernel has IPv6, which `ipv6.disable=1` turns off at boot.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

/// Disables duplicate address detection.
fn addresses_at_once(netns: &Netns) {
    for which in ["all", "default"].into_iter().filter(|_| has_ipv6()) {
        let name = format!("net.ipv6.conf.{which}.accept_dad");
        Sysctl::new(name, 0).create(netns).unwrap().keep();
    }
}

/// Returns the configuration with one field changed.
pub(crate) fn with(config: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut config = config.clone();
    config[field] = value.into();
    config
}

/// Returns the address of a result without its prefix length.
pub(crate) fn address(result: &Value) -> String {
    let address = result["ips"][0]["address"].as_str().unwrap();
    address.split_once('/').unwrap().0.to_owned()
}

/// Returns the name of the host's end of the cable.
pub(crate) fn port(result: &Value) -> String {
    result["interfaces"][1]["name"].as_str().unwrap().to_owned()
}
