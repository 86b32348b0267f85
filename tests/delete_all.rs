//! Many owners deleted at once.

mod support;

use netloom::{Bridge, Namespace, Owned, VethEnd, VethPair};

#[test]
fn cables_of_several_namespaces_go_together_and_nothing_else_does() {
    support::isolated(|| {
        let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
        let bridge = Bridge::new("br0").create(&red)?;
        let mut cables = Vec::new();
        for n in 0..60 {
            let port = VethEnd::new(format!("p{n}")).master(&bridge).queues(1);
            let (near, far) = if n % 2 == 0 { (&red, &blue) } else { (&red, &red) };
            cables.push(VethPair::new(port, format!("q{n}")).create_between(near, far)?);
        }
        let stays = VethPair::new("stays1", "stays2").create(&blue)?;
        Owned::delete_all(cables).map_err(|mut failures| failures.remove(0))?;
        let names = |netns: &netloom::Netns| {
            let links = netns.links().unwrap().into_iter();
            links.map(|link| link.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&red), ["lo", "br0"]);
        assert_eq!(names(&blue), ["lo", "stays2", "stays1"]);
        stays.delete()?;
        Ok::<(), netloom::Error>(())
    });
}

#[test]
fn one_that_is_gone_and_one_that_was_moved_away_are_no_failures() {
    support::isolated(|| {
        let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
        let cable = |n| VethPair::new(format!("a{n}"), format!("b{n}")).create(&red);
        let cables = (0..5).map(cable).collect::<Result<Vec<_>, _>>()?;
        Owned::adopt(red.link("a1")?).delete()?;
        red.link("a2")?.move_to(&blue)?;
        Owned::delete_all(cables).map_err(|mut failures| failures.remove(0))?;
        assert_eq!((red.links()?.len(), blue.links()?.len()), (1, 1), "only lo is left");
        Ok::<(), netloom::Error>(())
    });
}

#[test]
fn what_is_refused_comes_back_with_its_owner() {
    support::isolated(|| {
        let red = Namespace::anonymous().create()?;
        let cable = VethPair::new("a", "b").create(&red)?.keep();
        let owners = [red.link("lo")?, cable.near().clone()].map(Owned::adopt);
        let mut failures = Owned::delete_all(owners).unwrap_err();
        assert_eq!(failures.len(), 1);
        let failure = failures.remove(0);
        assert!(failure.error().is_unsupported(), "{failure}");
        assert_eq!(failure.into_owned().keep().name(), "lo");
        assert_eq!(red.links()?.len(), 1);
        Ok::<(), netloom::Error>(())
    });
}
