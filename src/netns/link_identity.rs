//! The identity of a link: how netloom distinguishes a link from a later one with the same index.
//!
//! The kernel gives a new link an index that no link had before. But a link that moves into a
//! namespace keeps its index if that is free there. So another link can take over the index of a
//! deleted one.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use super::handle::Netns;
use super::identity::NetnsId;
use super::label::Quoted;
use crate::error::{Cause, Error};
use crate::mac::MacAddr;
use crate::netlink::{Batch, RequestType};
use crate::wire::link::{LinkView, WhichLink};
use crate::wire::message::NLM_F_DUMP;

/// A link as this process last saw or changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkIdentity {
    pub(crate) index: u32,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Option<Arc<str>>,
    /// The hardware address, if the link has one that is its own.
    pub(crate) mac: Option<MacAddr>,
    /// The index of a veth's peer, or of the parent link.
    pub(crate) link: Option<u32>,
    /// The tag of this process that the link carries.
    pub(crate) tag: Option<Tagged>,
}

/// The kinds whose links share the hardware address of their parent: it identifies none of them.
const SHARE_ADDRESS: [&str; 3] = ["vlan", "ipvlan", "ipvtap"];

/// A tag of this process on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tagged {
    number: u32,
    /// The number of moves to this index that had been counted when the link got the tag.
    moves: u32,
}

impl Tagged {
    pub(crate) fn new(number: u32, place: (NetnsId, u32)) -> Self {
        Self { number, moves: moves_to(place).load(Ordering::Relaxed) }
    }
}

/// The result of checking which link has an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// The same link has the index.
    Same,
    /// The index belongs to no link, or to a link of another kind.
    Gone,
    /// A link of the same kind has the index. The text says how it differs.
    Differs(String),
}

impl LinkIdentity {
    pub(crate) fn of(view: LinkView<'_>) -> Option<Self> {
        let kind = view.kind();
        let is_shared = kind.as_deref().is_some_and(|kind| SHARE_ADDRESS.contains(&kind));
        Some(Self {
            index: view.index,
            name: view.name()?.into(),
            mac: view.mac().map(MacAddr::from).filter(|_| !is_shared),
            kind: kind.map(Into::into),
            link: view.link(),
            tag: None,
        })
    }

    /// Compares with the link that the kernel lists at this index in a namespace.
    ///
    /// The link is the same if the kind is the same, and one of:
    /// - the hardware address;
    /// - the tag of this process, if this process moved no other link to the index;
    /// - name and peer together, for a link without our tag.
    pub(crate) fn compare(&self, listed: LinkView<'_>, netns: &Netns) -> Look {
        if self.kind.as_deref() != listed.kind().as_deref() {
            return Look::Gone;
        }
        let same_mac = || self.mac.is_some() && self.mac == listed.mac().map(MacAddr::from);
        let same_mark = || match self.tag {
            Some(tag) => {
                listed.group() == Some(tag.number)
                    && moves_to((netns.id(), self.index)).load(Ordering::Relaxed) == tag.moves
            }
            None => self.link == listed.link() && listed.name().as_deref() == Some(&*self.name),
        };
        if same_mac() || same_mark() { Look::Same } else { Look::Differs(self.difference(listed)) }
    }

    fn difference(&self, listed: LinkView<'_>) -> String {
        let mac = |mac: Option<MacAddr>| mac.map(|mac| mac.to_string()).unwrap_or_default();
        let name = listed.name().unwrap_or(Cow::Borrowed(""));
        format!(
            "the link at index {} is {} with address {} now, not {} with address {}: \
             it may be another link",
            self.index,
            Quoted(&name),
            mac(listed.mac().map(MacAddr::from)),
            Quoted(&self.name),
            mac(self.mac),
        )
    }

    /// Looks at the index in a namespace.
    pub(crate) fn look(&self, netns: &Netns) -> Result<Look, Cause> {
        let compare = |view: LinkView<'_>| Some(self.compare(view, netns));
        match netns.look_up_link(WhichLink::At(self.index), compare) {
            Err(Cause::Kernel(refusal)) if refusal.errno == Errno::ENODEV => Ok(Look::Gone),
            look => look,
        }
    }
}

/// Counts that this process has moved a link to an index of a namespace. A tag there no longer
/// proves which of the two links has the index.
pub(crate) fn count_move(place: (NetnsId, u32)) {
    moves_to(place).fetch_add(1, Ordering::Relaxed);
}

/// Returns the counter of moves to an index. Several indexes share a counter, which can only make a
/// comparison stricter. Counters are atomic, because a fork could copy a held lock.
fn moves_to((netns, index): (NetnsId, u32)) -> &'static AtomicU32 {
    const COUNTERS: usize = 4096;
    static MOVES: [AtomicU32; COUNTERS] = [const { AtomicU32::new(0) }; COUNTERS];
    let place = netns.inode().wrapping_mul(31).wrapping_add(index.into());
    let at = usize::try_from(place % COUNTERS as u64).unwrap_or(0);
    MOVES.get(at).unwrap_or(&MOVES[0])
}

impl Netns {
    /// Requests one link and reads the answer.
    pub(crate) fn look_up_link<T>(
        &self,
        which: WhichLink<'_>,
        mut read: impl FnMut(LinkView<'_>) -> Option<T>,
    ) -> Result<T, Cause> {
        let request = |batch: &mut Batch| {
            batch.request(RequestType::GetLink as u16, 0, |out| which.write(out))
        };
        let found =
            self.rtnetlink(|socket| socket.get(request, |answer| read(LinkView::read(answer)?)))?;
        found.ok_or(Cause::Malformed("a link without a name"))
    }

    /// Visits all links without storing them.
    pub(crate) fn visit_links<A>(
        &self,
        start: impl FnMut() -> A,
        mut visit: impl FnMut(&mut A, LinkView<'_>),
    ) -> Result<A, Error> {
        let all = |batch: &mut Batch| {
            let kind = RequestType::GetLink as u16;
            batch.request(kind, NLM_F_DUMP, |out| WhichLink::All.write(out))
        };
        self.fold("links", all, start, |so_far, message| {
            if let Some(link) = LinkView::read(message) {
                visit(so_far, link);
            }
        })
    }

    /// Lists the values that `read` returns for the links.
    pub(crate) fn list_links<T>(
        &self,
        mut read: impl FnMut(LinkView<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        self.visit_links(Vec::new, |list, link| list.extend(read(link)))
    }
}
