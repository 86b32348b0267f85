//! A link is distinguished from another link that has its index.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use netloom::{
    Address, Bridge, Error, ErrorKind, Link, LinkIndex, Namespace, Netns, Owned, Veth, VethEnd,
    VethPair,
};

/// Deletes a link by a separate handle, as another program would.
fn delete_as_another(netns: &Netns, index: LinkIndex) -> Result<(), Error> {
    Ok(Owned::adopt(netns.link_at(index)?).delete()?)
}

/// Creates a veth pair in another namespace, until one end gets an index that is free here. Moves
/// that end here.
fn take_index(here: &Netns, index: LinkIndex, name: &str) -> Result<(Link, Veth), Error> {
    let elsewhere = Namespace::anonymous().create()?;
    loop {
        let near = VethEnd::new(name).group(1);
        let pair = VethPair::new(near, VethEnd::new("rest").group(1)).create(&elsewhere)?;
        if pair.near().index() == index {
            pair.near().move_to(here)?;
            let moved = here.link_at(index)?;
            return Ok((moved, pair.keep()));
        }
        // The kernel does not reuse an index soon.
        assert!(pair.near().index().get() < index.get(), "the index was passed");
        if pair.peer().index().get() + 2 == index.get() {
            // The near end gets the second index of the next pair.
            Bridge::new("skip").create(&elsewhere)?.delete()?;
        }
        pair.delete()?;
    }
}

#[test]
fn a_link_with_our_tag_is_deleted_after_another_program_changed_its_address_and_name() {
    support::isolated(|| {
        let host = Netns::current()?;
        let bridge = Bridge::new("br0").create(&host)?;
        let other = host.link("br0")?;
        other.set_mac("02:00:00:00:00:77")?;
        other.rename("renamed")?;
        let address = Address::new("10.0.0.1/24").create(&bridge)?;
        address.delete()?;
        bridge.delete()?;
        assert_eq!(host.links()?.len(), 1, "only lo is left");
        Ok::<(), Error>(())
    });
}

#[test]
fn our_own_changes_of_address_and_name_are_followed_by_all_owners() {
    support::isolated(|| {
        // Links get no owner tag in a namespace that ends with the process.
        let red = Namespace::anonymous().create()?;
        let bridge = Bridge::new("br0").create(&red)?;
        let address = Address::new("10.0.0.1/24").create(&bridge)?;
        let clone = bridge.handle().clone();
        clone.set_mac("02:00:00:00:00:77")?;
        clone.rename("renamed")?;
        assert_eq!(bridge.name(), "renamed");
        address.delete()?;
        bridge.delete()?;
        assert_eq!(red.links()?.len(), 1, "only lo is left");
        Ok::<(), Error>(())
    });
}

#[test]
fn a_link_whose_address_and_name_another_program_changed_is_not_touched_without_a_mark() {
    support::isolated(|| {
        let red = Namespace::anonymous().create()?;
        let bridge = Bridge::new("br0").create(&red)?;
        let other = red.link("br0")?;
        other.set_mac("02:00:00:00:00:77")?;
        other.rename("renamed")?;
        let failure = bridge.delete().unwrap_err();
        assert_eq!(failure.error().kind(), ErrorKind::Replaced);
        let text = failure.to_string();
        assert!(text.contains("`renamed` with address 02:00:00:00:00:77"), "{text}");
        assert!(red.link("renamed").is_ok());
        failure.into_owned().keep();
        Ok::<(), Error>(())
    });
}

#[test]
fn a_stranger_with_our_index_name_and_kind_stays_and_no_setter_changes_it() {
    support::isolated(|| {
        let host = Netns::current()?;
        let ours = VethPair::new("mine", "peer").create(&host)?;
        let index = ours.near().index();
        delete_as_another(&host, index)?;
        let (stranger, pair) = take_index(&host, index, "mine")?;
        assert_eq!((stranger.name().as_str(), stranger.index()), ("mine", index));
        let mine = ours.near();
        for refused in [
            mine.set_mtu(1400),
            mine.set_up(),
            mine.rename("taken"),
            mine.set_mac("02:00:00:00:00:77"),
            Address::new("10.0.0.1/24").create(mine).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Replaced);
        }
        let info = stranger.info()?;
        assert_eq!((info.name.as_str(), info.mtu, info.is_up()), ("mine", 1500, false));
        assert_eq!(stranger.addresses()?, []);
        let failure = ours.delete().unwrap_err();
        assert_eq!(failure.error().kind(), ErrorKind::Replaced);
        assert!(stranger.info().is_ok());
        failure.into_owned().keep();
        Owned::adopt(pair).delete()?;
        Ok::<(), Error>(())
    });
}

#[test]
fn a_deleted_bridge_has_no_list_of_ports() {
    support::isolated(|| {
        let host = Netns::current()?;
        let bridge = Bridge::new("br0").create(&host)?.keep();
        delete_as_another(&host, bridge.index())?;
        assert!(bridge.ports().unwrap_err().is_not_found());
        assert!(host.link_at(0).unwrap_err().is_not_found());
        Ok::<(), Error>(())
    });
}

#[test]
fn a_link_is_followed_when_it_moves_after_changes_of_address_and_peer() {
    support::isolated(|| {
        let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
        let pair = VethPair::new("a", "b").create(&red)?;
        red.link("a")?.set_mac("02:00:00:00:00:77")?;
        // The peer's index is taken in `blue`, so the move changes the index.
        let _taken = (0..3).map(|n| Bridge::new(format!("t{n}")).create(&blue)).collect::<Vec<_>>();
        pair.peer().move_to(&blue)?;
        let near = pair.near().clone();
        near.move_to(&blue)?;
        assert_eq!(pair.near().namespace(), *blue);
        assert_eq!(pair.near().index(), blue.link("a")?.index());
        pair.delete()?;
        assert_eq!((red.links()?.len(), blue.links()?.len()), (1, 4));
        Ok::<(), Error>(())
    });
}

/// Times and states that the kernel would round, ignore or drop are refused.
#[test]
fn nothing_that_the_kernel_would_ignore_is_ok() {
    support::isolated(|| {
        let host = Netns::current()?;
        let refused = |bridge: Bridge| bridge.create(&host).unwrap_err();
        let error = refused(Bridge::new("br0").ageing_time(Duration::from_millis(9)));
        assert!(
            error.is_invalid_input() && error.to_string().contains("a multiple of 10 ms"),
            "{error}"
        );
        let error = refused(Bridge::new("br0").stp(true).forward_delay(Duration::from_secs(1)));
        assert!(
            error.is_invalid_input() && error.to_string().contains("from 2 to 30 s"),
            "{error}"
        );
        let short = Bridge::new("br0").forward_delay(Duration::from_secs(1)).create(&host)?;
        assert_eq!(short.bridge_info()?.unwrap().forward_delay, Duration::from_secs(1));
        let down = Bridge::new("br1").address("10.0.0.1/24").create(&host)?;
        let error = down.announce().unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("is down"), "{error}");
        Ok::<(), Error>(())
    });
}

/// The kernel notices the carrier of a new pair up to a second late, unless a program queries it.
#[test]
fn a_pair_that_is_up_carries_when_create_returns() {
    support::isolated(|| {
        let host = Netns::current()?;
        let bridge = Bridge::new("br0").up().create(&host)?;
        let mut made = Vec::new();
        for n in 0..40 {
            let red = Namespace::anonymous().create()?;
            let port = VethEnd::new(format!("port{n}")).master(&bridge).up();
            made.push((
                VethPair::new(port, VethEnd::new("eth0").up()).create_between(&host, &red)?,
                red,
            ));
            let ports = host.bridge_ports()?;
            let states: Vec<_> = ports.iter().map(|port| port.state.to_string()).collect();
            assert_eq!(states, vec!["forwarding"; n + 1]);
        }
        Ok::<(), Error>(())
    });
}
