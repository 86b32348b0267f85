//! The builders of sets and maps.

use std::fmt;
use std::time::Duration;

use super::element::Element;
use super::interval::{DataKind, Shape};
use super::name;
use super::object::ObjectKind;
use super::set_message::{set_message, shape_of};
use super::types::Type;
use crate::error::Error;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::stateful::Stateful;
use crate::wire::nft::set as wire;
use crate::wire::nft::set::{Milliseconds, SetFlags, SetPolicy};
use crate::wire::nft::userdata::UserData;

/// The type of a key or of data, or the types of a concatenation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Types(Vec<Type>);

impl From<Type> for Types {
    fn from(one: Type) -> Self {
        Self(vec![one])
    }
}

impl<const N: usize> From<[Type; N]> for Types {
    fn from(many: [Type; N]) -> Self {
        Self(many.to_vec())
    }
}

impl From<Vec<Type>> for Types {
    fn from(many: Vec<Type>) -> Self {
        Self(many)
    }
}

/// The settings of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    size: Option<u32>,
    timeout: Option<Duration>,
    /// The flags `dynamic` (rules may change the set) and `constant` (nothing may).
    flags: SetFlags,
    auto_merge: bool,
    policy: Option<SetPolicy>,
    gc_interval: Option<Duration>,
    /// The statements that each element has, such as a counter.
    statements: Vec<Stateful>,
    comment: Option<String>,
    pub(crate) elements: Vec<Element>,
}

/// The builder of a set of keys. A look-up costs the same, however many keys the set has.
///
/// Replaces `nft add set FAMILY TABLE NAME { type ipv4_addr; flags interval; }`.
///
/// ```
/// use netloom::nft::{Family, Set, Table, Type};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let table = Table::new(Family::Inet, "filter").create(&netns)?;
/// let blocked = Set::new("blocked", Type::Ipv4).interval().size(1000).create(&table)?;
/// blocked.add(["192.0.2.0/24", "198.51.100.7"])?;
/// assert!(blocked.contains("192.0.2.9")?);
/// blocked.remove(["198.51.100.7"])?;
/// assert_eq!(blocked.elements()?, ["192.0.2.0/24".into()]);
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Set(pub(crate) Spec);

/// The builder of a map: data or a verdict for each key.
///
/// Replaces `nft add map FAMILY TABLE NAME { type inet_service : verdict; }`.
///
/// ```
/// use netloom::nft::{Chain, Element, Family, Field, Map, Rule, Table, Type, Verdict};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let table = Table::new(Family::Inet, "filter").create(&netns)?;
/// let ports = Map::verdicts("ports", Type::Port)
///     .element(Element::new(80_u16).verdict(Verdict::Accept))
///     .create(&table)?;
/// let chain = Chain::new("by-port")
///     .rule(Rule::new().tcp().verdict_map([Field::DestinationPort], "ports"))
///     .create(&table)?;
/// ports.add([Element::new(22_u16).verdict(Verdict::Drop)])?;
/// # Ok::<(), netloom::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Map(pub(crate) Spec);

pub(crate) const ACTION: &str = "create set";

const BAD_GC_INTERVAL: &str = "a gc-interval is 1 ms to 49 days";

impl Set {
    /// Creates a builder with a key type, or the types of a concatenation.
    #[doc(alias = "nft add set")]
    pub fn new(name: impl Into<String>, key: impl Into<Types>) -> Self {
        Self(Spec::new(name.into(), key.into(), None))
    }
}

impl Map {
    /// Creates a builder of a map to values.
    #[doc(alias = "nft add map")]
    pub fn new(name: impl Into<String>, key: impl Into<Types>, data: impl Into<Types>) -> Self {
        Self(Spec::new(name.into(), key.into(), Some(DataKind::Values(data.into().0))))
    }

    /// Creates a builder of a map to named objects, for
    /// [`Rule::object_map`](crate::nft::Rule::object_map).
    ///
    /// ```
    /// use netloom::nft::{Chain, Element, Family, Field, Map, Object, ObjectKind, Rule, Table, Type};
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// let by_port = Rule::new().tcp().object_map(ObjectKind::Counter, [Field::DestinationPort], "ports");
    /// let table = Table::new(Family::Inet, "accounting")
    ///     .object(Object::counter("web"))
    ///     .map(
    ///         Map::objects("ports", Type::Port, ObjectKind::Counter)
    ///             .element(Element::new(80).object("web"))
    ///             .element(Element::new(443).object("web")),
    ///     )
    ///     .chain(Chain::new("count").rule(by_port))
    ///     .create(&netns)?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    #[doc(alias = "NFT_SET_OBJECT")]
    pub fn objects(name: impl Into<String>, key: impl Into<Types>, kind: ObjectKind) -> Self {
        Self(Spec::new(name.into(), key.into(), Some(DataKind::Object(kind))))
    }

    /// Creates a builder of a verdict map.
    #[doc(alias = "vmap")]
    pub fn verdicts(name: impl Into<String>, key: impl Into<Types>) -> Self {
        Self(Spec::new(name.into(), key.into(), Some(DataKind::Verdict)))
    }
}

macro_rules! setters {
    ($name:ident) => {
        impl $name {
            /// Allows networks and ranges as keys, which must not overlap. Default: single values.
            #[doc(alias = "flags interval")]
            pub fn interval(mut self) -> Self {
                self.0.shape.interval = true;
                self
            }

            /// Sets the maximum number of elements. If the size is given, the kernel need not grow
            /// the set: 100,000 elements are added twice as fast. Default: no limit. Kernels before
            /// about 6.13 count both ends of an interval.
            pub fn size(mut self, size: u32) -> Self {
                self.0.size = Some(size);
                self
            }

            /// Sets the timeout of elements without a timeout of their own. Default: elements do
            /// not expire.
            #[doc(alias = "flags timeout")]
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.0.timeout = Some(timeout);
                self.0.shape.timeout = true;
                self
            }

            /// Allows rules to change the set, for example by
            /// [`add_to_set`](crate::nft::Rule::add_to_set). Give the set a size. Default: only
            /// programs may change the set.
            #[doc(alias = "flags dynamic")]
            pub fn dynamic(mut self) -> Self {
                self.0.flags |= SetFlags::EVAL;
                self
            }

            /// Forbids changes once a rule uses the set. Default: programs may change the set.
            #[doc(alias = "flags constant")]
            pub fn constant(mut self) -> Self {
                self.0.flags |= SetFlags::CONSTANT;
                self
            }

            /// Makes `nft` merge overlapping and adjacent intervals when it adds elements. Default:
            /// `nft` refuses them. netloom refuses overlaps in either case.
            pub fn auto_merge(mut self) -> Self {
                self.0.auto_merge = true;
                self
            }

            /// Makes the kernel prefer low memory use to speed. Default: speed.
            #[doc(alias("policy memory", "NFT_SET_POL_MEMORY"))]
            pub fn save_memory(mut self) -> Self {
                self.0.policy = Some(SetPolicy::Memory);
                self
            }

            /// Sets how often the kernel deletes expired elements, in milliseconds. Default: one
            /// second.
            #[doc(alias = "gc-interval")]
            pub fn gc_interval(mut self, interval: Duration) -> Self {
                self.0.gc_interval = Some(interval);
                self
            }

            /// Gives each element a counter: [`Element::counter`]. Default: none.
            pub fn counter(mut self) -> Self {
                self.0.statements.push(Counter::default().into());
                self
            }

            /// Sets a comment of at most 127 bytes. Since Linux 5.10.
            pub fn comment(mut self, comment: impl Into<String>) -> Self {
                self.0.comment = Some(comment.into());
                self
            }

            /// Adds an element.
            pub fn element(mut self, element: impl Into<Element>) -> Self {
                self.0.elements.push(element.into());
                self
            }

            /// Adds elements.
            pub fn elements(
                mut self,
                elements: impl IntoIterator<Item = impl Into<Element>>,
            ) -> Self {
                self.0.elements.extend(elements.into_iter().map(Into::into));
                self
            }

            /// Returns the name.
            pub fn name(&self) -> &str {
                &self.0.name
            }
        }
    };
}

setters!(Set);
setters!(Map);

impl Spec {
    fn new(name: String, key: Types, data: Option<DataKind>) -> Self {
        let shape = Shape { key: key.0, data, ..Shape::default() };
        Self { name, shape, ..Self::default() }
    }

    pub(crate) fn message(&self, table: &str, id: u32) -> Result<wire::Set, Error> {
        let refused = |reason| Error::invalid(ACTION, self, reason);
        name::check(&self.name).map_err(refused)?;
        let mut set = set_message(table, &self.name, &self.shape, id).map_err(refused)?;
        set.desc.size = self.size;
        set.timeout = self.timeout;
        set.policy = self.policy;
        set.expressions.clone_from(&self.statements);
        if let Some(interval) = self.gc_interval {
            let interval = Milliseconds::new(interval).filter(|_| interval.as_millis() > 0);
            set.gc_interval = Some(interval.ok_or_else(|| refused(BAD_GC_INTERVAL.into()))?);
        }
        let flags = set.flags.get_or_insert_default();
        *flags |= self.flags;
        flags.set(SetFlags::EXPR, self.statements.len() > 1);
        if self.auto_merge {
            set.userdata = set.userdata.map(UserData::with_auto_merge);
        }
        if let Some(comment) = &self.comment {
            name::check_comment(comment).map_err(refused)?;
            set.userdata = set.userdata.and_then(|data| data.with_set_comment(comment));
        }
        Ok(set)
    }

    /// Decodes a listed set, without its elements.
    pub(crate) fn from_wire(set: &wire::Set) -> Self {
        let shape = shape_of(set);
        let comment = set.userdata.as_ref().and_then(UserData::as_set_comment);
        Self {
            name: set.name.clone().unwrap_or_default(),
            size: set.desc.size,
            timeout: set.timeout,
            flags: set.flags.unwrap_or_default() & (SetFlags::EVAL | SetFlags::CONSTANT),
            auto_merge: set.userdata.as_ref().is_some_and(UserData::is_auto_merge),
            // The kernel lists the default policy for some sets only.
            policy: set.policy.filter(|policy| *policy != SetPolicy::Performance),
            gc_interval: set.gc_interval.map(Milliseconds::as_duration).filter(|it| !it.is_zero()),
            statements: set.expressions.iter().cloned().map(Stateful::without_counts).collect(),
            comment: comment.map(str::to_owned),
            elements: Vec::new(),
            shape,
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}
