//! Named objects: counters, quotas and limits that rules of a table share.

use std::fmt;

use super::display::Bytes;
use super::name;
use super::object_kind::ObjectKind;
use super::statements::limit::Limit;
use super::statements::synproxy::Synproxy;
use crate::counter::Counter;
use crate::error::Error;
use crate::wire::nft::expr::connlimit::Connlimit;
use crate::wire::nft::expr::counter::Counter as WireCounter;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::object as wire;
use crate::wire::nft::object::ObjectData;
use crate::wire::nft::userdata::UserData;

/// A named object that rules of its table share: a counter, a quota, a limit.
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

    /// Returns a counter of packets and bytes: [`Rule::named_counter`](crate::nft::Rule::named_counter).
    #[doc(alias("nft add counter", "NFT_OBJECT_COUNTER"))]
    pub fn counter(name: impl Into<String>) -> Self {
        Self::new(name, What::Counter { counted: Counter::default() })
    }

    /// Returns a quota: its rules match until so many bytes have passed, or from then on with
    /// [`over`](Self::over). [`Rule::named_quota`](crate::nft::Rule::named_quota).
    #[doc(alias("nft add quota", "NFT_OBJECT_QUOTA"))]
    pub fn quota(name: impl Into<String>, bytes: u64) -> Self {
        Self::new(name, What::Quota { bytes, used: 0, over: false })
    }

    /// Returns a rate limit: [`Rule::named_limit`](crate::nft::Rule::named_limit).
    #[doc(alias("nft add limit", "NFT_OBJECT_LIMIT"))]
    pub fn limit(name: impl Into<String>, limit: Limit) -> Self {
        Self::new(name, What::Limit(limit))
    }

    /// Returns a TCP proxy: [`Rule::named_synproxy`](crate::nft::Rule::named_synproxy). Since Linux 5.4.
    #[doc(alias("nft add synproxy", "NFT_OBJECT_SYNPROXY"))]
    pub fn synproxy(name: impl Into<String>, offer: Synproxy) -> Self {
        Self::new(name, What::Synproxy(offer))
    }

    /// Inverts a quota or limit: its rules match above it, not below.
    pub fn over(mut self) -> Self {
        match &mut self.what {
            What::Quota { over, .. } | What::Connections { over, .. } => *over = true,
            What::Limit(limit) => *limit = limit.over(),
            What::Counter { .. } | What::Synproxy(_) => {}
        }
        self
    }

    /// Sets a comment, 127 bytes at most.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind.
    pub fn kind(&self) -> ObjectKind {
        match self.what {
            What::Counter { .. } => ObjectKind::Counter,
            What::Quota { .. } => ObjectKind::Quota,
            What::Limit(_) => ObjectKind::Limit,
            What::Connections { .. } => ObjectKind::Connections,
            What::Synproxy(_) => ObjectKind::Synproxy,
        }
    }

    /// The counts of an object that was read; of a quota the used bytes.
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
            What::Quota { bytes: 0, .. } => return Err(refused("a quota of 0 bytes".into())),
            What::Quota { bytes, over, .. } => {
                let flags = if over { QuotaFlags::INVERTED } else { QuotaFlags::empty() };
                ObjectData::Quota(Quota { bytes, consumed: 0, flags })
            }
            What::Limit(limit) => {
                limit.check_values().map_err(refused)?;
                ObjectData::Limit(limit.0)
            }
            What::Synproxy(offer) => {
                offer.check_values().map_err(refused)?;
                ObjectData::Synproxy(offer.0)
            }
            What::Connections { count, over } => {
                ObjectData::Connlimit(Connlimit { count, inverted: over })
            }
        });
        Ok(object)
    }

    /// Decodes an object that the kernel lists; `None` for an unknown kind.
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
            ObjectData::Limit(limit) => What::Limit(Limit(*limit)),
            ObjectData::Connlimit(Connlimit { count, inverted }) => {
                What::Connections { count: *count, over: *inverted }
            }
            ObjectData::Synproxy(offer) => What::Synproxy(Synproxy(*offer)),
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
