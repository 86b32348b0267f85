//! Another program renames, moves and deletes objects between netloom's steps. That program's own
//! objects must stay.

mod support;

use netloom::{
    Address, Bridge, Error, ErrorKind, Link, Namespace, Netns, Owned, Setting, Sysctl, Together,
    Veth, VethEnd, VethPair,
};

fn namespaces() -> Result<(Owned<Netns>, Owned<Netns>), Error> {
    Ok((Namespace::anonymous().create()?, Namespace::anonymous().create()?))
}

fn names(netns: &Netns) -> Vec<String> {
    netns.links().unwrap().into_iter().map(|link| link.name).collect()
}

/// Moves the end of their cable that has the index of our deleted link into our link's namespace.
fn moved_to_the_index_of(mine: &Link, theirs: &Veth) -> Result<Link, Error> {
    let moved = [theirs.near().clone(), theirs.peer().clone()]
        .into_iter()
        .find(|end| end.index() == mine.index())
        .expect("an end with the index of ours");
    moved.move_to(&mine.namespace())?;
    assert_eq!(moved.index(), mine.index(), "it keeps its index, as nobody has it there");
    Ok(moved)
}

#[test]
fn a_link_that_was_moved_to_our_deleted_ones_index_is_not_deleted() {
    support::isolated(|| {
        let (here, elsewhere) = namespaces()?;
        let mine = Bridge::new("mine").create(&here)?;
        let theirs = VethPair::new("eth0", "eth1").create(&elsewhere)?;
        Owned::adopt(here.link("mine")?).delete()?;
        let moved = moved_to_the_index_of(&mine, &theirs)?;
        mine.delete()?;
        assert_eq!(names(&here), ["lo".to_owned(), moved.name()]);
        // The same, if a `Together` deletes the links by group.
        let cables = [theirs.near().clone(), moved.clone()].map(Owned::adopt);
        Together::new(cables).delete()?;
        assert_eq!((names(&here).len(), names(&elsewhere).len()), (1, 1));
        theirs.keep();
        Ok::<(), Error>(())
    });
}

/// Addresses and settings belong to one link. The owners must not change those of another link that
/// has the index.
#[test]
fn what_a_stranger_with_our_links_index_is_set_to_stays() {
    support::isolated(|| {
        let (here, elsewhere) = namespaces()?;
        let mine = Bridge::new("mine").create(&here)?;
        let address = Address::new("10.0.0.2/24").create(&mine)?;
        let setting = Setting::proxy_arp(&mine).to(true).create(&here)?;
        let sysctl = Sysctl::new("net.ipv4.conf.mine.rp_filter", 1).create(&here)?;
        let theirs = VethPair::new("eth0", "eth1").create(&elsewhere)?;
        Owned::adopt(here.link("mine")?).delete()?;
        let moved = moved_to_the_index_of(&mine, &theirs)?;
        let their_address = Address::new("10.0.0.2/24").create(&moved)?.keep();
        let their_setting = Setting::proxy_arp(&moved).to(true).create(&here)?;
        let filter = format!("net.ipv4.conf.{}.rp_filter", moved.name());
        let write = || std::fs::write(format!("/proc/sys/{}", filter.replace('.', "/")), "1");
        here.run(write)?.expect("written by another's hand");
        // The objects are gone, so their deletion is no failure.
        address.delete()?;
        setting.delete()?;
        sysctl.delete()?;
        assert_eq!(moved.addresses()?[0].prefix, their_address.prefix());
        assert!(Setting::proxy_arp(&moved).read(&here)?);
        assert_eq!(here.sysctl(&filter)?, "1");
        their_setting.keep();
        Owned::adopt(moved).delete()?;
        mine.keep();
        theirs.keep();
        Ok::<(), Error>(())
    });
}

#[test]
fn a_peers_index_that_a_stranger_got_is_left_alone() {
    support::isolated(|| {
        let (host, container) = namespaces()?;
        let cable = VethPair::new("port", "eth0").create_between(&host, &container)?;
        Owned::adopt(host.link("port")?).delete()?;
        let elsewhere = Namespace::anonymous().create()?;
        let strangers = VethPair::new("x1", "x2").create(&elsewhere)?;
        let moved = [strangers.near().clone(), strangers.peer().clone()]
            .into_iter()
            .find(|end| end.index() == cable.peer().index())
            .expect("an end with the index of ours");
        moved.move_to(&container)?;
        let failure = cable.delete().unwrap_err();
        assert_eq!(failure.error().kind(), ErrorKind::Replaced, "{failure}");
        failure.into_owned().keep();
        assert_eq!(names(&container), ["lo".to_owned(), moved.name()]);
        Owned::adopt(moved).delete()?;
        strangers.keep();
        Ok::<(), Error>(())
    });
}

#[test]
fn a_renamed_link_is_followed_when_it_moves_and_its_old_names_new_bearer_is_not() {
    support::isolated(|| {
        let (red, blue) = namespaces()?;
        let cable = VethPair::new("veth1", "veth2").create(&red)?;
        red.link("veth1")?.rename("renamed")?;
        let stranger = Bridge::new("veth1").create(&blue)?;
        cable.near().move_to(&blue)?;
        assert_eq!(cable.near().name(), "renamed");
        assert_ne!(cable.near().index(), stranger.index());
        cable.delete()?;
        assert_eq!(
            (names(&red), names(&blue)),
            (vec!["lo".into()], vec!["lo".into(), "veth1".into()])
        );
        stranger.delete()?;
        Ok::<(), Error>(())
    });
}

/// `ip link property add dev … altname NAME`, many times in one request.
fn add_alternative_names(index: u32, names: impl Iterator<Item = String>) {
    use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::link::{LinkAttribute, LinkMessage, Prop};
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::PropList(names.map(Prop::AltIfName).collect()));
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewLinkProp(message));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
    socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0).unwrap();
    let (answer, _) = socket.recv_from_full().unwrap();
    assert_eq!(answer[16..20], [0; 4], "acknowledged");
}

/// In a list, the kernel reserves room for the largest link only if the request names the wanted
/// attributes.
#[test]
fn a_list_holds_links_that_are_larger_than_usual_and_those_behind_them() {
    support::isolated(|| {
        let here = Netns::current()?;
        let large = Bridge::new("br0").create(&here)?;
        let _behind = Bridge::new("br1").create(&here)?;
        let before = names(&here);
        let name = |n: usize| format!("{n:0>100}");
        add_alternative_names(large.index().get(), (0..320).map(name));
        assert_eq!(names(&here), before);
        assert_eq!(large.info()?.alternative_names.len(), 320);
        assert_eq!(here.link(&name(7))?, *large, "found by an alternative name");
        Ok::<(), Error>(())
    });
}

#[test]
fn a_thousand_settings_and_their_first_refusal_fit() {
    support::isolated(|| {
        let (red, _) = namespaces()?;
        let mut end = VethEnd::new("veth1");
        for n in 0..1000 {
            end = end.address(Address::new(format!("10.0.{}.{}/8", n / 250, n % 250 + 1)));
        }
        let cable = VethPair::new(end.clone(), "veth2").create(&red)?;
        assert_eq!(cable.near().addresses()?.len(), 1000);
        cable.delete()?;
        let twice = (0..300).fold(VethEnd::new("veth1"), |end, _| end.address("10.0.0.1/8"));
        let error = VethPair::new(twice, "veth2").create(&red).unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert_eq!(names(&red), ["lo"]);
        Ok::<(), Error>(())
    });
}
