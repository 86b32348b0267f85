//! Many links deleted at once: put in a group of their own, and the group deleted in one message.
//!
//! The kernel waits 16 to 20 ms for each link that it deletes alone, and once for a whole group
//! (`net/core/rtnetlink.c`, `rtnl_group_dellink`).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use nix::errno::Errno;

use super::handle::Link;
use super::info::LinkInfo;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::netlink::Requests;
use crate::netns::{Netns, Quoted};
use crate::owned::sealed::Remove;

/// Deletes links, with an answer for each.
pub(super) fn remove_all(links: &[&Link]) -> Vec<Result<(), Error>> {
    let mut answers: Vec<_> = links.iter().map(|_| None).collect();
    for netns in links.iter().map(|link| &link.netns) {
        let here: Vec<_> = (0..links.len())
            .filter(|&at| answers[at].is_none() && links[at].netns == *netns)
            .collect();
        let together: Vec<_> = here.iter().map(|&at| links[at]).collect();
        for (at, answer) in here.into_iter().zip(remove_in(netns, &together)) {
            answers[at] = Some(answer);
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Ok(()))).collect()
}

/// Deletes links of one namespace. What the group's deletion did not reach is deleted alone, so that it
/// has an answer of its own.
fn remove_in(netns: &Netns, links: &[&Link]) -> Vec<Result<(), Error>> {
    if let [link] = links {
        return vec![link.remove()];
    }
    let gone = || Err(Cause::from(Errno::ENODEV).doing("delete", "links").in_namespace(netns));
    let left = match remove_group(netns, links) {
        Ok(Group { before, after }) => {
            let is_in = |list: &BTreeMap<u32, LinkInfo>, link: &Link| {
                list.get(&link.index).is_some_and(|listed| link.is(listed))
            };
            links.iter().map(|link| (is_in(&before, link), is_in(&after, link))).collect()
        }
        Err(error) => {
            log::debug!("{error}: deleting {} links one by one", links.len());
            vec![(true, true); links.len()]
        }
    };
    let answer = |(link, (was_there, is_there)): (&&Link, (bool, bool))| match (was_there, is_there)
    {
        (false, _) => gone(),
        (true, false) => Ok(()),
        (true, true) => link.remove(),
    };
    links.iter().zip(left).map(answer).collect()
}

/// The links that were there before and after, by index.
struct Group {
    before: BTreeMap<u32, LinkInfo>,
    after: BTreeMap<u32, LinkInfo>,
}

fn remove_group(netns: &Netns, links: &[&Link]) -> Result<Group, Error> {
    let list = || -> Result<BTreeMap<u32, LinkInfo>, Error> {
        Ok(netns.links()?.into_iter().map(|link| (link.index, link)).collect())
    };
    let before = list()?;
    let group = unused_group(&before)
        .ok_or_else(|| Cause::Invalid("no group is free".into()).doing("group", "links"))?;
    let ours = |link: &&&Link| before.get(&link.index).is_some_and(|listed| link.is(listed));
    let links: Vec<_> = links.iter().filter(ours).collect();
    for chunk in links.chunks(Requests::AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|link| Quoted(&link.name)).collect();
        let mut requests = Requests::new();
        for (link, name) in chunk.iter().zip(&names) {
            let request = LinkRequest::at(link.index).group(group).change();
            requests.push("group", name, &request, 0);
        }
        // One that is refused stays out of the group; rtnetlink goes on with the others.
        if let Err(error) = netns.send(requests, |_, _| ()) {
            log::debug!("{error}");
        }
    }
    let count = format!("{} links", links.len());
    let mut requests = Requests::new();
    requests.push("delete", &count, &LinkRequest::default().group(group).delete(), 0);
    netns.send(requests, |_, _| ())?;
    Ok(Group { before, after: list()? })
}

/// A group that none of these links is in.
fn unused_group(links: &BTreeMap<u32, LinkInfo>) -> Option<u32> {
    let taken: BTreeSet<u32> = links.values().map(|link| link.group).collect();
    let random = RandomState::new();
    (0..64u32)
        .map(|attempt| random.hash_one(attempt).to_ne_bytes())
        .map(|[a, b, c, d, ..]| u32::from_ne_bytes([a, b, c, d]) >> 1 | 1 << 30)
        .find(|group| !taken.contains(group))
}
