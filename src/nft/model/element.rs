//! Elements of sets and maps.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::constant::{Constant, Interval};
use crate::counter::Counter;
pub use crate::wire::nft::data::Verdict;

/// The key of an element, as intervals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    One(Interval),
    /// A concatenation, an interval for each field.
    Many(Vec<Interval>),
    /// All keys that no other element has: the catch-all element.
    Rest,
}

impl Key {
    pub(crate) fn intervals(&self) -> &[Interval] {
        match self {
            Self::One(interval) => std::slice::from_ref(interval),
            Self::Many(intervals) => intervals,
            Self::Rest => &[],
        }
    }
}

/// The data of a map element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Data {
    Values(Vec<Constant>),
    Verdict(Verdict),
    Object(String),
}

/// The builder of an element: a key, and in a map its data.
///
/// Keys are literals or values: `"10.0.0.1"`, `"10.0.0.0/24"`, `"80-90"`, an
/// [`Ipv4Addr`](std::net::Ipv4Addr), a port, a range. Pairs and triples are concatenations.
/// Replaces the part in braces of `nft add element TABLE SET { … }`.
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
    // All but the key is boxed: sets have many elements, and most have only a key.
    pub(crate) key: Key,
    pub(crate) data: Option<Box<Data>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) comment: Option<Box<str>>,
    pub(crate) moment: Moment,
}

/// The state of an element when it was read: expiration and counter. Comparisons ignore it.
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
    /// Creates a builder with this key.
    pub fn new(key: impl Into<Self>) -> Self {
        key.into()
    }

    /// Creates the catch-all element, for keys that no other element has. Since Linux 5.13.
    #[doc(alias("catch-all", "NFT_SET_ELEM_CATCHALL"))]
    pub fn rest() -> Self {
        Self::of_key(Key::Rest)
    }

    /// Sets the data of a map element.
    pub fn value(mut self, value: impl Into<Constant>) -> Self {
        self.data = Some(Data::Values(vec![value.into()]).into());
        self
    }

    /// Sets the data of a map element to a concatenation.
    pub fn values(mut self, values: impl IntoIterator<Item = Constant>) -> Self {
        self.data = Some(Data::Values(values.into_iter().collect()).into());
        self
    }

    /// Sets the verdict of a verdict map element.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.data = Some(Data::Verdict(verdict).into());
        self
    }

    /// Sets the object, by name, of an element of [`Map::objects`](crate::nft::Map::objects).
    #[doc(alias = "NFTA_SET_ELEM_OBJREF")]
    pub fn object(mut self, name: impl Into<String>) -> Self {
        self.data = Some(Data::Object(name.into()).into());
        self
    }

    /// Sets the timeout. The set must have timeouts. Default: the timeout of the set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the time until the element expires for the first time. If a rule updates the element,
    /// its timeout starts again. Default: the timeout.
    #[doc(alias = "NFTA_SET_ELEM_EXPIRATION")]
    pub fn expires(mut self, after: Duration) -> Self {
        self.moment = Moment::new(Some(after), self.moment.counter());
        self
    }

    /// Sets a comment of at most 127 bytes.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into().into());
        self
    }

    /// Returns the key, an interval for each field. The key of [`rest`](Self::rest) is empty.
    pub fn key(&self) -> &[Interval] {
        self.key.intervals()
    }

    /// Returns the data of a map element.
    pub fn data(&self) -> &[Constant] {
        match self.data.as_deref() {
            Some(Data::Values(values)) => values,
            _ => &[],
        }
    }

    /// Returns the verdict of a verdict map element.
    pub fn verdict_of(&self) -> Option<&Verdict> {
        match self.data.as_deref() {
            Some(Data::Verdict(verdict)) => Some(verdict),
            _ => None,
        }
    }

    /// Returns the name of the object, if the map refers to objects.
    pub fn object_of(&self) -> Option<&str> {
        match self.data.as_deref() {
            Some(Data::Object(name)) => Some(name),
            _ => None,
        }
    }

    /// Returns the time from when the element was read until it expires. Comparisons ignore it.
    pub fn expires_in(&self) -> Option<Duration> {
        self.moment.expires()
    }

    /// Returns the counter of the element when it was read. Comparisons ignore it.
    ///
    /// [`counter_each`](crate::nft::Rule::counter_each) adds elements with a counter.
    pub fn counter(&self) -> Option<Counter> {
        self.moment.counter()
    }

    /// Returns the comment.
    pub fn comment_of(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    pub(crate) fn of_key(key: Key) -> Self {
        Self { key, data: None, timeout: None, comment: None, moment: Moment::default() }
    }
}

impl<T: Into<Interval>> From<T> for Element {
    fn from(key: T) -> Self {
        Self::of_key(Key::One(key.into()))
    }
}

impl<A: Into<Interval>, B: Into<Interval>> From<(A, B)> for Element {
    fn from((a, b): (A, B)) -> Self {
        Self::of_key(Key::Many(vec![a.into(), b.into()]))
    }
}

impl<A: Into<Interval>, B: Into<Interval>, C: Into<Interval>> From<(A, B, C)> for Element {
    fn from((a, b, c): (A, B, C)) -> Self {
        Self::of_key(Key::Many(vec![a.into(), b.into(), c.into()]))
    }
}

/// Formats the element as `nft` does.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key == Key::Rest {
            f.write_str("*")?;
        }
        join(f, self.key.intervals(), " . ")?;
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
