//! Elements of sets and maps.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::datum::{Datum, Span};
use crate::counter::Counter;

/// What a rule or a verdict map does with the packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on to the next hook.
    Accept,
    /// It is gone.
    Drop,
    /// The next rule.
    Continue,
    /// Back to the rule after the jump; in a base chain, to its policy.
    Return,
    /// The rules of another chain, and back.
    Jump(String),
    /// The rules of another chain, and not back.
    Goto(String),
}

/// In the words of `nft`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

/// Which keys an element stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    One(Span),
    /// A concatenation.
    Many(Vec<Span>),
    /// All that are not in the set.
    Rest,
}

impl Key {
    pub(crate) fn spans(&self) -> &[Span] {
        match self {
            Self::One(span) => std::slice::from_ref(span),
            Self::Many(spans) => spans,
            Self::Rest => &[],
        }
    }
}

/// What a map has for a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Data {
    Values(Vec<Datum>),
    Verdict(Verdict),
    Object(String),
}

/// An element to be: a key, and in a map what it stands for.
///
/// Keys are literals or values: `"10.0.0.1"`, `"10.0.0.0/24"`, `"80-90"`, an [`Ipv4Addr`](std::net::Ipv4Addr), a
/// port, a range; pairs and triples are concatenations. Replaces what stands between the braces of
/// `nft add element TABLE SET { … }`.
///
/// ```
/// use netloom::nft::{Chain, Element, Family, Set, Table, Type};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let table = Table::new(Family::Ip, "filter").create(&netns)?;
/// let set = Set::new("services", [Type::Ipv4, Type::Port]).create(&table)?;
/// let web = Element::new(("10.0.0.1", 80_u16)).comment("web").create(&set)?;
/// assert!(set.contains(("10.0.0.1", 80_u16))?);
/// drop(web);
/// assert!(!set.contains(("10.0.0.1", 80_u16))?);
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a builder does nothing until `create`"]
pub struct Element {
    // There are many of them, and of most only the key is said: the rest has no room in them.
    pub(crate) key: Key,
    pub(crate) data: Option<Box<Data>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) comment: Option<Box<str>>,
    pub(crate) moment: Moment,
}

/// What is so just now, and no part of which element it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment(Option<Box<Measured>>);

#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    expires: Option<Duration>,
    counter: Option<Counter>,
}

impl Moment {
    pub(crate) fn new(expires: Option<Duration>, counter: Option<Counter>) -> Self {
        let is_any = expires.is_some() || counter.is_some();
        Self(is_any.then(|| Box::new(Measured { expires, counter })))
    }

    pub(crate) fn expires(&self) -> Option<Duration> {
        self.0.as_ref()?.expires
    }

    fn counter(&self) -> Option<Counter> {
        self.0.as_ref()?.counter
    }
}

impl PartialEq for Moment {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Element {
    /// One with this key.
    pub fn new(key: impl Into<Self>) -> Self {
        key.into()
    }

    /// One for all keys that are not in the set. Since Linux 5.13.
    #[doc(alias("catch-all", "NFT_SET_ELEM_CATCHALL"))]
    pub fn rest() -> Self {
        Self::of_key(Key::Rest)
    }

    /// Of a map: what the key stands for.
    pub fn value(mut self, value: impl Into<Datum>) -> Self {
        self.data = Some(Data::Values(vec![value.into()]).into());
        self
    }

    /// Of a map: the concatenation that the key stands for.
    pub fn values(mut self, values: impl IntoIterator<Item = Datum>) -> Self {
        self.data = Some(Data::Values(values.into_iter().collect()).into());
        self
    }

    /// Of a verdict map: what becomes of the packet.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.data = Some(Data::Verdict(verdict).into());
        self
    }

    /// Of a map to objects: the object of this name. [`Map::objects`](crate::nft::Map::objects).
    #[doc(alias = "NFTA_SET_ELEM_OBJREF")]
    pub fn object(mut self, name: impl Into<String>) -> Self {
        self.data = Some(Data::Object(name.into()).into());
        self
    }

    /// Gone after so long; only in a set with timeouts. Default: what the set says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gone after so long this time; once a rule updates it, its timeout holds. Default: its timeout.
    #[doc(alias = "NFTA_SET_ELEM_EXPIRATION")]
    pub fn expires(mut self, after: Duration) -> Self {
        self.moment = Moment::new(Some(after), self.moment.counter());
        self
    }

    /// A comment, 127 bytes at most.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into().into());
        self
    }

    /// What the key consists of; empty for [`rest`](Self::rest).
    pub fn key(&self) -> &[Span] {
        self.key.spans()
    }

    /// What the key stands for, in a map.
    pub fn data(&self) -> &[Datum] {
        match self.data.as_deref() {
            Some(Data::Values(values)) => values,
            _ => &[],
        }
    }

    /// What becomes of the packet, in a verdict map.
    pub fn verdict_of(&self) -> Option<&Verdict> {
        match self.data.as_deref() {
            Some(Data::Verdict(verdict)) => Some(verdict),
            _ => None,
        }
    }

    /// The object that the key stands for, in a map to objects.
    pub fn object_of(&self) -> Option<&str> {
        match self.data.as_deref() {
            Some(Data::Object(name)) => Some(name),
            _ => None,
        }
    }

    /// Of one that was read: how long it stays from then on. Elements that differ in this alone are equal.
    pub fn expires_in(&self) -> Option<Duration> {
        self.moment.expires()
    }

    /// Of one that was read: what its own counter has counted, as
    /// [`counter_each`](crate::nft::Rule::counter_each) gives it one. Elements that differ in this alone are equal.
    pub fn counter(&self) -> Option<Counter> {
        self.moment.counter()
    }

    /// Its comment, if it has one.
    pub fn comment_of(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    pub(crate) fn of_key(key: Key) -> Self {
        Self { key, data: None, timeout: None, comment: None, moment: Moment::default() }
    }
}

impl<T: Into<Span>> From<T> for Element {
    fn from(key: T) -> Self {
        Self::of_key(Key::One(key.into()))
    }
}

impl<A: Into<Span>, B: Into<Span>> From<(A, B)> for Element {
    fn from((a, b): (A, B)) -> Self {
        Self::of_key(Key::Many(vec![a.into(), b.into()]))
    }
}

impl<A: Into<Span>, B: Into<Span>, C: Into<Span>> From<(A, B, C)> for Element {
    fn from((a, b, c): (A, B, C)) -> Self {
        Self::of_key(Key::Many(vec![a.into(), b.into(), c.into()]))
    }
}

/// In the words of `nft`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key == Key::Rest {
            f.write_str("*")?;
        }
        join(f, self.key.spans(), " . ")?;
        match self.data.as_deref() {
            Some(Data::Values(values)) => {
                f.write_str(" : ")?;
                join(f, values, " . ")
            }
            Some(Data::Verdict(verdict)) => write!(f, " : {verdict}"),
            Some(Data::Object(name)) => write!(f, " : \"{name}\""),
            None => Ok(()),
        }
    }
}

pub(crate) fn join(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = impl fmt::Display>,
    between: &str,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        let before = if at == 0 { "" } else { between };
        write!(f, "{before}{item}")?;
    }
    Ok(())
}
