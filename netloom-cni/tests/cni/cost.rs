//! The system calls of an ADD do not grow with the host's containers: counted by `strace`, if
//! installed.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};

use serde_json::json;

use super::plugin::{Host, container, program, with};
use super::support::{self, features, tools, trace};

/// Returns the number of system calls of an ADD, and the bytes that it received.
fn cost(host: &Host, name: &str, config: &str) -> Option<(usize, usize)> {
    let file = std::env::temp_dir().join(format!("netloom-cni-trace-{}", std::process::id()));
    let (program, netns) = (program(), format!("/run/netns/{name}"));
    let spawn = || {
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o"]).arg(&file).arg(program);
        traced.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", name).env("CNI_NETNS", netns);
        traced.env("CNI_IFNAME", "eth0").env("CNI_PATH", "/usr/lib/cni");
        traced.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
    };
    let mut traced = host.netns.run(spawn).unwrap().ok()?;
    traced.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    assert!(traced.wait().unwrap().success());
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let calls = trace::lines(&text).filter(|line| line.begins).count();
    let receives = ["recvmsg", "recvfrom", "recv", "read", "getdents64"];
    let received = trace::lines(&text).filter(|line| receives.contains(&line.name));
    let bytes = received.filter_map(|line| line.result()).sum();
    Some((calls, bytes))
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
        // The number of waits for the port varies, so the smallest cost of several ADDs counts.
        let least_of = |numbers: Range<usize>| {
            let cost = |number: usize| cost(&host, &names[number], &config(number).to_string());
            let costs: Vec<_> = numbers.map(cost).collect::<Option<_>>()?;
            let least = |of: fn(&(usize, usize)) -> usize| costs.iter().map(of).min();
            Some((least(|cost| cost.0)?, least(|cost| cost.1)?))
        };
        (0..4).for_each(|number| drop(host.add(&names[number], &config(number))));
        let Some(early) = least_of(4..7) else {
            assert!(!tools::is_required("cni"), "strace is not installed");
            return features::note("cni", "strace is not installed");
        };
        (7..40).for_each(|number| drop(host.add(&names[number], &config(number))));
        let late = least_of(40..43).unwrap();
        println!("system calls and bytes: {early:?} early, {late:?} late");
        assert!(late.0 <= early.0 + 20, "system calls: {early:?}, {late:?}");
        assert!(late.1 <= early.1 + 2048, "bytes: {early:?}, {late:?}");
    });
}
