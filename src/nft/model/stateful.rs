//! The builder of rules: what keeps count as packets come.

use std::time::Duration;

use super::element::Element;
use super::field::Field;
use super::interval::DataKind;
use super::limit::Limit;
use super::name;
use super::object::ObjectKind;
use super::part::{Dynamic, Own, Part};
use super::rule::Rule;
use crate::wire::nft::expr::dynset::DynsetOp;

impl Rule {
    /// Goes on until so many bytes have passed: `quota`.
    #[doc(alias = "quota until")]
    pub fn quota(self, bytes: u64) -> Self {
        self.with(Part::Quota { bytes, over: false })
    }

    /// Goes on once so many bytes have passed: `quota over`.
    pub fn quota_over(self, bytes: u64) -> Self {
        self.with(Part::Quota { bytes, over: true })
    }

    /// Goes on while there are no more than so many connections: `ct count`.
    #[doc(alias = "connlimit-upto")]
    pub fn connections(self, count: u32) -> Self {
        self.with(Part::Connections { count, over: false })
    }

    /// Goes on while there are more than so many connections: `ct count over`.
    #[doc(alias = "connlimit-above")]
    pub fn connections_over(self, count: u32) -> Self {
        self.with(Part::Connections { count, over: true })
    }

    /// Has a counter of the table count: `counter name "NAME"`. [`Object::counter`](crate::nft::Object::counter).
    pub fn named_counter(self, name: &str) -> Self {
        self.object("named_counter", ObjectKind::Counter, name)
    }

    /// Goes on as a quota of the table says: `quota name "NAME"`. [`Object::quota`](crate::nft::Object::quota).
    pub fn named_quota(self, name: &str) -> Self {
        self.object("named_quota", ObjectKind::Quota, name)
    }

    /// Goes on as a limit of the table says: `limit name "NAME"`. [`Object::limit`](crate::nft::Object::limit).
    pub fn named_limit(self, name: &str) -> Self {
        self.object("named_limit", ObjectKind::Limit, name)
    }

    /// Answers for a server with what an object of the table says: `synproxy name "NAME"`.
    /// [`Object::synproxy`](crate::nft::Object::synproxy).
    pub fn named_synproxy(self, name: &str) -> Self {
        self.object("named_synproxy", ObjectKind::Synproxy, name)
    }

    /// Has the object that a map of the table has for these fields do its work: `counter name tcp dport map
    /// @MAP`. [`Map::objects`](crate::nft::Map::objects).
    #[doc(alias = "objref")]
    pub fn object_map(
        mut self,
        kind: ObjectKind,
        fields: impl IntoIterator<Item = Field>,
        map: &str,
    ) -> Self {
        let (fields, map) = self.named("object_map", fields, map);
        self.with(Part::ObjectMap { kind, fields, map })
    }

    /// As [`object_map`](Self::object_map), with the map written into the rule: `counter name tcp dport map
    /// { 80 : "web" }`.
    pub fn objects(
        mut self,
        kind: ObjectKind,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let objects = |_: &[Element]| Ok(DataKind::Object(kind));
        let (fields, map) = self.written("objects", fields, elements, objects);
        self.with(Part::ObjectMap { kind, fields, map })
    }

    fn object(mut self, setter: &'static str, kind: ObjectKind, name: &str) -> Self {
        if let Err(reason) = name::check(name) {
            self.rejected.reject(setter, name, reason);
        }
        self.with(Part::Object(kind, name.to_owned()))
    }

    /// Puts these of the packet's fields into a [dynamic](crate::nft::Set::dynamic) set: `add @SET { … }`. Goes
    /// on unless the set is full.
    ///
    /// ```
    /// use netloom::nft::{Chain, Family, Field, Hook, Limit, Priority, Rule, Set, Table, Type};
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let netns = Namespace::anonymous().create()?;
    /// // Three new connections a minute for each client.
    /// let slowly = Limit::packets(3).per_minute().over();
    /// let ssh = Rule::new().tcp().dport(22).limit_each([Field::Ip4Source], "clients", slowly).drop();
    /// let clients = Set::new("clients", Type::Ipv4).dynamic().size(65_536);
    /// let input = Chain::new("in").hook(Hook::Input, Priority::FILTER).rule(ssh);
    /// let table = Table::new(Family::Inet, "filter").set(clients).chain(input).create(&netns)?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    #[doc(alias = "NFT_DYNSET_OP_ADD")]
    pub fn add_to_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.dynamic("add_to_set", DynsetOp::Add, fields, set, None)
    }

    /// As [`add_to_set`](Self::add_to_set); where it is there, its timeout begins anew: `update @SET { … }`.
    #[doc(alias = "NFT_DYNSET_OP_UPDATE")]
    pub fn update_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.dynamic("update_set", DynsetOp::Update, fields, set, None)
    }

    /// Takes these of the packet's fields out of a set: `delete @SET { … }`.
    #[doc(alias = "NFT_DYNSET_OP_DELETE")]
    pub fn delete_from_set(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.dynamic("delete_from_set", DynsetOp::Delete, fields, set, None)
    }

    /// Puts into a dynamic map what these fields stand for, or puts it anew: `update @MAP { … : … }`.
    ///
    /// ```
    /// use netloom::nft::{Field, Rule};
    ///
    /// // Which port a client was last seen at.
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
        let mut rule = self.dynamic(SETTER, DynsetOp::Update, fields, map, None);
        if data.is_empty() {
            rule.rejected.reject(SETTER, map, "data of no fields");
        }
        if let Some(Part::Dynamic(dynamic)) = rule.parts.last_mut() {
            dynamic.data = data;
        }
        rule
    }

    /// What was put into a set right before goes after so long; the set is one with
    /// [timeouts](crate::nft::Set::timeout): `update @SET { … timeout 1m }`. The kernel counts in ticks, of 4 ms on
    /// most machines. Default: what the set says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let is_whole = timeout.as_millis() > 0 && timeout.subsec_nanos().is_multiple_of(1_000_000);
        match self.parts.last_mut() {
            _ if !is_whole => {
                let reason = "a timeout is one millisecond or more, and whole ones";
                self.rejected.reject("timeout", format!("{timeout:?}"), reason);
            }
            Some(Part::Dynamic(dynamic)) if dynamic.op != DynsetOp::Delete => {
                dynamic.timeout = Some(timeout);
            }
            _ => {
                let reason = "nothing was put into a set right before";
                self.rejected.reject("timeout", format!("{timeout:?}"), reason);
            }
        }
        self
    }

    /// Counts for each value of these fields: `add @SET { … counter }`.
    #[doc(alias = "meter")]
    pub fn counter_each(self, fields: impl IntoIterator<Item = Field>, set: &str) -> Self {
        self.dynamic("counter_each", DynsetOp::Add, fields, set, Some(Own::Counter))
    }

    /// A limit for each value of these fields: `update @SET { … limit rate … }`.
    #[doc(alias("meter", "hashlimit"))]
    pub fn limit_each(
        self,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        limit: Limit,
    ) -> Self {
        let own = Some(Own::Limit(limit.normal()));
        self.dynamic("limit_each", DynsetOp::Update, fields, set, own)
    }

    /// Goes on for each value of these fields that has more than so many connections: `add @SET { … ct count
    /// over COUNT }`.
    #[doc(alias = "connlimit-mask")]
    pub fn connections_over_each(
        self,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        count: u32,
    ) -> Self {
        let own = Some(Own::Connections { count, over: true });
        self.dynamic("connections_over_each", DynsetOp::Add, fields, set, own)
    }

    fn dynamic(
        mut self,
        setter: &'static str,
        op: DynsetOp,
        fields: impl IntoIterator<Item = Field>,
        set: &str,
        own: Option<Own>,
    ) -> Self {
        let (fields, _) = self.named(setter, fields, set);
        let (set, data) = (set.to_owned(), Vec::new());
        self.with(Part::Dynamic(Dynamic { op, fields, set, data, timeout: None, own }))
    }
}
