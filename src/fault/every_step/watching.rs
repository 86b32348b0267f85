//! Watching, and waiting for a condition.

use std::time::Duration;

use super::{each_step_fails, every_step, ground, here, settled, support};

use netloom::{Bridge, ConntrackFilter, Error, Event, LinkIndex};

const SOON: Duration = Duration::from_millis(1);

#[test]
fn watchers() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "watch links, addresses, routes, neighbours",
                "watch changes",
                "look at the loopback link",
                "list links",
                "list addresses",
                "list routes",
                "list neighbours",
            ],
            || {
                let watch = host.watch().links().addresses().routes().neighbors();
                let mut watcher = watch.start()?;
                while watcher.next_within(SOON)?.is_some() {}
                Ok::<_, Error>(())
            },
        );
    });
}

#[test]
fn watchers_of_two_sockets() {
    support::isolated(|| {
        let host = here();
        every_step(
            &[
                "watch namespace ids, tracked connections, the ruleset",
                "watch changes",
                "list namespace ids",
                "list tracked connections (all)",
                "read the ruleset's generation",
            ],
            || {
                let watch = host.watch().namespace_ids().conntrack(ConntrackFilter::new());
                let mut watcher = watch.ruleset().start()?;
                while watcher.next_within(SOON)?.is_some() {}
                Ok::<_, Error>(())
            },
        );
    });
}

/// A watcher that failed to read its socket continues, and reports the missed changes.
#[test]
fn a_watcher_goes_on_after_a_fault() {
    support::isolated(|| {
        let host = here();
        let cable = ground(&host);
        each_step_fails(
            || {
                let mut watcher = host.watch().links().routes().buffer(4096).start()?;
                let (mut links, mut failure) = (Vec::new(), None);
                // This many changes overflow the buffer.
                for mtu in 1400..1408 {
                    drop(cable.near().set_mtu(mtu));
                }
                while cable.near().set_mtu(1500).is_err() {}
                loop {
                    match watcher.next_within(SOON) {
                        Ok(None) => break,
                        Ok(Some(event)) => apply(&mut links, &event),
                        Err(error) => failure = failure.or(Some(error)),
                    }
                }
                let mut listed: Vec<_> =
                    host.links()?.into_iter().map(|link| (link.index, link.mtu)).collect();
                listed.sort_unstable();
                links.sort_unstable();
                assert_eq!(links, listed, "{failure:?}");
                failure.map_or(Ok(()), Err)
            },
            |_, _| (),
        );
        settled(&host);
    });
}

fn apply(links: &mut Vec<(LinkIndex, u32)>, event: &Event) {
    match event {
        Event::Link(change) => {
            links.retain(|(index, _)| *index != change.value().index);
            links.extend(change.after().map(|link| (link.index, link.mtu)));
        }
        Event::Resynced(resynced) => {
            resynced.changes.iter().for_each(|event| apply(links, event));
        }
        _ => {}
    }
}

#[test]
fn conditions() {
    support::isolated(|| {
        let host = here();
        every_step(&["wait for a condition", "look at the loopback link", "list links"], || {
            let mut looks = 0;
            let holds = || {
                looks += 1;
                // The first check makes a change, so that the wait has a notification to receive.
                if looks == 1 {
                    drop(Bridge::new("br0").create(&host));
                }
                host.links().map(|links| links.len() == 1 && looks > 1)
            };
            host.wait_for(holds, Duration::from_secs(5))
        });
    });
}
