//! Named objects: counters, quotas and limits that rules of a table share.

use std::fmt;

use super::display::Bytes;
use super::name;
use super::statements::limit::Limit;
use super::statements::synproxy::Synproxy;
use crate::counter::Counter;
use crate::error::Error;
use crate::wire::nft::expr::counter::Counter as WireCounter;
use crate::wire::nft::expr::quota::{Quota, QuotaFlags};
use crate::wire::nft::object as wire;
use crate::wire::nft::object::ObjectData;
pub use crate::wire::nft::object::ObjectKind;
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
    data: ObjectData,
    comment: Option<String>,
}

const ACTION: &str = "create object";

impl Object {
    fn new(name: impl Into<String>, data: ObjectData) -> Self {
        Self { name: name.into(), data, comment: None }
    }

    /// Returns a counter of packets and bytes, for
    /// [`Rule::named_counter`](crate::nft::Rule::named_counter).
    #[doc(alias("nft add counter", "NFT_OBJECT_COUNTER"))]
    pub fn counter(name: impl Into<String>) -> Self {
        Self::new(name, ObjectData::Counter(WireCounter::default()))
    }

    /// Returns a quota for [`Rule::named_quota`](crate::nft::Rule::named_quota): rules match until
    /// this number of bytes has passed. With [`over`](Self::over), rules match from then on.
    #[doc(alias("nft add quota", "NFT_OBJECT_QUOTA"))]
    pub fn quota(name: impl Into<String>, bytes: u64) -> Self {
        Self::new(name, ObjectData::Quota(Quota { bytes, ..Quota::default() }))
    }

    /// Returns a rate limit for [`Rule::named_limit`](crate::nft::Rule::named_limit).
    #[doc(alias("nft add limit", "NFT_OBJECT_LIMIT"))]
    pub fn limit(name: impl Into<String>, limit: Limit) -> Self {
        Self::new(name, ObjectData::Limit(limit.0))
    }

    /// Returns a TCP proxy for [`Rule::named_synproxy`](crate::nft::Rule::named_synproxy). Since
    /// Linux 5.4.
    #[doc(alias("nft add synproxy", "NFT_OBJECT_SYNPROXY"))]
    pub fn synproxy(name: impl Into<String>, offer: Synproxy) -> Self {
        Self::new(name, ObjectData::Synproxy(offer.0))
    }

    /// Inverts a quota or limit: rules match above it instead of below.
    pub fn over(mut self) -> Self {
        match &mut self.data {
            ObjectData::Quota(quota) => quota.flags |= QuotaFlags::INVERTED,
            ObjectData::Connlimit(limit) => limit.inverted = true,
            ObjectData::Limit(limit) => limit.inverted = true,
            ObjectData::Counter(_) | ObjectData::Synproxy(_) | ObjectData::Other(_) => {}
        }
        self
    }

    /// Sets a comment of at most 127 bytes.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind.
    pub fn kind(&self) -> ObjectKind {
        match self.data {
            // `from_wire` decodes no object with other data.
            ObjectData::Counter(_) | ObjectData::Other(_) => ObjectKind::Counter,
            ObjectData::Quota(_) => ObjectKind::Quota,
            ObjectData::Limit(_) => ObjectKind::Limit,
            ObjectData::Connlimit(_) => ObjectKind::Connections,
            ObjectData::Synproxy(_) => ObjectKind::Synproxy,
        }
    }

    /// Returns the counts of an object that was read. For a quota, `bytes` are the used bytes.
    pub fn counted(&self) -> Counter {
        match self.data {
            ObjectData::Counter(counter) => Counter::new(counter.packets, counter.bytes),
            ObjectData::Quota(quota) => Counter::new(0, quota.consumed),
            _ => Counter::default(),
        }
    }

    fn check(&self) -> Result<(), String> {
        name::check(&self.name)?;
        self.comment.as_deref().map_or(Ok(()), name::check_comment)?;
        match self.data {
            ObjectData::Quota(Quota { bytes: 0, .. }) => Err("a quota of 0 bytes".into()),
            ObjectData::Limit(limit) => Limit(limit).check_values(),
            ObjectData::Synproxy(offer) => Synproxy(offer).check_values(),
            _ => Ok(()),
        }
    }

    pub(crate) fn message(&self, table: &str) -> Result<wire::Object, Error> {
        self.check().map_err(|reason| Error::invalid(ACTION, self, reason))?;
        Ok(wire::Object {
            userdata: self.comment.as_deref().and_then(UserData::comment),
            data: Some(match &self.data {
                ObjectData::Counter(_) => ObjectData::Counter(WireCounter::default()),
                ObjectData::Quota(quota) => ObjectData::Quota(Quota { consumed: 0, ..*quota }),
                data => data.clone(),
            }),
            ..wire::Object::by_name(table, self.kind(), &self.name)
        })
    }

    /// Decodes a listed object. Returns `None` if the kind is unknown.
    pub(crate) fn from_wire(object: wire::Object) -> Option<Self> {
        let data = match object.data? {
            ObjectData::Other(_) => return None,
            ObjectData::Quota(quota) => {
                let flags = quota.flags - QuotaFlags::DEPLETED;
                ObjectData::Quota(Quota { flags, ..quota })
            }
            data => data,
        };
        let comment = object.userdata.as_ref().and_then(UserData::as_comment).map(str::to_owned);
        Some(Self { name: object.name?, data, comment })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name)?;
        match self.data {
            ObjectData::Quota(quota) => write!(f, " of {}", Bytes(quota.bytes)),
            _ => Ok(()),
        }
    }
}
