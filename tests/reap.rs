//! Kills processes at random moments. The kernel deletes some objects, and `reap` finds and removes
//! exactly the rest.
//!
//! `NETLOOM_TEST_ROUNDS=500` kills that many processes instead of 25. It also requires that the
//! kernel cleans up within a second, which takes an idle machine. The test prints its seed;
//! `NETLOOM_SEED=…` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

#[path = "reap/kept.rs"]
mod kept;

#[path = "reap/living.rs"]
mod living;

#[path = "reap/persistent.rs"]
mod persistent;

use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use netloom::nft::{Chain, Element, Family, Object, Rule, Set, Table, Type};
use netloom::{
    Address, Bond, Bridge, Dummy, Error, Firewall, Forwarding, Ifb, Ipvlan, Leftover, Link,
    Macvlan, Macvtap, Namespace, NatRule, Netns, Owned, PortForward, PortGuard, Route, Setting,
    Sysctl, Together, Veth, VethEnd, VethPair, Vlan, Vxlan,
};
use support::snapshot::Snapshot;

/// The variable that selects the helper to run. Without it, the helpers return at once.
const HELPER: &str = "NETLOOM_REAP_HELPER";
/// The variable with the suffix of the helper's names.
const NUMBER: &str = "NETLOOM_REAP_NUMBER";
/// The variable that makes the helper wait once everything is built.
const WAIT: &str = "NETLOOM_REAP_WAIT";

/// Creates and drops everything that a program can own, in a loop, until it is killed.
#[test]
#[ignore = "started by other tests, to be killed"]
fn builder() {
    if is_helper("builder") {
        let number = env::var(NUMBER).unwrap();
        loop {
            build(&number).unwrap();
        }
    }
}

fn build(n: &str) -> Result<(), Error> {
    let host = Netns::current()?;
    let bridge = Bridge::new(format!("br{n}")).address("10.7.0.1/24").up().create(&host)?;
    let container = Namespace::anonymous().create()?;
    let named = Namespace::named(format!("lab{n}")).create()?;
    let other = Namespace::anonymous().create()?;
    let name = Namespace::named(format!("alias{n}")).attach(&other)?;
    let port = VethEnd::new(format!("p{n}")).master(&bridge).up();
    let eth0 = VethEnd::new("eth0").address("10.7.0.2/24").gateway("10.7.0.1").up();
    let cable1 = VethPair::new(port, eth0).create_between(&host, &container)?;
    let cable2 = VethPair::new("a", format!("n{n}")).create_between(&named, &host)?;
    let cable3 = VethPair::new(format!("x{n}"), format!("y{n}")).create(&host)?;
    let cable4 = VethPair::new(format!("m{n}"), "b").create(&container)?;
    cable4.near().move_to(&host)?;
    let address = Address::new("10.7.1.1/24").create(cable3.near())?;
    let third = n.parse::<u32>().unwrap() % 256;
    let via_bridge = |second| Route::new(format!("10.{second}.{third}.0/24")).dev(&bridge);
    let route = via_bridge(77).create(&host)?;
    let routes = Route::create_all(&[via_bridge(78), via_bridge(79)], &host)?;
    let together = ["u", "v"].map(|letter| Bridge::new(format!("{letter}{n}")));
    let together = together.iter().map(|bridge| bridge.create(&host));
    let together = together.collect::<Result<Together<Vec<_>>, _>>()?;
    let nat = NatRule::masquerade().source("10.7.0.0/24").create(&host)?;
    // A separate port for each helper, since two helpers cannot publish the same port.
    let port = 8080 + u16::try_from(n.parse::<u32>().unwrap() % 1000).unwrap();
    let port_forward = PortForward::new(port, "10.7.0.2").host_address("10.7.0.1");
    let port_forward = port_forward.link(&bridge).create(&host)?;
    let firewall = Firewall::new().network(&bridge).create(&host)?;
    let guard = PortGuard::new("p").address("10.7.0.2").create(&firewall)?;
    let kinds = build_kinds(n, &cable3)?;
    let table = build_table(n, &host)?;
    let tagged = build_tagged(n, port, &bridge)?;
    // The host's settings must not change. Those of a container are deleted with its namespace.
    let forwarding = Forwarding::ipv4().create(&container)?;
    let sysctl = Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&named)?;
    let setting = Setting::proxy_arp(cable1.peer()).to(true).create(&cable1.peer().namespace())?;
    let worker = container.worker()?;
    let command = container.command("sleep").arg("60").spawn()?;
    if env::var_os(WAIT).is_some() {
        wait_to_be_killed();
    }
    drop((command, worker, setting, sysctl, forwarding, tagged, table, guard, firewall));
    drop((
        port_forward,
        nat,
        together,
        routes,
        route,
        address,
        kinds,
        cable4,
        cable3,
        cable2,
        cable1,
    ));
    drop((name, named));
    drop((other, container, bridge));
    Ok(())
}

/// Creates a link of each kind that this kernel has, on the ends of a cable if it needs a parent.
fn build_kinds(n: &str, cable: &Veth) -> Result<Vec<Owned<Link>>, Error> {
    let host = cable.near().namespace();
    let (near, peer, number) = (cable.near(), cable.peer(), n.parse::<u32>().unwrap());
    let made = [
        Vlan::new(format!("vl{n}"), near, 7).create(&host),
        Macvlan::new(format!("wv{n}"), near).create(&host),
        Macvtap::new(format!("wt{n}"), near).create(&host),
        Ipvlan::new(format!("iv{n}"), peer).create(&host),
        Vxlan::new(format!("vx{n}"), 1000 + number).create(&host),
        Ifb::new(format!("if{n}")).create(&host),
        Dummy::new(format!("du{n}")).create(&host),
        Bond::new(format!("bo{n}")).create(&host),
    ];
    let is_there = |made: &Result<_, Error>| !made.as_ref().is_err_and(Error::is_unsupported);
    made.into_iter().filter(is_there).collect()
}

/// Creates a table, and separately owned objects of each kind in the table.
fn build_table(n: &str, host: &Netns) -> Result<impl Sized + use<>, Error> {
    let filter = Chain::new("c").rule(Rule::new().tcp().dport(80).accept());
    let table = Table::new(Family::Ip, format!("t{n}")).chain(filter);
    let table = table.set(Set::new("ports", Type::Port).element(22_u16)).create(host)?;
    let chain = Chain::new("d").create(&table)?;
    let rule = Rule::new().udp().accept().create(&chain)?;
    let set = Set::new("hosts", Type::Ipv4).create(&table)?;
    let element = Element::new("10.0.0.7").create(&set)?;
    let counter = Object::counter("hits").create(&table)?;
    Ok(((rule, chain), (element, set), counter, table))
}

/// Creates persistent objects, which their owner deletes, but which outlive a killed process.
fn build_tagged(n: &str, port: u16, bridge: &Link) -> Result<impl Sized + use<>, Error> {
    let (host, tag) = (&bridge.namespace(), format!("lab{n}"));
    let nat = NatRule::masquerade().source("10.7.0.0/24").persistent(&tag).create(host)?;
    let published = PortForward::new(port, "10.7.0.2").host_address("10.7.0.1").link(bridge);
    let published = published.udp().persistent(&tag).create(host)?;
    let table = Table::new(Family::Ip, format!("tagged{n}")).persistent(&tag).create(host)?;
    let firewall = Firewall::new().name(&tag).network(bridge).persistent(&tag).create(host)?;
    Ok((firewall, table, published, nat))
}

fn is_helper(name: &str) -> bool {
    env::var(HELPER).as_deref() == Ok(name)
}

fn wait_to_be_killed() -> ! {
    println!("ready");
    loop {
        thread::park();
    }
}

fn helper(name: &str, number: u32) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    command.env(HELPER, name).env(NUMBER, number.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Returns the helper's command, started by another program.
fn started_by(program: &str, arguments: &[&str], helper: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg(helper.get_program()).args(helper.get_args());
    command.envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn ready(mut child: Child) -> Child {
    let mut said = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !said.contains("ready") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {said}");
        said.push(char::from(byte[0]));
    }
    child
}

fn start_and_wait(number: u32) -> Child {
    ready(helper("builder", number).env(WAIT, "1").spawn().unwrap())
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Deletes all objects with a tag, which persist until a program deletes them.
fn tagged_deleted() {
    let found = netloom::persistent(&Netns::current().unwrap()).unwrap();
    found.into_iter().map(Owned::adopt).collect::<Together<Vec<_>>>().delete().unwrap();
}

/// Waits until the kernel has removed its part: tables, and links whose peer was in an anonymous
/// namespace. Returns the elapsed time.
fn cleaned_by_the_kernel(before: &Snapshot, limit: Duration) -> Duration {
    let start = Instant::now();
    tagged_deleted();
    let is_kernels = |line: &String| {
        let is_link =
            |name: &str| line.starts_with("left: link ") && line.contains(&format!(" name {name}"));
        line.contains("nf_tables") || is_link("p") || is_link("m")
    };
    loop {
        let left: Vec<_> = before.left_after().into_iter().filter(is_kernels).collect();
        let took = start.elapsed();
        assert!(took < limit, "not cleaned by the kernel within {took:?}: {}", left.join("\n"));
        if left.is_empty() {
            return took;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The time limit, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reaps, until nothing is left.
fn reaped(before: &Snapshot, at: &str) {
    tagged_deleted();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reaped = netloom::reap().unwrap();
        assert!(reaped.failures.is_empty(), "{at}: {:?}", reaped.failures);
        drop(reaped);
        let left = before.left_after();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{at}: {}", left.join("\n"));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_at_random_moments() {
    let rounds = env::var("NETLOOM_TEST_ROUNDS");
    let limit = if rounds.is_ok() { Duration::from_secs(1) } else { PATIENCE };
    let rounds = rounds.map_or(25, |rounds| rounds.parse().unwrap());
    support::isolated(|| {
        // The directory `/run/netns` stays after its first use, as with `ip netns`.
        drop(Namespace::named("first").create().unwrap());
        let clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let seed = env::var("NETLOOM_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap());
        println!("NETLOOM_SEED={seed}");
        let mut random = u64::from(seed) | 1;
        let (mut leftovers, mut slowest) = (0, Duration::ZERO);
        let before = Snapshot::take();
        for round in 0..rounds {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let child = helper("builder", round % 10_000).spawn().unwrap();
            // The program needs some milliseconds of this time to start.
            thread::sleep(Duration::from_micros(3_000 + random % 250_000));
            kill(child);
            slowest = slowest.max(cleaned_by_the_kernel(&before, limit));
            leftovers += netloom::leftovers().unwrap().found().len();
            reaped(&before, &format!("NETLOOM_SEED={seed}, round {round}"));
        }
        println!("{rounds} rounds, {leftovers} leftovers");
        println!("cleaned by the kernel within {slowest:?}");
    });
}

#[test]
fn what_is_found_is_shown_first_and_then_exactly_that_is_removed() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        kill(start_and_wait(1));
        cleaned_by_the_kernel(&before, PATIENCE);
        let left = netloom::leftovers().unwrap();
        let shown: Vec<_> = left.found().iter().map(ToString::to_string).collect();
        let text = shown.join("\n");
        assert!(left.failures().is_empty());
        assert_eq!(shown[..2], ["namespace `alias1`", "namespace `lab1`"], "{text}");
        for name in ["br", "x", "y"] {
            assert!(text.contains(&format!("link `{name}1` in ")), "{name}: {text}");
        }
        assert!(matches!(left.found()[0], Leftover::Namespace(_)));
        // A leftover that appears after the listing is not removed by it.
        kill(start_and_wait(2));
        let count = left.found().len();
        let done = left.remove();
        assert!(done.failures.is_empty() && done.removed.len() <= count);
        drop(done);
        let host = Netns::current().unwrap();
        host.link("br2").unwrap();
        Netns::open("lab2").unwrap();
        drop(host);
        reaped(&before, "what came after");
    });
}

#[test]
fn what_the_living_have_is_left_alone() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let living = start_and_wait(1);
        kill(start_and_wait(2));
        let host = Netns::current().unwrap();
        // Objects of this process stay as well.
        let own = Bridge::new("own0").create(&host).unwrap();
        let name = Namespace::named("own").create().unwrap();
        let done = netloom::reap().unwrap();
        assert!(done.failures.is_empty() && !done.removed.is_empty(), "{done:?}");
        drop(done);
        is_there(1);
        own.delete().unwrap();
        name.delete().unwrap();
        drop(host);
        kill(living);
        reaped(&before, "the living one");
    });
}

/// Asserts that all objects of a builder exist.
#[track_caller]
fn is_there(number: u32) {
    let host = Netns::current().unwrap();
    for link in ["br", "p", "n", "x", "y", "m"] {
        host.link(&format!("{link}{number}")).unwrap();
    }
    for name in ["lab", "alias"] {
        Netns::open(&format!("{name}{number}")).unwrap();
    }
}

/// In another container, with its own PID namespace, a living process has the number of a dead one.
#[test]
fn the_same_process_number_in_another_pid_namespace_is_another_process() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let container = |number: u32| {
            let options = ["--pid", "--fork", "--kill-child"];
            let mut unshare = started_by("unshare", &options, &helper("builder", number));
            ready(unshare.env(WAIT, "1").spawn().unwrap())
        };
        // Each helper is process 1 of its PID namespace.
        let (dead, living) = (container(1), container(2));
        kill(dead);
        // The helper ends a moment after `unshare`.
        support::eventually("the dead one's are found", || {
            drop(netloom::reap().unwrap());
            let host = Netns::current().unwrap();
            host.link("br1").is_err() && Netns::open("lab1").is_err()
        });
        is_there(2);
        kill(living);
        reaped(&before, "the other container");
    });
}

/// The kernel gives the number of a dead process to a new process. The test writes `ns_last_pid` to
/// choose the next number.
#[test]
fn a_process_number_that_was_given_anew_is_another_process() {
    const NEXT: &str = "/proc/sys/kernel/ns_last_pid";
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let before = Snapshot::take();
        let dead = start_and_wait(1);
        let pid = dead.id();
        kill(dead);
        let mut attempts = 0;
        let living = loop {
            if let Err(error) = std::fs::write(NEXT, (pid - 1).to_string()) {
                support::features::unsupported("process-numbers", format_args!("{NEXT}: {error}"));
                break None;
            }
            let again = start_and_wait(2);
            if again.id() == pid {
                break Some(again);
            }
            // Another process got the number first.
            kill(again);
            reaped(&before, "another process");
            attempts += 1;
            assert!(attempts < 100, "the number is never given anew");
            if attempts % 10 == 0 {
                thread::sleep(Duration::from_millis(100));
            }
        };
        if attempts == 0 {
            let left = netloom::leftovers().unwrap();
            let found: Vec<_> = left.found().iter().map(ToString::to_string).collect();
            assert!(found.contains(&"namespace `lab1`".to_owned()), "{found:?}");
            assert!(!found.iter().any(|one| one.contains("2`")), "{found:?}");
            drop(left.remove());
        }
        if let Some(living) = living {
            is_there(2);
            kill(living);
        }
        reaped(&before, "the number given anew");
    });
}

#[test]
fn a_name_whose_maker_died_between_two_steps_is_removed() {
    use std::os::unix::fs::OpenOptionsExt;
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o400).open("/run/netns/half").unwrap();
        let left = netloom::leftovers().unwrap();
        assert_eq!(left.found()[0].to_string(), "name `half` without a namespace");
        assert_eq!(left.remove().removed.len(), 1);
        assert!(Netns::list().unwrap().is_empty());
    });
}
