//! Many objects are created and deleted concurrently. Each list is complete or an error, and no
//! thread deletes the objects of another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::env;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netloom::{Bridge, Error, Link, Namespace, Netns, Owned, Together, VethEnd, VethPair};

/// The number of veth pairs that exist all the time.
const STAYING: usize = 50;
/// The number of veth pairs that each of two threads creates and deletes at a time.
const PASSING: usize = 250;
/// The limit for one round of answers, on any machine. Each read starts over only a few times, and
/// each wait ends after ten seconds.
const HANG: Duration = Duration::from_secs(900);

fn cable(netns: &Netns, prefix: &str, number: usize) -> Result<Owned<netloom::Veth>, Error> {
    VethPair::new(format!("{prefix}a{number}"), format!("{prefix}b{number}")).create(netns)
}

fn prefix(number: usize) -> IpNet {
    format!("10.9.{number}.1/24").parse().unwrap()
}

/// Creates a permanent pair, with an address.
fn staying(netns: &Netns, number: usize) -> Result<Owned<netloom::Veth>, Error> {
    let end = VethEnd::new(format!("sa{number}")).address(prefix(number)).no_ipv6_address().up();
    let peer = VethEnd::new(format!("sb{number}")).no_ipv6_address().up();
    VethPair::new(end, peer).create(netns)
}

/// Returns whether the error says that the list changed at each attempt.
fn is_interrupted(error: &Error) -> bool {
    error.to_string().contains("the list changed while it was read")
}

#[test]
fn what_is_read_while_a_thousand_links_come_and_go_is_whole_or_an_error() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        let staying: Vec<_> = (0..STAYING).map(|n| staying(&netns, n).unwrap()).collect();
        // Each pair has an address, and the route that the kernel adds for it.
        let addresses: BTreeSet<IpNet> = (0..STAYING).map(prefix).collect();
        let networks: BTreeSet<IpNet> = addresses.iter().map(IpNet::trunc).collect();
        let names: BTreeSet<String> =
            staying.iter().flat_map(|c| [c.near(), c.peer()]).map(|l| l.name().clone()).collect();
        let done = AtomicBool::new(false);
        let (whole, interrupted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let passing = |prefix: &'static str| {
                for _ in 0..3 {
                    let cables = (0..PASSING).map(|n| cable(&netns, prefix, n));
                    let cables = cables.collect::<Result<Together<Vec<_>>, _>>().unwrap();
                    cables.delete().unwrap();
                }
            };
            let reading = || {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    match netns.links() {
                        Ok(links) => {
                            whole.fetch_add(1, Ordering::Relaxed);
                            let listed: BTreeSet<_> =
                                links.iter().map(|link| link.name.clone()).collect();
                            let indexes: BTreeSet<_> =
                                links.iter().map(|link| link.index).collect();
                            assert_eq!(indexes.len(), links.len(), "one is listed twice");
                            let missing: Vec<_> = names.difference(&listed).collect();
                            assert!(missing.is_empty(), "not listed: {missing:?}");
                        }
                        Err(error) => {
                            assert!(is_interrupted(&error), "{error}");
                            interrupted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    match netns.addresses() {
                        Ok(all) => {
                            let listed = all.iter().map(|address| address.prefix).collect();
                            let missing: Vec<_> = addresses.difference(&listed).collect();
                            assert!(missing.is_empty(), "not listed: {missing:?}");
                        }
                        Err(error) => assert!(is_interrupted(&error), "{error}"),
                    }
                    match netns.routes() {
                        Ok(all) => {
                            let listed = all.iter().map(|route| route.destination).collect();
                            let missing: Vec<_> = networks.difference(&listed).collect();
                            assert!(missing.is_empty(), "not listed: {missing:?}");
                        }
                        Err(error) => assert!(is_interrupted(&error), "{error}"),
                    }
                    number = (number + 7) % PASSING;
                    look_up(&netns, number);
                    assert!(start.elapsed() < HANG, "it hung");
                }
            };
            let readers = [scope.spawn(reading), scope.spawn(reading)];
            let writers = ["p", "q"].map(|prefix| scope.spawn(move || passing(prefix)));
            let written = writers.map(thread::ScopedJoinHandle::join);
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
            for ended in written {
                ended.unwrap();
            }
        });
        let (whole, interrupted) = (whole.into_inner(), interrupted.into_inner());
        println!("{whole} whole lists, {interrupted} interrupted");
        assert!(whole > 0);
        assert_eq!(netns.links().unwrap().len(), 2 * STAYING + 1);
        Together::new(staying).delete().unwrap();
    });
}

/// Looks up a permanent link, which must be found, and a temporary one, which may be missing.
fn look_up(netns: &Netns, number: usize) {
    let staying = netns.link(&format!("sa{}", number % STAYING)).unwrap();
    assert_eq!(staying.info().unwrap().name, staying.name());
    match netns.link(&format!("pa{number}")).and_then(|link| link.info()) {
        Ok(info) => assert_eq!(info.kind, Some(netloom::LinkKind::Veth)),
        Err(error) => assert!(error.is_not_found(), "{error}"),
    }
}

const HELPER: &str = "NETLOOM_CHURN_HELPER";
const LEAST: usize = 20;

/// Creates and drops objects with the same names as another process.
#[test]
#[ignore = "started by another test, twice"]
fn rival() {
    if env::var_os(HELPER).is_none() {
        return;
    }
    let host = Netns::current().unwrap();
    let (mut made, mut refused) = (0, 0);
    let start = Instant::now();
    // Stops once both processes have collided, or after 20 seconds without a collision.
    while made < LEAST || (refused == 0 && start.elapsed() < Duration::from_secs(20)) {
        match build(&host) {
            Ok(()) => made += 1,
            Err(error) if error.is_already_exists() => refused += 1,
            Err(error) => panic!("neither made nor taken: {error}"),
        }
    }
    println!("made {made}, refused {refused}");
}

fn build(host: &Netns) -> Result<(), Error> {
    let name = Namespace::named("same").create();
    let bridge = Bridge::new("same0").create(host);
    let cable = VethPair::new("same1", "same2").create(host);
    thread::sleep(Duration::from_millis(1));
    // The created objects still exist, and belong to this program.
    let is_ours = |link: &Link| host.link(&link.name()).is_ok_and(|found| found == *link);
    if let Ok(bridge) = &bridge {
        assert!(is_ours(bridge), "somebody deleted our bridge");
    }
    if let Ok(cable) = &cable {
        assert!(is_ours(cable.near()) && is_ours(cable.peer()), "somebody deleted our cable");
    }
    if let Ok(name) = &name {
        assert_eq!(Netns::open("same")?, **name, "somebody deleted our name");
    }
    let (name, bridge, cable) = (name?, bridge?, cable?);
    cable.delete()?;
    bridge.delete()?;
    name.delete()?;
    Ok(())
}

#[test]
fn two_programs_with_the_same_names_get_what_is_there_or_are_told_that_it_is_taken() {
    support::isolated(|| {
        drop(Namespace::named("first").create().unwrap());
        let rival = || {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["rival", "--exact", "--ignored", "--nocapture"]).env(HELPER, "1");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let rivals = [rival(), rival()];
        for ended in rivals.map(Child::wait_with_output).map(Result::unwrap) {
            let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
            assert!(ended.status.success(), "{}{}", said[0], said[1]);
            println!("{}", said[0].lines().find(|line| line.contains("refused")).unwrap());
        }
        assert_eq!(Netns::current().unwrap().links().unwrap().len(), 1);
        assert!(Netns::list().unwrap().is_empty());
    });
}
