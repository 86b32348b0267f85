//! Named objects: counters, quotas and limits that rules of a table share.

use std::fmt;

use super::limit::Limit;
use super::name;
use super::part::Bytes;
use super::synproxy::Synproxy;
use crate::counter::Counter;
use crate::error::Error;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::connlimit::{Connlimit, ConnlimitFlags};
use crate::wire::nft::expr::counter::Counter as WireCounter;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::object as wire;
use crate::wire::nft::object::{ObjectData, ObjectType};
use crate::wire::nft::userdata::UserData;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// Counts packets and bytes.
    Counter,
    /// Lets so many bytes through, or what is over.
    Quota,
    /// Lets so many packets or bytes through in a time.
    Limit,
    /// Lets so many connections through.
    Connections,
    /// Answers for a server.
    Synproxy,
}

impl ObjectKind {
    pub(crate) fn wire(self) -> ObjectType {
        match self {
            Self::Counter => ObjectType::Counter,
            Self::Quota => ObjectType::Quota,
            Self::Limit => ObjectType::Limit,
            Self::Connections => ObjectType::Connlimit,
            Self::Synproxy => ObjectType::Synproxy,
        }
    }

    pub(crate) fn from_wire(kind: ObjectType) -> Option<Self> {
        [Self::Counter, Self::Quota, Self::Limit, Self::Connections, Self::Synproxy]
            .into_iter()
            .find(|one| one.wire() == kind)
    }
}

/// In the words of `nft`.
impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Connections => "ct count",
            Self::Synproxy => "synproxy",
        })
    }
}

/// A named object to be, which rules of its table share: a counter, a quota, a limit.
///
/// Replaces `nft add counter FAMILY TABLE NAME` and the like.
///
/// ```
/// use netloom::nft::{Chain, Family, Hook, Object, ObjectKind, Priority, Rule, Table};
/// use netloom::Namespace;
/// # netloom::sandbox::enter()?;
///
/// let netns = Namespace::anonymous().create()?;
/// let web = |rule: Rule| rule.named_counter("web").named_quota("month").accept();
/// let table = Table::new(Family::Inet, "accounting")
///     .object(Object::counter("web"))
///     .object(Object::quota("month", 100 << 30))
///     .chain(
///         Chain::new("in")
///             .hook(Hook::Input, Priority::FILTER)
///             .rule(web(Rule::new().tcp().dport(80)))
///             .rule(web(Rule::new().tcp().dport(443))),
///     )
///     .create(&netns)?;
/// let counter = table.object(ObjectKind::Counter, "web")?;
/// assert_eq!(counter.read()?.counted().packets, 0);
/// counter.reset()?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Source: nft(8), "STATEFUL OBJECTS".
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct Object {
    name: String,
    what: What,
    comment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Counter { counted: Counter },
    Quota { bytes: u64, used: u64, over: bool },
    Limit(Limit),
    Connections { count: u32, over: bool },
    Synproxy(Synproxy),
}

const ACTION: &str = "create object";

impl Object {
    fn new(name: impl Into<String>, what: What) -> Self {
        Self { name: name.into(), what, comment: None }
    }

    /// Counts packets and bytes: [`Rule::named_counter`](crate::nft::Rule::named_counter).
    #[doc(alias("nft add counter", "NFT_OBJECT_COUNTER"))]
    pub fn counter(name: impl Into<String>) -> Self {
        Self::new(name, What::Counter { counted: Counter::default() })
    }

    /// So many bytes: rules with it go on until they are used up, or from then on with
    /// [`over`](Self::over). [`Rule::named_quota`](crate::nft::Rule::named_quota).
    #[doc(alias("nft add quota", "NFT_OBJECT_QUOTA"))]
    pub fn quota(name: impl Into<String>, bytes: u64) -> Self {
        Self::new(name, What::Quota { bytes, used: 0, over: false })
    }

    /// So many packets or bytes in a time: [`Rule::named_limit`](crate::nft::Rule::named_limit).
    #[doc(alias("nft add limit", "NFT_OBJECT_LIMIT"))]
    pub fn limit(name: impl Into<String>, limit: Limit) -> Self {
        Self::new(name, What::Limit(limit.normal()))
    }

    /// What clients are offered: [`Rule::named_synproxy`](crate::nft::Rule::named_synproxy). Since Linux 5.4.
    #[doc(alias("nft add synproxy", "NFT_OBJECT_SYNPROXY"))]
    pub fn synproxy(name: impl Into<String>, offer: Synproxy) -> Self {
        Self::new(name, What::Synproxy(offer))
    }

    /// A quota's rules go on with what is over it, not with what is under it.
    pub fn over(mut self) -> Self {
        match &mut self.what {
            What::Quota { over, .. } | What::Connections { over, .. } => *over = true,
            What::Limit(limit) => *limit = limit.over(),
            What::Counter { .. } | What::Synproxy(_) => {}
        }
        self
    }

    /// A comment, 127 bytes at most.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> ObjectKind {
        match self.what {
            What::Counter { .. } => ObjectKind::Counter,
            What::Quota { .. } => ObjectKind::Quota,
            What::Limit(_) => ObjectKind::Limit,
            What::Connections { .. } => ObjectKind::Connections,
            What::Synproxy(_) => ObjectKind::Synproxy,
        }
    }

    /// What it has counted when it was read: of a quota the bytes that are used.
    pub fn counted(&self) -> Counter {
        match self.what {
            What::Counter { counted } => counted,
            What::Quota { used, .. } => Counter::new(0, used),
            What::Limit(_) | What::Connections { .. } | What::Synproxy(_) => Counter::default(),
        }
    }

    pub(crate) fn message(&self, table: &str) -> Result<wire::Object, Error> {
        let refused = |reason: String| Error::invalid(ACTION, self, reason);
        name::check(&self.name).map_err(refused)?;
        let mut object = wire::Object::by_name(table, self.kind().wire(), &self.name);
        if let Some(comment) = &self.comment {
            name::check_comment(comment).map_err(refused)?;
            object.userdata = UserData::comment(comment);
        }
        object.data = Some(match self.what {
            What::Counter { .. } => ObjectData::Counter(WireCounter::default()),
            What::Quota { bytes: 0, .. } => return Err(refused("a quota of nothing".into())),
            What::Quota { bytes, over, .. } => {
                let flags = if over { QuotaFlags::INVERTED } else { QuotaFlags::empty() };
                ObjectData::Quota(Quota { bytes, consumed: 0, flags })
            }
            What::Limit(limit) => {
                limit.check().map_err(refused)?;
                ObjectData::Limit(limit.encode())
            }
            What::Synproxy(offer) => {
                offer.check().map_err(refused)?;
                ObjectData::Synproxy(offer.encode())
            }
            What::Connections { count, over } => {
                let flags = if over { ConnlimitFlags::INVERTED } else { ConnlimitFlags::empty() };
                ObjectData::Connlimit(Connlimit { count, flags })
            }
        });
        Ok(object)
    }

    /// As the kernel lists it; none of a kind that is not known here.
    pub(crate) fn from_wire(object: &wire::Object) -> Option<Self> {
        let what = match object.data.as_ref()? {
            ObjectData::Counter(counter) => {
                What::Counter { counted: Counter::new(counter.packets, counter.bytes) }
            }
            ObjectData::Quota(quota) => What::Quota {
                bytes: quota.bytes,
                used: quota.consumed,
                over: quota.flags.contains(QuotaFlags::INVERTED),
            },
            ObjectData::Limit(limit) => What::Limit(Limit::decode(*limit)),
            ObjectData::Connlimit(limit) => What::Connections {
                count: limit.count,
                over: limit.flags.contains(ConnlimitFlags::INVERTED),
            },
            ObjectData::Synproxy(offer) => What::Synproxy(Synproxy::decode(*offer)),
            ObjectData::Other(_) => return None,
        };
        let comment = object.userdata.as_ref().and_then(UserData::as_comment);
        Some(Self { name: object.name.clone()?, what, comment: comment.map(str::to_owned) })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name)?;
        match self.what {
            What::Quota { bytes, .. } => write!(f, " of {}", Bytes(bytes)),
            _ => Ok(()),
        }
    }
}

/// What the first counter among these has counted.
pub(crate) fn counted(expressions: &[Expr]) -> Option<Counter> {
    expressions.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(Counter::new(counter.packets, counter.bytes)),
        _ => None,
    })
}
