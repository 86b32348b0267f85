//! Many links deleted at once: put in a group of their own, and the group deleted in one message.
//!
//! The kernel waits 16 to 20 ms for each link that it deletes alone, and once for a whole group
//! (`net/core/rtnetlink.c`, `rtnl_group_dellink`).

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::handle::Link;
use super::message::LinkRequest;
use crate::error::{Cause, Error};
use crate::netlink::{Requests, Tag};
use crate::netns::{Netns, NetnsId, Quoted};
use crate::owned::sealed::Remove;
use crate::owned::settled_in_two;
use crate::sys::random::random;
use crate::together::sealed::Collected;
use crate::wire::link::LinkView;

/// What is deleted as one: a link, or both ends of a cable by either.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) one: &'a Link,
    pub(super) other: Option<&'a Link>,
}

impl<'a> From<&'a Link> for Ends<'a> {
    fn from(link: &'a Link) -> Self {
        Self { one: link, other: None }
    }
}

impl<'a> Ends<'a> {
    fn all(self) -> impl Iterator<Item = &'a Link> {
        std::iter::once(self.one).chain(self.other)
    }

    /// The end that is not this one.
    fn beside(self, link: &Link) -> Option<&'a Link> {
        self.all().find(|end| !std::ptr::eq(*end, link))
    }

    fn remove(self) -> Result<(), Error> {
        let first = self.one.remove();
        self.or_other(self.one, first)
    }

    /// Where an end is gone or was moved away, it is still a cable: the other end takes it along.
    fn or_other(self, link: &Link, answer: Result<(), Error>) -> Result<(), Error> {
        match (answer, self.beside(link)) {
            (Err(error), Some(other)) if error.is_not_found() => other.remove(),
            (answer, _) => answer,
        }
    }
}

/// Links of dropped owners that are to go together.
#[derive(Debug, Default)]
pub(super) struct Doomed(Vec<(Link, Option<Link>)>);

impl Doomed {
    pub(super) fn push(&mut self, one: Link, other: Option<Link>) {
        self.0.push((one, other));
    }
}

impl Collected for Doomed {
    fn remove(self: Box<Self>) -> Vec<Error> {
        let ends: Vec<_> =
            self.0.iter().map(|(one, other)| Ends { one, other: other.as_ref() }).collect();
        let again = |(answer, ends): (Result<(), Error>, &Ends<'_>)| match answer {
            Err(error) if !error.is_not_found() => settled_in_two(|| ends.remove()).err(),
            _ => None,
        };
        remove_all(&ends).into_iter().zip(&ends).filter_map(again).collect()
    }
}

/// Deletes links, with an answer for each. Of a cable that end is deleted whose namespace has most of
/// the others, so that there are as few groups as can be.
pub(super) fn remove_all(all: &[Ends<'_>]) -> Vec<Result<(), Error>> {
    let mut crowd: BTreeMap<NetnsId, usize> = BTreeMap::new();
    for end in all.iter().flat_map(|ends| ends.all()) {
        *crowd.entry(end.netns.id()).or_default() += 1;
    }
    let size = |link: &Link| crowd.get(&link.netns.id()).copied().unwrap_or(0);
    let mut places: BTreeMap<NetnsId, Vec<(usize, &Link)>> = BTreeMap::new();
    for (at, ends) in all.iter().enumerate() {
        let link = match ends.other {
            Some(other) if size(other) > size(ends.one) => other,
            _ => ends.one,
        };
        places.entry(link.netns.id()).or_default().push((at, link));
    }
    let mut answers: Vec<_> = all.iter().map(|_| Ok(())).collect();
    for here in places.into_values() {
        let (places, links): (Vec<_>, Vec<_>) = here.into_iter().unzip();
        for ((at, link), answer) in places.into_iter().zip(&links).zip(remove_in(&links)) {
            answers[at] = all[at].or_other(link, answer);
        }
    }
    answers
}

/// Deletes links of one namespace. What the group's deletion did not reach is deleted alone, so that it
/// has an answer of its own.
fn remove_in(links: &[&Link]) -> Vec<Result<(), Error>> {
    let netns = match links {
        [] => return Vec::new(),
        [link] => return vec![link.remove()],
        [first, ..] => &first.netns,
    };
    let left = remove_group(netns, links).unwrap_or_else(|error| {
        log::debug!("{error}: deleting {} links one by one", links.len());
        vec![Left::There; links.len()]
    });
    let gone = || Err(Cause::from(Errno::ENODEV).doing("delete", "links").in_namespace(netns));
    let answer = |(link, left): (&&Link, Left)| match left {
        Left::GoneBefore => gone(),
        Left::Deleted => Ok(()),
        Left::There => link.remove(),
    };
    links.iter().zip(left).map(answer).collect()
}

/// How a link came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It was not there.
    GoneBefore,
    Deleted,
    /// It is there, or may be.
    There,
}

/// What is listed at an index.
struct Listed {
    group: u32,
    /// Whether it is the link that is to go.
    is_it: bool,
    /// Whether it has a kind: the kernel deletes no group in which one has none.
    is_made: bool,
}

fn remove_group(netns: &Netns, links: &[&Link]) -> Result<Vec<Left>, Error> {
    let by_index: BTreeMap<u32, &Link> = links.iter().map(|link| (link.index, *link)).collect();
    let list = || -> Result<BTreeMap<u32, Listed>, Error> {
        let read = |view: LinkView<'_>| {
            let is_it = by_index.get(&view.index).is_some_and(|link| link.is(view));
            let group = view.group().unwrap_or(0);
            (view.index, Listed { group, is_it, is_made: view.kind().is_some() })
        };
        let all = LinkRequest::default().get();
        let list = netns.dump("links", &all, |message| Some(read(LinkView::read(message)?)))?;
        Ok(list.into_iter().collect())
    };
    let is_it =
        |list: &BTreeMap<u32, Listed>, at: u32| list.get(&at).is_some_and(|listed| listed.is_it);
    let before = list()?;
    // Held until all is done: where we are killed before that, the links are a dead process's.
    let tag = unused_tag(netns, &before);
    let group = tag.as_ref().map(Tag::number).or_else(|| unused_group(&before));
    let group =
        group.ok_or_else(|| Cause::Invalid("no group is free".into()).doing("group", "links"))?;
    let ours = |link: &&&Link| before.get(&link.index).is_some_and(|at| at.is_it && at.is_made);
    let grouped: Vec<_> = links.iter().filter(ours).copied().collect();
    let all_grouped = put_in_group(netns, &grouped, group);
    let count = format!("{} links", grouped.len());
    let mut requests = Requests::new();
    requests.push("delete", &count, &LinkRequest::default().group(group).delete(), 0);
    if !grouped.is_empty() {
        netns.send(requests, |_, _| ())?;
    }
    let is_whole = all_grouped && grouped.len() == links.len();
    let after = if is_whole { BTreeMap::new() } else { list()? };
    let left = |link: &&Link| match (is_it(&before, link.index), is_it(&after, link.index)) {
        (false, _) => Left::GoneBefore,
        (true, false) => Left::Deleted,
        (true, true) => Left::There,
    };
    let left: Vec<_> = links.iter().map(left).collect();
    // What stays is its owner's as before.
    let stay = links.iter().zip(&left).filter(|(_, left)| **left == Left::There);
    for (link, _) in stay {
        if let Some(listed) = before.get(&link.index) {
            put_in_group(netns, &[link], listed.group);
        }
    }
    Ok(left)
}

/// One that none of these links is in. None where they go with us anyway, or it can't be had.
fn unused_tag(netns: &Netns, links: &BTreeMap<u32, Listed>) -> Option<Tag> {
    let is_unused = |tag: &Tag| links.values().all(|listed| listed.group != tag.number());
    if netns.goes_with_us() { None } else { netns.fresh_tag().ok().filter(is_unused) }
}

/// Whether all are in it. One that is refused stays out; rtnetlink goes on with the others.
fn put_in_group(netns: &Netns, links: &[&Link], group: u32) -> bool {
    let mut all = true;
    for chunk in links.chunks(Requests::AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|link| Quoted(&link.name)).collect();
        let mut requests = Requests::new();
        for (link, name) in chunk.iter().zip(&names) {
            let request = LinkRequest::at(link.index).group(group).change();
            requests.push("group", name, &request, 0);
        }
        if let Err(error) = netns.send(requests, |_, _| ()) {
            log::debug!("{error}");
            all = false;
        }
    }
    all
}

/// A group that none of these links is in.
fn unused_group(links: &BTreeMap<u32, Listed>) -> Option<u32> {
    (0..64)
        .map(|_| u32::from_ne_bytes(random()) >> 1 | 1 << 30)
        .find(|group| links.values().all(|listed| listed.group != *group))
}
