//! References from rules to named objects: `counter name "web"`, `counter name tcp dport map @MAP`.

use crate::nft::model::object::ObjectKind;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::objref::Objref;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectRef {
    kind: ObjectKind,
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    Map(MapLookup),
}

impl Rule {
    /// Counts with a named counter of the table: `counter name "NAME"`. See
    /// [`Object::counter`](crate::nft::Object::counter).
    pub fn named_counter(self, name: &str) -> Self {
        self.object("named_counter", ObjectKind::Counter, name)
    }

    /// Matches while a named quota of the table is not used up: `quota name "NAME"`. See
    /// [`Object::quota`](crate::nft::Object::quota).
    pub fn named_quota(self, name: &str) -> Self {
        self.object("named_quota", ObjectKind::Quota, name)
    }

    /// Matches while the rate is below a named limit of the table: `limit name "NAME"`. See
    /// [`Object::limit`](crate::nft::Object::limit).
    pub fn named_limit(self, name: &str) -> Self {
        self.object("named_limit", ObjectKind::Limit, name)
    }

    /// Answers TCP handshakes with the options of a named object of the table: `synproxy name
    /// "NAME"`. See [`Object::synproxy`](crate::nft::Object::synproxy).
    pub fn named_synproxy(self, name: &str) -> Self {
        self.object("named_synproxy", ObjectKind::Synproxy, name)
    }

    /// Uses the object that a map of the table has for these fields: `counter name tcp dport map
    /// @MAP`. See [`Map::objects`](crate::nft::Map::objects).
    #[doc(alias = "objref")]
    pub fn object_map(
        mut self,
        kind: ObjectKind,
        fields: impl IntoIterator<Item = Field>,
        map: &str,
    ) -> Self {
        let target = Target::Map(self.named("object_map", fields, map));
        self.with(ObjectRef { kind, target })
    }

    /// Uses the object that an anonymous map has for these fields: `counter name tcp dport map { 80
    /// : "web" }`.
    pub fn objects(
        mut self,
        kind: ObjectKind,
        fields: impl IntoIterator<Item = Field>,
        elements: impl IntoIterator<Item = Element>,
    ) -> Self {
        let elements = elements.into_iter().collect();
        let data = |_: &[_]| Ok(Some(DataKind::Object(kind)));
        let target = Target::Map(self.anonymous("objects", fields, elements, data));
        self.with(ObjectRef { kind, target })
    }

    fn object(mut self, setter: &'static str, kind: ObjectKind, name: &str) -> Self {
        self.check_name(setter, name);
        self.with(ObjectRef { kind, target: Target::Name(name.to_owned()) })
    }
}

impl Statement for ObjectRef {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        match &self.target {
            Target::Name(name) => {
                encoder.push(Objref::Named { kind: self.kind as u32, name: name.clone() });
            }
            Target::Map(MapLookup { key, map }) => {
                encoder.load(key)?;
                let lookup = encoder.lookup(key, map, Some(DataKind::Object(self.kind)))?;
                let Lookup { sreg, set: map, set_id: map_id, .. } = lookup;
                encoder.push(Objref::Map { sreg, map, map_id });
            }
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Objref(object) = expr else { return None };
        Some(match object {
            Objref::Named { kind, name } => {
                Self { kind: ObjectKind::from_number(*kind)?, target: Target::Name(name.clone()) }
            }
            Objref::Map { map, .. } => {
                let kind = reader.object_kind(map)?;
                Self { kind, target: Target::Map(reader.map(map)?) }
            }
        })
    }

    fn fields(&self) -> [&[Field]; 2] {
        match &self.target {
            Target::Name(_) => [&[], &[]],
            Target::Map(map) => [&map.key, &[]],
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Name(name) => write!(f, "{} name \"{name}\"", self.kind),
            Target::Map(map) => write!(f, "{} name {map}", self.kind),
        }
    }
}
