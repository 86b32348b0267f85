//! The reason why a link's name is already in use.

use crate::netlink::is_tag;
use crate::netns::{Netns, Quoted};
use crate::wire::link::{LinkView, WhichLink};

/// Returns the hint for EEXIST. The kernel does not say which link has the name, or whether it is
/// an alternative name.
pub(super) fn taken(name: &str, netns: &Netns) -> String {
    let read =
        |view: LinkView<'_>| Some((view.name()?.into_owned(), view.group().is_some_and(is_tag)));
    let found = netns.look_up_link(WhichLink::Named(name), read).ok();
    let (own, is_tagged) = found.unwrap_or_else(|| (name.to_owned(), false));
    let mut hint = if own == name {
        format!("a link named {} is already in {netns}", Quoted(name))
    } else {
        format!("link {} in {netns} has the alternative name {}", Quoted(&own), Quoted(name))
    };
    if is_tagged {
        hint += "; a program created it through netloom: if that program was killed, `reap` deletes the link";
    }
    hint
}
