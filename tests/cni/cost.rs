//! What an ADD costs does not grow with the containers of the host: counted by `strace`, where it is installed.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};

use serde_json::json;

use super::plugin::{Host, container, program, with};
use super::support::{self, features, tools};

/// The system calls of an ADD, and the bytes that it received.
fn cost(host: &Host, name: &str, config: &str) -> Option<(usize, usize)> {
    let trace = std::env::temp_dir().join(format!("netloom-cni-trace-{}", std::process::id()));
    let (program, netns) = (program(), format!("/run/netns/{name}"));
    let spawn = || {
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o"]).arg(&trace).arg(program);
        traced.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", name).env("CNI_NETNS", netns);
        traced.env("CNI_IFNAME", "eth0").env("CNI_PATH", "/usr/lib/cni");
        traced.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
    };
    let mut traced = host.netns.run(spawn).unwrap().ok()?;
    traced.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    assert!(traced.wait().unwrap().success());
    let text = fs::read_to_string(&trace).unwrap();
    fs::remove_file(&trace).unwrap();
    let receives = ["recvmsg(", "recvfrom(", "recv(", "read(", "getdents64("];
    let received = text.lines().filter(|line| receives.iter().any(|call| line.contains(call)));
    let bytes = received.filter_map(|line| line.rsplit(" = ").next()?.parse::<usize>().ok());
    Some((text.lines().count(), bytes.sum()))
}

#[test]
fn an_add_makes_no_more_system_calls_and_reads_no_more_than_an_earlier_one() {
    support::isolated(|| {
        let host = Host::new();
        let config = |number: usize| {
            let port = json!([{ "hostPort": 9000 + number, "containerPort": 80 }]);
            let config = with(&host.config(), "ingressPolicy", "same-bridge");
            with(&config, "runtimeConfig", json!({ "portMappings": port }))
        };
        let names: Vec<String> = (0..43).map(|number| format!("c{number}")).collect();
        let _containers: Vec<_> = names.iter().map(|name| container(name)).collect();
        // How often it looks whether the port forwards is the kernel's matter: the middle of some.
        let middle_of = |numbers: Range<usize>| {
            let cost = |number: usize| cost(&host, &names[number], &config(number).to_string());
            let costs: Vec<_> = numbers.map(cost).collect::<Option<_>>()?;
            let middle = |of: fn(&(usize, usize)) -> usize| {
                let mut sorted: Vec<_> = costs.iter().map(of).collect();
                sorted.sort_unstable();
                sorted[sorted.len() / 2]
            };
            Some((middle(|cost| cost.0), middle(|cost| cost.1)))
        };
        (0..3).for_each(|number| drop(host.add(&names[number], &config(number))));
        let Some(early) = middle_of(3..8) else {
            assert!(!tools::is_required("cni"), "strace is not installed");
            return features::note("cni", "strace is not installed");
        };
        (8..38).for_each(|number| drop(host.add(&names[number], &config(number))));
        let late = middle_of(38..43).unwrap();
        println!("system calls and bytes: {early:?} early, {late:?} late");
        assert!(late.0 <= early.0 + 20, "system calls: {early:?}, {late:?}");
        assert!(late.1 <= early.1 + 2048, "bytes: {early:?}, {late:?}");
    });
}
