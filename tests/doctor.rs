//! `netloom::doctor`: true answers, and a reason and remedy for each "no".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

use netloom::LinkKind;
use netloom::doctor::{self, Answer, Check, NftFeature, Owner, Verdict};
use netloom::{Namespace, Netns};

fn answer<'a>(report: &'a doctor::Report, check: &Check) -> &'a Answer {
    report.answer(check).unwrap_or_else(|| panic!("no answer to {check:?}"))
}

#[test]
fn what_works_here_is_answered_by_yes() {
    support::isolated(|| {
        let report = doctor::examine();
        println!("{report}");
        for check in [
            Check::NetAdmin,
            Check::SysAdmin,
            Check::NetRaw,
            Check::UserNamespaces,
            Check::NewNamespace,
            Check::NamedNamespaces,
            Check::Sysctls,
            Check::ForwardPath,
            Check::Link(LinkKind::Veth),
            Check::Link(LinkKind::Bridge),
            Check::NfTables(NftFeature::Tables),
            Check::NfTables(NftFeature::OwnerFlag),
            Check::NfTables(NftFeature::NatInet),
            Check::NfTables(NftFeature::Maps),
        ] {
            assert!(answer(&report, &check).is_yes(), "{check}: {:?}", answer(&report, &check));
        }
        assert_eq!(report.place.network_namespace, Some(Netns::current().unwrap().id()));
        assert_eq!(report.place.owner, Owner::Ours);
        // Each check ran once, and each "no" has a reason and a remedy.
        assert_eq!(report.findings.len(), 9 + LinkKind::ALL.len() + NftFeature::ALL.len());
        for (check, answer) in report.problems() {
            assert!(answer.reason().is_some_and(|reason| !reason.is_empty()), "{check}");
            assert!(answer.remedy().is_some_and(|remedy| !remedy.is_empty()), "{check}");
        }
        assert_eq!(report.in_user_namespace, [], "nothing is missing here");
        // The checks left no link and no named namespace.
        assert_eq!(Netns::current().unwrap().links().unwrap().len(), 1);
        assert!(!fs::exists("/run/netns").unwrap());
    });
}

/// The doctor and `ip` agree on the kinds of links that the kernel supports.
#[test]
fn kinds_of_links_are_as_ip_finds_them() {
    support::isolated(|| {
        let report = doctor::examine();
        let red = Namespace::anonymous().create().unwrap();
        for (kind, arguments) in [
            (LinkKind::Dummy, &["type", "dummy"][..]),
            (LinkKind::Ifb, &["type", "ifb"]),
            (LinkKind::Wireguard, &["type", "wireguard"]),
            (LinkKind::Bond, &["type", "bond"]),
            (LinkKind::Vxlan, &["type", "vxlan", "id", "9", "dstport", "4789"]),
            (LinkKind::Vrf, &["type", "vrf", "table", "9"]),
            (LinkKind::Gre, &["type", "gre", "remote", "192.0.2.1"]),
        ] {
            if !support::tools::is_there("ip") {
                return;
            }
            let mut ip = red.command("ip");
            let made = ip.args(["link", "add", "made"]).args(arguments).output().unwrap();
            let answer = answer(&report, &Check::Link(kind.clone()));
            assert_eq!(made.status.success(), answer.is_yes(), "{kind:?}: {answer:?} {made:?}");
            if made.status.success() {
                red.command("ip").args(["link", "del", "made"]).status().unwrap();
            } else {
                assert!(answer.is_unsupported(), "{answer:?}");
                assert!(answer.reason().unwrap().contains(kind.name()), "{answer:?}");
            }
        }
    });
}

/// `ip tuntap` can create a tun link exactly if the doctor says so.
#[test]
fn a_tun_link_is_made_to_be_known() {
    support::isolated(|| {
        let report = doctor::examine();
        let answer = answer(&report, &Check::Link(LinkKind::Tun));
        let red = Namespace::anonymous().create().unwrap();
        if !support::tools::is_there("ip") {
            return;
        }
        let mut ip = red.command("ip");
        let made = ip.args(["tuntap", "add", "made", "mode", "tun"]).output().unwrap();
        assert_eq!(made.status.success(), answer.is_yes(), "{answer:?} {made:?}");
        assert!(answer.is_yes() || answer.reason().unwrap().contains("/dev/net/tun"), "{answer:?}");
    });
}

#[test]
fn a_foreign_drop_policy_is_found() {
    support::isolated(|| {
        let ruleset = [
            ["add", "table", "ip", "docker"].as_slice(),
            &[
                "add",
                "chain",
                "ip",
                "docker",
                "FORWARD",
                "{ type filter hook forward priority 0; policy drop; }",
            ],
            // A chain of another hook or without a hook does not filter forwarded packets.
            &[
                "add",
                "chain",
                "ip",
                "docker",
                "INPUT",
                "{ type filter hook input priority 0; policy drop; }",
            ],
            &["add", "chain", "ip", "docker", "OTHER"],
        ];
        for command in ruleset {
            if support::nft(&support::Place::here(), command).is_none() {
                return;
            }
        }
        let report = doctor::examine();
        let found = answer(&report, &Check::ForwardPath);
        assert!(found.is_no());
        assert!(found.reason().unwrap().contains("`ip docker FORWARD`:"), "{found:?}");
        support::nft(&support::Place::here(), &["flush", "ruleset"]);
        assert!(answer(&doctor::examine(), &Check::ForwardPath).is_yes());
    });
}

#[test]
fn br_netfilter_is_found() {
    support::isolated(|| {
        let name = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        let Ok(before) = fs::read_to_string(name) else { return };
        fs::write(name, "0").unwrap();
        fs::write(name.replace("iptables", "ip6tables"), "0").unwrap();
        assert!(answer(&doctor::examine(), &Check::BridgedPackets).is_yes());
        fs::write(name, "1").unwrap();
        let report = doctor::examine();
        let found = answer(&report, &Check::BridgedPackets);
        assert!(found.reason().unwrap().contains("bridge-nf-call-iptables"), "{found:?}");
        fs::write(name, &before).unwrap();
        fs::write(name.replace("iptables", "ip6tables"), before).unwrap();
    });
}

#[test]
fn read_only_settings_are_found() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    support::isolated(|| {
        let (none, bind) = (None::<&str>, MsFlags::MS_BIND);
        mount(Some("/proc/sys"), "/proc/sys", none, bind, none).unwrap();
        mount(none, "/proc/sys", none, bind | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)
            .unwrap();
        let report = doctor::examine();
        let found = answer(&report, &Check::Sysctls);
        assert!(found.is_no() && found.remedy().unwrap().contains("netlink"), "{found:?}");
        umount2("/proc/sys", MntFlags::MNT_DETACH).unwrap();
    });
}

/// Takes all privileges from the calling thread alone.
#[allow(unsafe_code)]
fn drop_privileges_of_this_thread() {
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this thread
    let none = [0_u32; 6];
    // SAFETY: the call reads the header and three numbers for each of two halves (capset(2)).
    let done = unsafe { nix::libc::syscall(nix::libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(done, 0);
}

#[test]
fn without_privileges_that_is_what_is_answered() {
    support::isolated(|| {
        let report = thread::scope(|scope| {
            let unprivileged = || {
                drop_privileges_of_this_thread();
                doctor::examine()
            };
            scope.spawn(unprivileged).join().unwrap()
        });
        println!("{report}");
        for check in [Check::NetAdmin, Check::SysAdmin, Check::NetRaw, Check::NewNamespace] {
            assert!(answer(&report, &check).is_no(), "{check}");
        }
        for check in [Check::Link(LinkKind::Veth), Check::NfTables(NftFeature::Nat)] {
            assert_eq!(answer(&report, &check).verdict(), Verdict::Unknown, "{check}");
        }
        assert!(report.to_string().contains("because: "));
        // Root without capabilities may not map itself into a user namespace, so files inside
        // belong to `nobody`.
        works_in_a_user_namespace(&report, |check| *check != Check::NamedNamespaces);
    });
}

#[test]
fn an_ordinary_user_is_told_of_here_and_of_a_user_namespace() {
    support::isolated(|| {
        let copy = support::user::Copied::of_this();
        passes(copy.as_ordinary_user(), "as_an_ordinary_user");
    });
}

#[test]
#[ignore = "a helper: another test starts it as an ordinary user"]
fn as_an_ordinary_user() {
    let report = doctor::examine();
    println!("{report}");
    for check in [Check::NetAdmin, Check::SysAdmin, Check::NetRaw, Check::NewNamespace] {
        assert!(answer(&report, &check).is_no(), "{check}");
    }
    works_in_a_user_namespace(&report, |_| true);
}

/// Asserts that the report lists the checks that fail here but succeed in a user namespace.
fn works_in_a_user_namespace(report: &doctor::Report, is_asked: fn(&Check) -> bool) {
    assert!(answer(report, &Check::UserNamespaces).is_yes());
    let inside = |check: &Check| {
        let found = report.in_user_namespace.iter().find(|(one, _)| one == check);
        found.unwrap_or_else(|| panic!("no answer to {check:?}")).1.clone()
    };
    let checks = [
        Check::NetAdmin,
        Check::SysAdmin,
        Check::NetRaw,
        Check::NewNamespace,
        Check::NamedNamespaces,
        Check::Sysctls,
        Check::ForwardPath,
        Check::Link(LinkKind::Veth),
        Check::Link(LinkKind::Bridge),
        Check::NfTables(NftFeature::NatInet),
    ];
    for check in checks.into_iter().filter(is_asked) {
        assert!(inside(&check).is_yes(), "{check}: {:?}", inside(&check));
    }
    // Each check but the one for user namespaces is repeated in a user namespace.
    assert_eq!(report.in_user_namespace.len(), report.findings.len() - 1);
    let text = report.to_string();
    let (here, inside) = text.split_once("In a user namespace").unwrap();
    assert!(here.contains("\n  can't   change links"), "{text}");
    assert!(inside.contains("\n  can     change links"), "{text}");
}

/// An ordinary user in its own user and network namespaces has all privileges there, but none on
/// the machine.
#[test]
fn what_an_ordinary_user_has_in_its_own_namespaces_counts() {
    support::isolated(|| passes_under_unshare("-rnm", "in_namespaces_of_its_own"));
}

#[test]
#[ignore = "a helper: another test starts it in namespaces of its own"]
fn in_namespaces_of_its_own() {
    let report = doctor::examine();
    println!("{report}");
    for check in [Check::NetAdmin, Check::SysAdmin, Check::NetRaw, Check::UserNamespaces] {
        assert!(answer(&report, &check).is_yes(), "{check}: {:?}", answer(&report, &check));
    }
    assert_eq!(report.place.owner, Owner::Ours);
}

fn passes_under_unshare(namespaces: &str, helper: &str) {
    let mut again = Command::new("unshare");
    again.arg(namespaces).arg(env::current_exe().unwrap());
    passes(again, helper);
}

fn passes(mut again: Command, helper: &str) {
    let output = again.args(["--exact", helper, "--ignored", "--nocapture"]).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said[0].contains("1 passed"), "{}\n{}", said[0], said[1]);
}

/// `/proc` shows all capabilities, but the network namespace belongs to another user namespace. The
/// doctor detects that by trying.
#[test]
fn capabilities_that_do_not_count_are_none() {
    support::isolated(|| passes_under_unshare("-r", "in_somebody_elses_network"));
}

#[test]
#[ignore = "a helper: another test starts it in a user namespace, but in no network of that"]
fn in_somebody_elses_network() {
    let report = doctor::examine();
    println!("{report}");
    for check in [Check::NetAdmin, Check::SysAdmin, Check::NetRaw] {
        let found = answer(&report, &check);
        assert!(found.is_no() && found.reason().unwrap().contains("owns"), "{check}: {found:?}");
        assert!(found.remedy().unwrap().contains("unshare -rnm"), "{found:?}");
    }
    assert_ne!(report.place.owner, Owner::Ours);
    // The process may create a network namespace, in which its capabilities take effect.
    assert!(answer(&report, &Check::NewNamespace).is_yes());
    assert!(answer(&report, &Check::Link(LinkKind::Veth)).is_yes());
    works_in_a_user_namespace(&report, |_| true);
}

#[test]
#[allow(unsafe_code)]
fn user_namespaces_are_tried_where_sigchld_is_ignored() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    support::isolated(|| {
        // SAFETY: no handler is installed.
        let before = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
        let report = doctor::examine();
        // SAFETY: as above.
        unsafe { signal(Signal::SIGCHLD, before) }.unwrap();
        assert!(answer(&report, &Check::UserNamespaces).is_yes(), "{report}");
    });
}

#[test]
fn where_user_namespaces_are_off_that_is_told() {
    support::isolated(|| {
        let copy = support::user::Copied::of_this();
        passes(copy.where_namespaces_are_off(), "where_namespaces_are_off");
    });
}

#[test]
#[ignore = "a helper: another test starts it where user namespaces are off"]
fn where_namespaces_are_off() {
    let report = doctor::examine();
    println!("{report}");
    let found = answer(&report, &Check::UserNamespaces);
    assert!(found.reason().unwrap().contains("user.max_user_namespaces is 0"), "{found:?}");
    assert!(found.remedy().unwrap().contains("sysctl -w user.max_user_namespaces"), "{found:?}");
    assert!(answer(&report, &Check::NamedNamespaces).is_no());
    assert_eq!(report.in_user_namespace, []);
}

/// Each line starts with "can", "can't" or "unknown", and the text of the check has no negation.
#[test]
fn every_finding_says_can_or_cannot_once() {
    support::isolated(|| {
        let report = doctor::examine();
        let text = report.to_string();
        for (check, answer) in &report.findings {
            let line = format!("\n  {:7} {check}", answer.verdict());
            assert!(text.contains(&line), "{line}: {text}");
            let ability = check.to_string();
            let mut words = ability.split(' ');
            assert!(!words.any(|word| ["no", "not", "never"].contains(&word)), "{ability}");
        }
    });
}
