//! The features of this kernel, and how netloom behaves without each.
//!
//! The notes that this test writes on each kernel make up `docs/kernels.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::fd::AsRawFd;

use netloom::LinkKind;
use netloom::doctor::{self, Check, NftFeature};
use netloom::{Bridge, Namespace};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use support::features::{has, required, supported, supported_but_for, unsupported};

/// The kernel features that netloom replaces or reports as unsupported.
const OF_NETLOOM: [&str; 5] =
    ["echo-on-create", "rename-while-up", "bridge-vlan-filtering", "nft-rule-reset", "nft-queue"];
/// The features of the machine that tests use if they exist.
const OF_THE_PLACE: [&str; 4] = ["base-chains", "other-users", "podman", "settable-clock"];
/// The programs that tests compare with.
const TOOLS: [&str; 6] = ["ip", "bridge", "nft", "ping", "conntrack", "strace"];

fn link(kind: &LinkKind) -> String {
    format!("link-{}", kind.name())
}

/// Returns a feature's name in tests: `OwnerFlag` as `nft-owner-flag`.
fn nft(feature: NftFeature) -> String {
    let mut name = "nft".to_owned();
    for letter in format!("{feature:?}").chars() {
        if letter.is_uppercase() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[test]
fn kinds_of_links_and_nf_tables() {
    support::isolated(|| {
        let report = doctor::examine();
        for (check, answer) in &report.findings {
            let name = match check {
                Check::Link(kind) => link(kind),
                Check::NfTables(feature) => nft(*feature),
                _ => continue,
            };
            if answer.is_yes() {
                has(&name);
            } else {
                let (reason, remedy) = (answer.reason(), answer.remedy());
                assert!(reason.is_some() && remedy.is_some(), "{name}: {answer:?}");
                unsupported(&name, reason.unwrap());
            }
        }
        for kind in [LinkKind::Veth, LinkKind::Bridge] {
            let answer = report.answer(&Check::Link(kind)).unwrap();
            assert!(answer.is_yes(), "netloom can do nothing without: {answer:?}");
        }
    });
}

#[test]
fn a_link_that_is_up_is_renamed_or_the_error_says_how() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").up().create(&host).unwrap();
        let renamed = bridge.rename("lan");
        if let Err(error) = &renamed {
            assert!(error.to_string().contains("only while it is down"), "{error}");
            bridge.set_down().unwrap();
            bridge.rename("lan").unwrap();
        }
        assert!(host.link("lan").is_ok() && host.link("br0").is_err());
        supported_but_for("rename-while-up", renamed, |error| {
            error.raw_os_error() == Some(libc::EBUSY)
        });
    });
}

#[test]
fn vlans_are_filtered_or_that_is_refused_as_a_whole() {
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let bridge = Bridge::new("br0").vlan_filtering(true).create(&host);
        if let Err(error) = &bridge {
            assert!(error.remedy().unwrap().contains("CONFIG_BRIDGE_VLAN_FILTERING"), "{error}");
        }
        if let Some(_bridge) = supported("bridge-vlan-filtering", bridge) {
            let mut cat = host.command("cat");
            let output = cat.arg("/sys/class/net/br0/bridge/vlan_filtering").output().unwrap();
            assert_eq!(output.stdout, b"1\n");
        } else {
            assert_eq!(host.links().unwrap().len(), 1);
        }
    });
}

/// Asks the kernel without netloom whether a new link is echoed. If not, netloom looks the link up,
/// so both cases work.
#[test]
fn a_link_that_is_made_is_told_at_once() {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_ACK_ECHO_EXCL_CREATE: u16 = 1 | 4 | 8 | 0x200 | 0x400;
    support::isolated(|| {
        let host = Namespace::anonymous().create().unwrap();
        let kinds = host.run(|| {
            let protocol = SockProtocol::NetlinkRoute;
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).unwrap();
            let mut request =
                [52_u32.to_ne_bytes().as_slice(), &RTM_NEWLINK.to_ne_bytes()].concat();
            request.extend(REQUEST_ACK_ECHO_EXCL_CREATE.to_ne_bytes());
            request.extend([0; 8 + 16]);
            // IFLA_LINKINFO with IFLA_INFO_KIND: a bridge.
            request.extend([16_u16, 18, 11, 1].iter().flat_map(|number| number.to_ne_bytes()));
            request.extend(b"bridge\0\0\0\0\0\0");
            request[0] = u8::try_from(request.len()).unwrap();
            request[32] = 20;
            send(socket.as_raw_fd(), &request, MsgFlags::empty()).unwrap();
            let mut kinds = Vec::new();
            loop {
                let mut answer = [0; 8192];
                recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
                let kind = u16::from_ne_bytes([answer[4], answer[5]]);
                kinds.push(kind);
                if kind == 2 {
                    assert_eq!(answer[16..20], [0; 4], "acknowledged");
                    return kinds;
                }
            }
        });
        if kinds.unwrap().contains(&RTM_NEWLINK) {
            has("echo-on-create");
        } else {
            unsupported("echo-on-create", "only the acknowledgement came");
        }
    });
}

/// A misspelt name of a required feature would require nothing.
#[test]
fn what_is_required_is_known() {
    let links = LinkKind::ALL.iter().map(link);
    let known: Vec<String> = links
        .chain(NftFeature::ALL.iter().map(|feature| nft(*feature)))
        .chain(OF_NETLOOM.iter().chain(&OF_THE_PLACE).chain(&TOOLS).map(ToString::to_string))
        .collect();
    for name in required() {
        assert!(name == "all" || known.contains(&name), "{name} is none of {known:?}");
    }
}
