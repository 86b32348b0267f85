//! Many links deleted at once: put in a group of their own, and the group deleted in one message.
//!
//! The kernel waits 16 to 20 ms for each link that it deletes alone, and once for a whole group
//! (`net/core/rtnetlink.c`, `rtnl_group_dellink`).

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use nix::errno::Errno;

use super::handle::Link;
use super::info::LinkInfo;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::netlink::Requests;
use crate::netns::{Netns, Quoted};
use crate::owned::sealed::Remove;

/// Requests in one datagram: each may answer with a refusal, and all of them fit the receive buffer.
const CHUNK: usize = 100;

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
        Ok(Group { before, after }) => links
            .iter()
            .map(|link| (before.contains(&link.index), after.contains(&link.index)))
            .collect(),
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

/// The indexes that were there before and after.
struct Group {
    before: BTreeSet<u32>,
    after: BTreeSet<u32>,
}

fn remove_group(netns: &Netns, links: &[&Link]) -> Result<Group, Error> {
    let listed = netns.links()?;
    let group = unused_group(&listed)
        .ok_or_else(|| Cause::Invalid("no group is free".into()).doing("group", "links"))?;
    for chunk in links.chunks(CHUNK) {
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
    let indexes = |list: &[LinkInfo]| list.iter().map(|link| link.index).collect();
    Ok(Group { before: indexes(&listed), after: indexes(&netns.links()?) })
}

/// A group that none of these links is in.
fn unused_group(links: &[LinkInfo]) -> Option<u32> {
    let taken: BTreeSet<u32> = links.iter().map(|link| link.group).collect();
    let random = RandomState::new();
    (0..64u32)
        .map(|attempt| random.hash_one(attempt).to_ne_bytes())
        .map(|[a, b, c, d, ..]| u32::from_ne_bytes([a, b, c, d]) >> 1 | 1 << 30)
        .find(|group| !taken.contains(group))
}
