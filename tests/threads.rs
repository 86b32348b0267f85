//! Many threads, panics and forks: each object has one owner, and no lock is poisoned.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::{Command, Output};
use std::sync::Barrier;
use std::thread;

use netloom::nft::{Chain, Element, Family, Object, Rule, Set, Table, Type};
use netloom::{
    Address, Bridge, Firewall, Forwarding, Namespace, NatRule, Netns, Owned, Ping, PortForward,
    PortGuard, Route, Sysctl, Together, VethEnd, VethPair,
};

use support::kernel::tables;
use support::process::{beside_a_fork, in_a_fork, refuse_system_call};
use support::reaches;

/// Compiles only if all types can be shared and sent.
#[test]
fn everything_is_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    // Handles and owners.
    shared::<Owned<netloom::Netns>>();
    shared::<Owned<netloom::Link>>();
    shared::<Owned<netloom::Veth>>();
    shared::<Owned<netloom::AddressHandle>>();
    shared::<Owned<netloom::RouteHandle>>();
    shared::<Owned<netloom::NatRuleHandle>>();
    shared::<Owned<netloom::PortForwardHandle>>();
    shared::<Owned<netloom::ForwardingHandle>>();
    shared::<Owned<netloom::SysctlHandle>>();
    shared::<Owned<netloom::FirewallHandle>>();
    shared::<Owned<netloom::PortGuardHandle>>();
    shared::<Owned<netloom::nft::TableHandle>>();
    shared::<Owned<netloom::nft::ChainHandle>>();
    shared::<Owned<netloom::nft::RuleHandle>>();
    shared::<Owned<netloom::nft::SetHandle>>();
    shared::<Owned<netloom::nft::ElementHandle>>();
    shared::<Owned<netloom::nft::ObjectHandle>>();
    shared::<Owned<netloom::nft::FlowtableHandle>>();
    shared::<Owned<netloom::BridgeVlanHandle>>();
    shared::<Owned<netloom::Persistent>>();
    shared::<netloom::Together<Vec<Owned<netloom::Link>>>>();
    shared::<netloom::PartialError>();
    shared::<netloom::PartialError<netloom::Owned<netloom::RouteHandle>>>();
    shared::<(netloom::LinkRef, netloom::PortGuard)>();
    shared::<netloom::DeleteError<netloom::Netns>>();
    // Threads, processes, errors.
    shared::<netloom::Worker>();
    shared::<netloom::Child>();
    shared::<netloom::Command>();
    shared::<netloom::Error>();
    shared::<netloom::Leftovers>();
    shared::<netloom::Reaped>();
    shared::<netloom::nft::Transaction>();
    shared::<netloom::nft::TransactionError>();
    // Builders and listed values.
    shared::<(Namespace, Bridge, VethPair, VethEnd, Address, Route, NatRule, PortForward)>();
    shared::<(Forwarding, Sysctl, Ping, netloom::Firewall, netloom::ConntrackFilter)>();
    shared::<(netloom::nft::Table, netloom::nft::Chain, netloom::nft::Rule, netloom::nft::Set)>();
    shared::<(netloom::LinkInfo, netloom::RouteInfo, netloom::AddressInfo, netloom::NeighborInfo)>(
    );
    shared::<(netloom::nft::TableInfo, netloom::ConntrackEntry, netloom::doctor::Report)>();
}

#[test]
fn sixty_four_threads_share_one_namespace() {
    const THREADS: usize = 64;
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        netns.link("lo").unwrap().set_up().unwrap();
        let start = Barrier::new(THREADS);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (netns, start) = (&*netns, &start);
                scope.spawn(move || {
                    start.wait();
                    one_of_many(netns, number);
                });
            }
        });
        assert_eq!(netns.links().unwrap().len(), 1, "only lo is left");
        assert_eq!(tables(&netns), [""; 0]);
        assert_eq!(netns.sysctl("net.ipv4.ip_forward").unwrap(), "0");
    });
}

/// Runs all operations. The thread must see its own objects in every list.
fn one_of_many(netns: &Netns, number: usize) {
    let name = format!("br{number}");
    let prefix = format!("10.{number}.0.1/24");
    for _ in 0..2 {
        let bridge = Bridge::new(&name).address(&*prefix).no_ipv6_address().up();
        let bridge = bridge.create(netns).unwrap();
        assert_eq!(netns.link(&name).unwrap(), *bridge);
        let route = Route::new(format!("10.{number}.9.0/24")).dev(&bridge).create(netns).unwrap();
        let addresses = bridge.addresses().unwrap();
        assert_eq!(addresses[0].prefix.to_string(), prefix);
        let nat = NatRule::masquerade().source(format!("10.{number}.0.0/24"));
        let nat = nat.create(netns).unwrap();
        nat.counter().unwrap();
        let forwarding = Forwarding::ipv4().dev(&bridge).create(netns).unwrap();
        assert_eq!(netns.run(|| number).unwrap(), number);
        match netns.links() {
            Ok(links) => assert!(links.iter().any(|link| link.name == name)),
            // The list changed at each attempt, since all threads change it.
            Err(error) => assert!(error.to_string().contains("the list changed"), "{error}"),
        }
        netns.ping("127.0.0.1").unwrap();
        drop(route);
        forwarding.delete().unwrap();
        nat.delete().unwrap();
        bridge.delete().unwrap();
    }
}

#[test]
fn a_panic_in_one_closure_poisons_nothing() {
    support::isolated(|| {
        let netns = Namespace::anonymous().create().unwrap();
        netns.link("lo").unwrap().set_up().unwrap();
        let worker = netns.worker().unwrap();
        let nat = NatRule::masquerade().source("10.0.0.0/24").create(&netns).unwrap();
        for _ in 0..3 {
            let closures: [&dyn Fn(); 4] = [
                &|| netns.run(|| panic_any("in run")).unwrap(),
                &|| worker.run(|| panic_any("on a worker")).unwrap(),
                &|| {
                    // The panic unwinds through owners of every kind.
                    let _bridge = Bridge::new("br0").create(&netns).unwrap();
                    let _nat = NatRule::masquerade().create(&netns).unwrap();
                    let _on = Forwarding::ipv4().create(&netns).unwrap();
                    let _port = PortForward::new(8080, "10.0.0.2").create(&netns).unwrap();
                    let _name = Namespace::named("red").create().unwrap();
                    let _child = netns.command("sleep").arg("60").spawn().unwrap();
                    panic_any("with owners")
                },
                &|| {
                    thread::scope(|scope| {
                        let other = scope.spawn(|| netns.run(|| panic_any("in another thread")));
                        other.join().unwrap().unwrap();
                    });
                },
            ];
            for closure in closures {
                catch_unwind(AssertUnwindSafe(closure)).unwrap_err();
            }
        }
        // The objects that the threads shared still work, and their own objects are gone.
        assert_eq!(netns.links().unwrap().len(), 1);
        assert_eq!(netns.run(|| 7).unwrap() + worker.run(|| 7).unwrap(), 14);
        nat.counter().unwrap();
        assert_eq!(netns.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert!(Netns::list().unwrap().is_empty());
        reaches(&netns, "127.0.0.1");
    });
}

/// A failed deletion during unwinding is reported, and does not abort.
#[test]
fn a_hook_that_panics_while_a_panic_unwinds_is_survived() {
    support::isolated(|| {
        assert!(netloom::on_drop_failure(|_| panic_any("in the hook")));
        let red = Namespace::named("red").create().unwrap();
        let unwinding = AssertUnwindSafe(|| {
            let _red = red;
            // On a read-only mount, the name cannot be deleted.
            read_only("/run/netns", true);
            panic_any("the first")
        });
        let panic = catch_unwind(unwinding).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first"));
        read_only("/run/netns", false);
        Owned::adopt(Netns::open("red").unwrap()).delete().unwrap();
    });
}

fn read_only(mount_point: &str, on: bool) {
    use nix::mount::{MsFlags, mount};
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    flags.set(MsFlags::MS_RDONLY, on);
    mount(None::<&str>, mount_point, None::<&str>, flags, None::<&str>).unwrap();
}

#[test]
fn a_forked_process_deletes_nothing_and_does_not_hang() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        red.link("lo").unwrap().set_up().unwrap();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").up().create(&here).unwrap();
        let address = Address::new("10.0.9.1/24").create(&bridge).unwrap();
        let route = Route::new("10.8.0.0/16").dev(&bridge).create(&here).unwrap();
        let cable = VethPair::new("veth1", "veth2").create_between(&here, &red).unwrap();
        let forwarding = Forwarding::ipv4().create(&here).unwrap();
        let sysctl = Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&here).unwrap();
        let nat = NatRule::masquerade().create(&here).unwrap();
        let tagged = NatRule::masquerade().persistent("lab").create(&here).unwrap();
        let port = PortForward::new(8080, "10.0.0.2").create(&here).unwrap();
        let worker = red.worker().unwrap();
        let child = red.command("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let many = [Route::new("10.9.0.0/24"), Route::new("10.9.1.0/24")];
        let many = Route::create_all(&many.map(|route| route.dev(&bridge)), &here).unwrap();
        let others = (many, owned_by_tables(&here));
        let together = ["br1", "br2"].map(|name| Bridge::new(name).create(&here).unwrap());
        let together = Together::new(together);
        let owners = (red, bridge, address, route, cable, forwarding, sysctl, nat, tagged, port);
        let owners = (owners, others, together);
        let threads = (worker, child);
        let rules = tables(&here);
        assert!(rules.len() >= 2, "the process's own and the one with a tag");
        // The second round shows that the first left nothing behind.
        for _ in 0..2 {
            support::unchanged(&[&here], || {
                in_a_fork(|| {
                    let (owners, threads) = (unowned(&owners), unowned(&threads));
                    // The worker's thread does not exist in the fork.
                    let refused = threads.0.run(|| 7).unwrap_err();
                    drop(owners);
                    drop(threads);
                    refused.is_not_found()
                });
            });
            assert_eq!(Netns::open("red").unwrap(), *owners.0.0);
            assert_eq!(tables(&here), rules);
            assert_eq!(here.sysctl("net.ipv4.ip_forward").unwrap(), "1");
            assert_eq!(threads.0.run(|| 7).unwrap(), 7);
            assert!(std::fs::exists(format!("/proc/{pid}/fd/0")).unwrap(), "the command runs on");
        }
        drop(threads);
        drop(owners);
    });
}

/// A firewall with a guard, and a table with one owned thing of each kind in it.
fn owned_by_tables(netns: &Netns) -> impl Sized + use<> {
    let firewall = Firewall::new().network("br0").create(netns).unwrap();
    let guard = PortGuard::new("veth1").address("10.0.0.2").create(&firewall).unwrap();
    let table = Table::new(Family::Ip, "filter").create(netns).unwrap();
    let chain = Chain::new("input").create(&table).unwrap();
    let rule = Rule::new().tcp().dport(80).accept().create(&chain).unwrap();
    let set = Set::new("ports", Type::Port).create(&table).unwrap();
    let element = Element::new(22_u16).create(&set).unwrap();
    let counter = Object::counter("hits").create(&table).unwrap();
    // An object comes before the object that contains it, because tuples drop in this order.
    ((guard, firewall), (rule, chain), (element, set), counter, table)
}

/// Each PID namespace has a process 1, so the process id alone does not distinguish a process from
/// its child.
#[test]
fn a_forked_process_of_the_same_number_deletes_nothing() {
    use nix::sched::{CloneFlags, unshare};
    support::isolated(|| {
        // The next fork is process 1 of a new PID namespace.
        let next_is_first = || unshare(CloneFlags::CLONE_NEWPID).unwrap();
        let here = Netns::current().unwrap();
        next_is_first();
        in_a_fork(|| {
            let bridge = Bridge::new("br0").create(&here).unwrap();
            next_is_first();
            in_a_fork(|| {
                drop(unowned(&bridge));
                std::process::id() == 1
            });
            let stayed = here.link("br0").is_ok();
            drop(bridge);
            std::process::id() == 1 && stayed && here.link("br0").is_err()
        });
    });
}

/// Without `MADV_WIPEONFORK`, netloom detects a fork by the process id.
#[test]
fn a_forked_process_deletes_nothing_where_no_memory_tells_of_a_fork() {
    support::isolated(|| {
        refuse_system_call(nix::libc::SYS_madvise, nix::libc::EINVAL);
        let here = Netns::current().unwrap();
        let bridge = Bridge::new("br0").create(&here).unwrap();
        in_a_fork(|| {
            drop(unowned(&bridge));
            let own = Bridge::new("br1").create(&here).unwrap();
            drop(own);
            here.link("br1").is_err()
        });
        assert!(here.link("br0").is_ok());
        drop(bridge);
        assert!(here.link("br0").is_err());
    });
}

/// On a shared socket, each process would read the other's answers.
#[test]
fn a_handle_works_on_both_sides_of_a_fork_at_once() {
    fn work(here: &Netns, who: &str) {
        for number in 0..50 {
            let name = format!("{who}{number}");
            let bridge = Bridge::new(&name).create(here).unwrap();
            assert_eq!(here.link(&name).unwrap().index(), bridge.index());
            assert_eq!(bridge.info().unwrap().name, name);
            let nat = NatRule::masquerade().source("10.0.0.0/24").create(here).unwrap();
            assert_eq!(nat.counter().unwrap().packets, 0);
            nat.delete().unwrap();
            bridge.delete().unwrap();
        }
    }
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let red = Namespace::anonymous().create().unwrap();
        // Each kind of socket is open, and this process has a table of its own.
        let nat = [&here, &red].map(|netns| NatRule::masquerade().create(netns).unwrap());
        drop((here.conntrack().unwrap(), red.conntrack().unwrap(), here.listeners().unwrap()));
        let rules = tables(&here);
        let both = |who: &str| {
            work(&here, who);
            work(&red, who);
        };
        let in_child = || {
            both("c");
            drop((here.conntrack().unwrap(), here.listeners().unwrap()));
            true
        };
        beside_a_fork(in_child, || both("p"));
        assert_eq!(tables(&here), rules);
        assert!(nat.iter().all(|rule| rule.counter().is_ok()));
        assert_eq!((here.links().unwrap().len(), red.links().unwrap().len()), (1, 1));
    });
}

/// A fork deletes nothing, so an explicit deletion must return an error.
#[test]
fn a_forked_process_is_refused_what_it_does_not_own() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let bridge = Bridge::new("br0").create(&here).unwrap();
        in_a_fork(|| {
            let failure = unowned(&bridge).delete().unwrap_err();
            let said = failure.to_string();
            drop(failure);
            said.contains("the process that this one was forked from") && here.link("br0").is_ok()
        });
        bridge.delete().unwrap();
        assert!(here.link("br0").is_err());
    });
}

/// Returns the copy of a value that a fork has, which dropping the original does not end.
#[allow(unsafe_code)]
fn unowned<T>(value: &T) -> T {
    // SAFETY: called in a fork that ends by `_exit`, so this copy alone is dropped.
    unsafe { std::ptr::read(value) }
}

/// A program that this process executes or starts inherits no descriptor, and so owns nothing.
#[test]
fn an_exec_takes_nothing_along() {
    const LIST: [&str; 2] = ["-c", "cd /proc/self/fd && exec ls ."];
    let lines = |listed: Output| String::from_utf8(listed.stdout).unwrap();
    let by_std = || lines(Command::new("sh").args(LIST).output().unwrap());
    support::isolated(|| {
        // The standard streams, the descriptor that lists the directory, and the descriptors that
        // this program inherited.
        let given = by_std();
        let here = Netns::current().unwrap();
        let red = Namespace::named("red").create().unwrap();
        let owners = (
            NatRule::masquerade().create(&red).unwrap(),
            Bridge::new("br0").create(&red).unwrap(),
            Sysctl::new("net.ipv4.conf.all.rp_filter", 1).create(&red).unwrap(),
            Forwarding::ipv4().create(&red).unwrap(),
            owned_by_tables(&here),
        );
        let worker = red.worker().unwrap();
        drop((red.conntrack().unwrap(), red.listeners().unwrap()));
        assert_eq!(by_std(), given);
        for netns in [&here, &red] {
            assert_eq!(lines(netns.command("sh").args(LIST).output().unwrap()), given);
        }
        drop((worker, owners));
    });
}

/// Each made-up address is new: a fork copies no source of random numbers.
#[test]
fn forked_processes_make_different_hardware_addresses() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let make = |name: &str| Bridge::new(name).create(&here).unwrap().info().unwrap().mac;
        // Makes one before the fork, so that state that is seeded once exists.
        let first = make("br0");
        let file = std::path::Path::new("/run/addresses");
        std::fs::write(file, "").unwrap();
        for _ in 0..4 {
            in_a_fork(|| {
                let mac = make("br1").unwrap().to_string();
                let all = std::fs::read_to_string(file).unwrap();
                std::fs::write(file, format!("{all}{mac}\n")).is_ok()
            });
        }
        let all = std::fs::read_to_string(file).unwrap();
        std::fs::remove_file(file).unwrap();
        let made: std::collections::BTreeSet<_> = all.lines().collect();
        assert_eq!(made.len(), 4, "{all}");
        assert!(!made.contains(&*first.unwrap().to_string()));
    });
}

/// The process may fork while another thread holds any of the locks.
#[test]
fn no_lock_of_the_parents_stops_a_forked_process() {
    support::isolated(|| {
        let here = Netns::current().unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::Relaxed;
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(order) {
                        here.links().unwrap();
                        here.nft_ruleset().unwrap();
                    }
                });
            }
            for _ in 0..100 {
                in_a_fork(|| here.links().is_ok() && here.nft_ruleset().is_ok());
            }
            is_over.store(true, order);
        });
    });
}

/// The handles refer to a thread and a child process that do not exist in the fork.
#[test]
fn a_forked_process_drops_workers_and_commands_without_effect() {
    support::isolated(|| {
        let red = Namespace::anonymous().create().unwrap();
        let (worker, child) =
            (red.worker().unwrap(), red.command("sleep").arg("60").spawn().unwrap());
        let mut both = Some((worker, child));
        in_a_fork(|| {
            let (worker, mut child) = both.take().unwrap();
            let worker_is_gone = worker.run(|| ()).is_err_and(|error| error.is_not_found());
            let child_is_another = child.kill().is_err() && child.try_wait().is_err();
            drop((worker, child));
            // The fork's own thread is not confused with the parent's.
            thread::spawn(|| 7).join().unwrap() == 7 && worker_is_gone && child_is_another
        });
        let (worker, mut child) = both.take().unwrap();
        assert_eq!(worker.run(|| 1).unwrap(), 1);
        assert_eq!(child.try_wait().unwrap(), None, "it still runs");
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    });
}
