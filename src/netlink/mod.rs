//! Layer 1: sends netlink requests and reads acknowledgements, echoes and lists. No other code
//! reads replies. Nothing here depends on links, routes or rules.

mod batch;
mod exchange;
mod member;
mod path;
mod request;
mod requests;
mod room;
mod schema;
#[cfg(any(test, fuzzing))]
pub(crate) mod script;
mod socket;
mod subscription;
mod tag;

pub(crate) use batch::Batch;
pub(crate) use member::{Member, is_unavailable, members};
pub(crate) use request::RequestType;
pub(crate) use requests::Requests;
pub(crate) use socket::{DEADLINE, Protocol, Socket};
pub(crate) use subscription::{Heard, Subscription};
pub(crate) use tag::{LiveTags, Tag, is_tag};
