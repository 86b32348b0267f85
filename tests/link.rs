//! Links: renamed, resized, up and down, listed, and deleted by identity.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use netloom::nft::{Chain, Family, Rule, Table};
use netloom::{Bridge, MacAddr, Namespace, Netns, Owned, VethEnd, VethPair};

use support::{by_hand, does_not_reach, json, reaches, refused, unchanged};

fn host() -> Owned<Netns> {
    Namespace::anonymous().create().unwrap()
}

#[test]
fn a_link_is_renamed_and_found_by_its_new_name() {
    support::isolated(|| {
        let host = host();
        let bridge = Bridge::new("br0").address("10.0.0.1/24").create(&host).unwrap();
        // Packets to the namespace's own addresses use the loopback link.
        host.link("lo").unwrap().set_up().unwrap();
        bridge.rename("lan").unwrap();
        bridge.set_up().unwrap();
        assert_eq!((&*bridge.name(), &*bridge.info().unwrap().name), ("lan", "lan"));
        assert!(host.link("br0").unwrap_err().is_not_found());
        reaches(&host, "10.0.0.1");
        bridge.rename("lan").unwrap();
        if let Some(list) = json(&host, "ip", "link show lan") {
            assert_eq!(list[0]["ifindex"], bridge.index().get());
        }
        let _other = Bridge::new("taken").create(&host).unwrap();
        // Kernels before 6.3 refuse to rename a link that is up, before they check the name.
        bridge.set_down().unwrap();
        let error = unchanged(&[&host], || {
            refused(bridge.rename("taken"), &["rename `lan`", "a link named `taken` is already in"])
        });
        assert!(error.is_already_exists());
        assert_eq!(bridge.name(), "lan", "the handle did not follow what did not happen");
    });
}

#[test]
fn mtu_and_mac_are_set_at_birth_and_later() {
    support::isolated(|| {
        let host = host();
        let end = VethEnd::new("veth1").mtu(1400).mac("02:00:00:00:00:01");
        let cable = VethPair::new(end, "veth2").create(&host).unwrap();
        let now = || cable.near().info().unwrap();
        assert_eq!((now().mtu, now().mac), (1400, Some(MacAddr::from([2, 0, 0, 0, 0, 1]))));
        cable.near().set_mtu(9000).unwrap();
        cable.near().set_mac("02:00:00:00:00:02").unwrap();
        assert_eq!((now().mtu, now().mac), (9000, Some(MacAddr::from([2, 0, 0, 0, 0, 2]))));
        if let Some(list) = json(&host, "ip", "link show veth1") {
            assert_eq!(list[0]["mtu"], 9000);
            assert_eq!(list[0]["address"], "02:00:00:00:00:02");
        }
    });
}

#[test]
fn packets_pass_a_link_that_is_up_and_none_that_is_down() {
    support::isolated(|| {
        let (red, blue) = (host(), host());
        let cable = VethPair::new(
            VethEnd::new("eth0").address("10.0.0.1/24").up(),
            VethEnd::new("eth0").address("10.0.0.2/24").up(),
        );
        let cable = cable.create_between(&red, &blue).unwrap();
        reaches(&red, "10.0.0.2");
        cable.peer().set_down().unwrap();
        assert!(!cable.peer().info().unwrap().is_up());
        does_not_reach(&red, "10.0.0.2");
        cable.peer().set_up().unwrap();
        reaches(&red, "10.0.0.2");
    });
}

#[test]
fn the_loopback_link_goes_up_and_down_and_cannot_be_deleted() {
    support::isolated(|| {
        let host = host();
        let lo = host.link("lo").unwrap();
        assert!(!lo.info().unwrap().is_up());
        does_not_reach(&host, "127.0.0.1");
        lo.set_up().unwrap();
        reaches(&host, "127.0.0.1");
        reaches(&host, "::1");
        let failure = Owned::adopt(lo).delete().unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("delete link `lo`")
                && text.contains("the kernel creates this link itself"),
            "{text}"
        );
        // The failed deletion returned the ownership, which can then be given up.
        let lo = failure.into_owned().keep();
        lo.set_down().unwrap();
        does_not_reach(&host, "127.0.0.1");
    });
}

#[test]
fn the_list_is_what_ip_lists() {
    support::isolated(|| {
        let host = host();
        let bridge = Bridge::new("br0").mtu(1400).group(5).up().create(&host).unwrap();
        let _cable = VethPair::new(VethEnd::new("veth1").master(&bridge), "veth2").create(&host);
        let ours = host.links().unwrap();
        assert_eq!(
            ours.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(),
            ["lo", "br0", "veth2", "veth1"]
        );
        let Some(theirs) = json(&host, "ip", "-details link show") else { return };
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(theirs["ifindex"], ours.index.get());
            assert_eq!(theirs["ifname"], ours.name.as_str());
            assert_eq!(theirs["mtu"], ours.mtu);
            assert_eq!(theirs["address"], ours.mac.unwrap().to_string());
            assert_eq!(
                theirs["linkinfo"]["info_kind"].as_str(),
                ours.kind.as_ref().map(netloom::LinkKind::name)
            );
            let up = theirs["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
            assert_eq!(up, ours.is_up());
            let master = ours.master.map(|_| "br0");
            assert_eq!(theirs["master"].as_str(), master);
            let peer = theirs["link"].as_str().map(|name| host.link(name).unwrap().index());
            assert_eq!(peer, ours.link);
            let group = if ours.group == 0 { "default".to_owned() } else { ours.group.to_string() };
            assert_eq!(theirs["group"], group);
        }
    });
}

#[test]
fn a_link_is_found_by_name_index_and_alternative_name() {
    support::isolated(|| {
        let host = host();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        assert_eq!(host.link("br0").unwrap(), *bridge);
        assert_eq!(host.link_at(bridge.index()).unwrap().name(), "br0");
        let error = refused(host.link("nobody"), &["find link `nobody`", "No such device"]);
        assert!(error.is_not_found());
        assert!(error.namespace().is_some_and(|place| place.contains(&host.id().to_string())));
        assert!(refused(host.link_at(77), &["find link 77"]).is_not_found());
        if by_hand(&host, "ip link property add dev br0 altname a-name-longer-than-15-bytes") {
            let names = bridge.info().unwrap().alternative_names;
            assert_eq!(names, ["a-name-longer-than-15-bytes"]);
            by_hand(&host, "ip link property add dev br0 altname second");
            assert_eq!(host.link("second").unwrap(), *bridge);
            for name in ["eth0:1", "50%", "%d"] {
                by_hand(&host, &format!("ip link property add dev br0 altname {name}"));
                assert_eq!(host.link(name).unwrap(), *bridge, "{name}");
                assert!(Bridge::new(name).create(&host).unwrap_err().is_invalid_input(), "{name}");
                let table = Table::new(Family::Inet, "t").create(&host).unwrap();
                let chain = Chain::new("c").create(&table).unwrap();
                let _rule = Rule::new().iif(name).accept().create(&chain).unwrap();
            }
        }
    });
}

#[test]
fn a_link_is_deleted_by_what_it_is_not_by_a_name_that_is_anothers_by_now() {
    support::isolated(|| {
        let host = host();
        let ours = Bridge::new("br0").create(&host).unwrap();
        Owned::adopt(host.link("br0").unwrap()).delete().unwrap();
        let theirs = Bridge::new("br0").create(&host).unwrap().keep();
        assert_ne!(ours.index(), theirs.index());
        drop(ours);
        assert_eq!(host.link("br0").unwrap(), theirs);

        // A renamed link is deleted, and the new link with the old name stays.
        let ours = Bridge::new("br1").create(&host).unwrap();
        host.link("br1").unwrap().rename("away").unwrap();
        let _theirs = Bridge::new("br1").create(&host).unwrap();
        ours.delete().unwrap();
        assert!(host.link("away").is_err() && host.link("br1").is_ok());
    });
}

#[test]
fn a_link_that_is_gone_says_so_whatever_is_asked_of_it() {
    support::isolated(|| {
        let host = host();
        let other = Bridge::new("br1").create(&host).unwrap();
        let bridge = Bridge::new("br0").create(&host).unwrap();
        let gone = (*bridge).clone();
        bridge.delete().unwrap();
        let answers = [
            gone.set_up(),
            gone.set_down(),
            gone.set_mtu(1400),
            gone.set_mac("02:00:00:00:00:01"),
            gone.set_master(&other),
            gone.release(),
            gone.info().map(drop),
            gone.rename("br2"),
            gone.move_to(&Namespace::anonymous().create().unwrap()),
        ];
        for answer in answers {
            let error = refused(answer, &["`br0`"]);
            assert!(error.is_not_found(), "{error}");
        }
        Owned::adopt(gone).delete().unwrap();
    });
}

#[test]
fn a_kept_link_stays_and_an_adopted_one_goes() {
    support::isolated(|| {
        let host = host();
        let kept = Bridge::new("br0").create(&host).unwrap().keep();
        drop(kept.clone());
        assert!(host.link("br0").is_ok());
        drop(Owned::adopt(kept));
        assert!(host.link("br0").is_err());
        if by_hand(&host, "ip link add name theirs type bridge") {
            drop(Owned::adopt(host.link("theirs").unwrap()));
            assert_eq!(host.links().unwrap().len(), 1);
        }
    });
}
