//! Namespaces, names, and looking around.

use super::{every_step, here, support};
use netloom::{Error, Namespace, Netns};

#[test]
fn namespaces() {
    support::isolated(|| {
        every_step(&["create a namespace"], || Namespace::anonymous().create().map(drop));
    });
}

#[test]
fn names() {
    support::isolated(|| {
        // The directory stays, as with `ip netns`.
        drop(Namespace::named("first").create().unwrap());
        every_step(&["create namespace `red`"], || Namespace::named("red").create().map(drop));
        every_step(&["create namespace `red`", "open namespace `red`", "find link `lo`"], || {
            let red = Namespace::named("red").create()?;
            assert_eq!(Netns::open("red")?, *red);
            red.link("lo").map(drop)
        });
        let here = here();
        every_step(&["attach namespace name `red`"], || {
            Namespace::named("red").attach(&here).map(drop)
        });
        // Deleted by hand: an error comes with the ownership.
        every_step(&["create namespace `red`"], || {
            Namespace::named("red").create()?.delete().map_err(Error::from)
        });
        every_step(&["create namespace `red`"], || {
            let kept = Namespace::named("red").create()?.keep();
            netloom::Owned::adopt(kept).delete().map_err(Error::from)
        });
        let _name = Namespace::named("blue").create().unwrap();
        every_step(&["create namespace `blue`"], || match Namespace::named("blue").create() {
            Err(error) if error.is_already_exists() => Ok(()),
            other => other.map(|_| panic!("not refused")),
        });
    });
}

#[test]
fn looking_around() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "list links",
                "list addresses",
                "list neighbours",
                "list bridge ports",
                "list listening sockets",
                "list routes",
            ],
            || {
                host.links()?;
                host.addresses()?;
                host.neighbors()?;
                host.bridge_ports()?;
                host.listeners()?;
                host.routes().map(drop)
            },
        );
    });
}

#[test]
fn what_dead_processes_left() {
    support::isolated(|| {
        let _name = Namespace::named("red").create().unwrap();
        every_step(&["open the current namespace"], || {
            let left = netloom::leftovers()?;
            assert!(left.found().is_empty(), "{:?}", left.found());
            Ok::<_, Error>(())
        });
    });
}
