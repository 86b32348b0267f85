//! Many owners deleted at once.

mod support;

use netloom::{Bridge, Namespace, Owned, Together, VethEnd, VethPair};

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
        Together::new(cables).delete()?;
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
        Together::new(cables).delete()?;
        assert_eq!((red.links()?.len(), blue.links()?.len()), (1, 1), "only lo is left");
        Ok::<(), netloom::Error>(())
    });
}

#[test]
fn a_refusal_is_returned_and_all_others_are_deleted() {
    support::isolated(|| {
        let red = Namespace::anonymous().create()?;
        let cable = VethPair::new("a", "b").create(&red)?.keep();
        let owners = [red.link("lo")?, cable.near().clone()].map(Owned::adopt);
        let failures = Together::new(owners).delete().unwrap_err();
        assert_eq!(failures.errors().len(), 1);
        assert!(failures.errors()[0].is_unsupported(), "{failures}");
        assert_eq!(red.links()?.len(), 1);
        assert!(netloom::Error::from(failures).is_unsupported());
        Ok::<(), netloom::Error>(())
    });
}
