//! Changes of sets by rules: `add @SET { ip saddr limit rate 3/minute }`.

use crate::nft::model::prelude::*;
use std::time::Duration;

use crate::nft::model::encoder::slots;
use crate::nft::model::statements::limit::Limit;
use crate::wire::nft::expr::connlimit::Connlimit;
use crate::wire::nft::expr::counter::Counter;
use crate::wire::nft::expr::dynset::{Dynset, DynsetOp, ElementExpressions};
use crate::wire::nft::expr::stateful::Stateful;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetUpdate {
    op: DynsetOp,
    key: Vec<Field>,
    set: String,
    /// The data for the key, if the set is a map.
    data: Vec<Field>,
    /// The timeout of the element, if it differs from the set's.
    timeout: Option<Duration>,
    /// The stateful expression that each element gets, such as a counter.
    each: Option<Stateful>,
}

impl Rule {
    /// Adds these fields as an element to a [dynamic](crate::nft::Set::dynamic) set: `add @SET { …
    /// }`. Matches unless the set is full.
    ///
    /// ```
    /// use netloom::nft::{Chain, Family, Field, Hook, Limit, Priority, Rule, Set, Table, Type};
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// // At most three new connections a minute for each client.
    /// let slowly = Limit::packets(3).per_minute().over();
    /// let ssh = Rule::new().tcp().dport(22).limit_each([Field::Ip4Source], "clients", slowly).drop();
    /// let clients = Set::new("clients", Type::Ipv4).dynamic().size(65_536);
    /// let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).rule(ssh);
    /// let table = Table::new(Family::Inet, "filter").set(clients).chain(input).create(&netns)?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    #[doc(alias = "NFT_DYNSET_OP_ADD")]
    pub fn add_to_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.update("add_to_set", DynsetOp::Add, fields, set, None)
    }

    /// Adds these fields as an element to a set, or restarts the timeout of the existing element:
    /// `update @SET { … }`.
    #[doc(alias = "NFT_DYNSET_OP_UPDATE")]
    pub fn update_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.update("update_set", DynsetOp::Update, fields, set, None)
    }

    /// Deletes the element with these fields from a set: `delete @SET { … }`.
    #[doc(alias = "NFT_DYNSET_OP_DELETE")]
    pub fn delete_from_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.update("delete_from_set", DynsetOp::Delete, fields, set, None)
    }

    /// Sets the data that a dynamic map has for these fields: `update @MAP { … : … }`.
    ///
    /// ```
    /// use netloom::nft::{Field, Rule};
    ///
    /// // The port that a client last used.
    /// let rule = Rule::new().tcp().update_map([Field::Ip4Source], "ports", [Field::SourcePort]);
    /// assert!(rule.to_string().ends_with("update @ports { ip saddr : th sport }"));
    /// ```
    pub fn update_map(
        self,
        fields: impl IntoIterator<Item = Field>,
        map: &str,
        data: impl IntoIterator<Item = Field>,
    ) -> Self {
        const SETTER: &str = "update_map";
        let data: Vec<_> = data.into_iter().collect();
        let mut rule = self.update(SETTER, DynsetOp::Update, fields, map, None);
        if data.is_empty() {
            rule.rejected.reject(SETTER, map, "the data has no fields");
        }
        if let Some(update) = rule.last_mut::<SetUpdate>() {
            update.data = data;
        }
        rule
    }

    /// Sets the timeout of the element that the preceding call adds or updates: `update @SET { …
    /// timeout 1m }`. The set must have [timeouts](crate::nft::Set::timeout). The kernel counts in
    /// ticks, of 4 ms on most machines. Default: the timeout of the set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let is_whole = timeout.as_millis() > 0 && timeout.subsec_nanos().is_multiple_of(1_000_000);
        let reason = match self.last_mut::<SetUpdate>() {
            _ if !is_whole => "a timeout is a whole number of milliseconds, at least 1",
            Some(update) if update.op != DynsetOp::Delete => {
                update.timeout = Some(timeout);
                return self;
            }
            _ => "the preceding call adds no element to a set",
        };
        self.rejected.reject("timeout", format!("{timeout:?}"), reason);
        self
    }

    /// Counts packets separately for each value of these fields: `add @SET { … counter }`.
    #[doc(alias = "meter")]
    pub fn counter_each(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.update("counter_each", DynsetOp::Add, fields, set, Some(Counter::default().into()))
    }

    /// Limits the rate separately for each value of these fields: `update @SET { … limit rate … }`.
    #[doc(alias("meter", "hashlimit"))]
    pub fn limit_each(
        self,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        limit: Limit,
    ) -> Self {
        self.update("limit_each", DynsetOp::Update, fields, set, Some(limit.0.into()))
    }

    /// Matches while more than this number of connections exist with the same value of these
    /// fields: `add @SET { … ct count over COUNT }`.
    #[doc(alias = "connlimit-mask")]
    pub fn connections_over_each(
        self,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        count: u32,
    ) -> Self {
        let each = Connlimit { count, inverted: true };
        self.update("connections_over_each", DynsetOp::Add, fields, set, Some(each.into()))
    }

    fn update(
        mut self,
        setter: &'static str,
        op: DynsetOp,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        each: Option<Stateful>,
    ) -> Self {
        let MapLookup { key, .. } = self.named(setter, fields, set);
        let (set, data) = (set.to_owned(), Vec::new());
        self.with(SetUpdate { op, key, set, data, timeout: None, each })
    }
}

impl Statement for SetUpdate {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        let key = encoder.load(&self.key)?;
        let data = match self.data.as_slice() {
            [] => None,
            // The data is loaded from the next whole register on.
            data => {
                let key: u32 = self.key.iter().copied().map(slots).sum();
                Some(encoder.load_from(key.next_multiple_of(4), data)?)
            }
        };
        let types: Vec<_> = self.data.iter().map(|field| field.value_type()).collect();
        let kind = (!types.is_empty()).then_some(DataKind::Values(types));
        encoder.names(&self.set, &self.key, kind);
        let timeout = self.timeout.unwrap_or_default();
        let each = ElementExpressions::from(Vec::from_iter(self.each.clone()));
        encoder.push(Dynset { data, timeout, each, ..Dynset::new(self.op, &self.set, key) });
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Dynset(dynset) = expr else { return None };
        let each = match dynset.each.expressions.as_slice() {
            [] => None,
            [one @ (Stateful::Counter(_) | Stateful::Limit(_) | Stateful::Connlimit(_))] => {
                Some(one.clone().without_counts())
            }
            _ => return None,
        };
        let (key, data) = match dynset.data {
            None => (reader.key()?, Vec::new()),
            Some(register) => reader.key_and_data(register)?,
        };
        let timeout = Some(dynset.timeout).filter(|timeout| !timeout.is_zero());
        let (op, set) = (dynset.op, dynset.set.clone());
        Some(Self { op, key, set, data, timeout, each })
    }

    fn check(&self, _: Context) -> Result<(), String> {
        match self.each {
            Some(Stateful::Limit(limit)) => Limit(limit).check_values(),
            _ => Ok(()),
        }
    }

    fn fields(&self) -> [&[Field]; 2] {
        [&self.key, &self.data]
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.op {
            DynsetOp::Add => "add",
            DynsetOp::Update => "update",
            DynsetOp::Delete => "delete",
        };
        write!(f, "{word} @{} {{ ", self.set)?;
        join(f, &self.key, " . ")?;
        if let Some(timeout) = self.timeout {
            write!(f, " timeout {}", Time(timeout))?;
        }
        match &self.each {
            None => {}
            Some(Stateful::Limit(limit)) => write!(f, " {}", Limit(*limit))?,
            Some(Stateful::Connlimit(limit)) => write!(f, " {}", limit as &dyn Statement)?,
            Some(_) => f.write_str(" counter")?,
        }
        if !self.data.is_empty() {
            f.write_str(" : ")?;
            join(f, &self.data, " . ")?;
        }
        f.write_str(" }")
    }
}

/// Formats a time in the units of `nft`: `1h30m`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        for (unit, name) in
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]
        {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}
