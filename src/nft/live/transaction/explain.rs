//! Explains refused operations better than the bare errno.

use nix::errno::Errno;

use super::Transaction;
use crate::error::{Cause, Error, Refusal};
use crate::netlink::Socket;
use crate::nft::live::generation::Step;
use crate::nft::live::reader::{self, Everything};
use crate::nft::model::reader::KnownSets;
use crate::nft::model::rule::Rule;
use crate::nft::model::statements::decode;
use crate::wire::attribute::{Attribute, Attributes, Writer};
use crate::wire::message::messages;
use crate::wire::nft::codec::{Codec, Field};
use crate::wire::nft::data::Data;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::flow_offload::FlowOffload;
use crate::wire::nft::expr::immediate::Immediate;
use crate::wire::nft::expr::objref::Objref;
use crate::wire::nft::flowtable::Flowtable;
use crate::wire::nft::message::{Family, Message, MessageType};
use crate::wire::nft::rule as wire_rule;
use crate::wire::nft::table::Table;

impl Transaction {
    /// Explains the refusal of the message at position `place` in the batch.
    pub(super) fn explain(
        &self,
        socket: &mut Socket,
        place: usize,
        refusal: Refusal,
        (action, object): Step<'_>,
    ) -> Error {
        let errno = refusal.errno;
        let sent = messages(self.batch.bytes()).nth(place);
        let Some(sent) = sent.and_then(|sent| Message::decode(sent.kind, sent.payload)) else {
            return usual(Cause::from(refusal).doing(action, object));
        };
        let is_rule = sent.kind == MessageType::NewRule;
        let rule = wire_rule::Rule::decode(sent.attributes).filter(|_| is_rule);
        let cause = Cause::from(refusal);
        match (errno, sent.kind, rule) {
            // The kernel hides a table that has another owner. A missing privilege refuses the
            // whole batch.
            (Errno::EPERM, kind, _) if is_owned(socket, sent) => match kind {
                MessageType::NewTable => Cause::from(Errno::EEXIST)
                    .doing(action, object)
                    .hint("another process holds a table of this name (flags owner)"),
                _ => cause
                    .doing(action, object)
                    .hint("another process holds the table (flags owner): nobody else can change it"),
            },
            (Errno::ENOENT, _, Some(rule)) => {
                self.explain_missing(socket, sent.family, &rule, cause, (action, object))
            }
            (Errno::EOPNOTSUPP, _, Some(rule)) if translates(&rule.expressions) => {
                cause.doing(action, object).hint(
                    "snat, dnat, masquerade and redirect need a base chain of the kind nat: sources \
                     change at postrouting and input, destinations at prerouting and output",
                )
            }
            (Errno::ENOENT | Errno::EOPNOTSUPP, MessageType::NewFlowtable, _)
                if self.has_devices(sent) =>
            {
                cause.lacking().doing(action, object).hint(
                    "this needs a kernel with CONFIG_NF_FLOW_TABLE, and CONFIG_NF_FLOW_TABLE_INET",
                )
            }
            _ => usual(cause.doing(action, object)),
        }
    }

    /// Explains ENOENT for a rule: an object that the rule refers to is missing, or the kernel
    /// lacks one of the rule's expressions.
    fn explain_missing(
        &self,
        socket: &mut Socket,
        family: Option<Family>,
        rule: &wire_rule::Rule,
        cause: Cause,
        (action, object): Step<'_>,
    ) -> Error {
        let shown = shown(family, rule);
        let chain = rule.chain.as_deref().unwrap_or_default();
        let own = Reference::new("chain", MessageType::GetChain, chain);
        let named = rule.expressions.iter().filter_map(Reference::of);
        for one in std::iter::once(own).chain(named) {
            let Reference { noun, name, .. } = &one;
            if !self.creates(&rule.table, name) && !one.exists(socket, family, &rule.table) {
                return cause.doing(action, object).hint(format!(
                    "table `{}` has no {noun} `{name}`, which rule `{shown}` of chain `{chain}` needs",
                    rule.table
                ));
            }
        }
        let mut options: Vec<_> = rule.expressions.iter().filter_map(option).collect();
        options.dedup();
        if options.is_empty() || rule.position.is_some() || rule.handle.is_some() {
            return usual(cause.doing(action, object));
        }
        let hint = format!("this needs a kernel with {}", options.join(", "));
        cause.lacking().doing(action, object).hint(hint)
    }

    /// Returns whether the batch creates an object of this name in the table.
    fn creates(&self, table: &str, name: &str) -> bool {
        messages(self.batch.bytes()).any(|sent| {
            let Some(sent) = Message::decode(sent.kind, sent.payload) else { return false };
            let at = match sent.kind {
                MessageType::NewChain => 3,
                MessageType::NewSet | MessageType::NewObject | MessageType::NewFlowtable => 2,
                _ => return false,
            };
            let text =
                |kind| sent.attributes.get(kind).map(crate::wire::attribute::Attribute::text);
            text(1).as_deref() == Some(table) && text(at).as_deref() == Some(name)
        })
    }

    fn has_devices(&self, sent: Message<'_>) -> bool {
        let hook = Flowtable::decode(sent.attributes).and_then(|flowtable| flowtable.hook);
        hook.is_some_and(|hook| hook.devices.0.iter().all(|name| self.netns.link(name).is_ok()))
    }
}

/// Returns whether the table, which a message names by its first attribute, has an owner.
fn is_owned(socket: &mut Socket, sent: Message<'_>) -> bool {
    let name = sent.attributes.get(1).map(Attribute::string).unwrap_or_default();
    let of = Table::by_name(&name);
    let found = reader::get::<Table>(socket, MessageType::GetTable, sent.family, &of);
    found.is_ok_and(|table| table.is_some_and(|table| table.owner.is_some()))
}

fn shown(family: Option<Family>, rule: &wire_rule::Rule) -> String {
    let statements = family.map(|it| decode(it, &rule.expressions, &KnownSets::default()));
    Rule { statements: statements.unwrap_or_default(), ..Rule::default() }.to_string()
}

/// A reference from an expression to another object of the table.
struct Reference {
    noun: &'static str,
    get: MessageType,
    name: String,
    object: Option<u32>,
}

impl Reference {
    fn new(noun: &'static str, get: MessageType, name: &str) -> Self {
        Self { noun, get, name: name.to_owned(), object: None }
    }

    fn of(expr: &Expr) -> Option<Self> {
        let set = |name| Some(Self::new("set or map", MessageType::GetSet, name));
        match expr {
            Expr::Immediate(Immediate { data: Data::Verdict(verdict), .. }) => {
                Some(Self::new("chain", MessageType::GetChain, verdict.chain()?))
            }
            Expr::Lookup(lookup) => set(&lookup.set),
            Expr::Dynset(dynset) => set(&dynset.set),
            Expr::Objref(Objref::Map { map, .. }) => set(map),
            Expr::Objref(Objref::Named { kind, name }) => {
                let object = Self::new("object", MessageType::GetObject, name);
                Some(Self { object: Some(*kind), ..object })
            }
            Expr::FlowOffload(FlowOffload { flowtable }) => {
                Some(Self::new("flowtable", MessageType::GetFlowtable, flowtable))
            }
            _ => None,
        }
    }

    /// Returns whether the table has the object. Also returns true if the look-up fails.
    fn exists(&self, socket: &mut Socket, family: Option<Family>, table: &str) -> bool {
        let found = reader::get::<Everything>(socket, self.get, family, &Named(table, self));
        !matches!(found, Ok(None))
    }
}

/// The attributes that identify an object. The table is attribute 1. The name is attribute 2, or 3
/// for a chain. An object's type is attribute 3.
struct Named<'a>(&'a str, &'a Reference);

impl Codec for Named<'_> {
    fn encode(&self, out: &mut Writer<'_>) {
        let Self(table, Reference { get, name, object, .. }) = self;
        out.string(1, table);
        out.string(if *get == MessageType::GetChain { 3 } else { 2 }, name);
        object.write(out, 3);
    }

    fn decode(_: Attributes<'_>) -> Option<Self> {
        None
    }
}

fn translates(expressions: &[Expr]) -> bool {
    let is_nat = |expr: &Expr| matches!(expr, Expr::Nat(_) | Expr::Masq(_) | Expr::Redir(_));
    expressions.iter().any(is_nat)
}

/// Returns the kernel option that an expression needs, such as `CONFIG_NFT_QUEUE`. Returns `None`
/// for a built-in expression.
fn option(expr: &Expr) -> Option<String> {
    let option = match expr.name() {
        "bitwise" | "byteorder" | "cmp" | "counter" | "dynset" | "exthdr" | "immediate"
        | "lookup" | "meta" | "payload" | "range" | "rt" => return None,
        "dup" => "DUP_NETDEV or CONFIG_NFT_DUP_IPV4 and _IPV6".into(),
        "fwd" => "FWD_NETDEV".into(),
        "fib" => "FIB_INET".into(),
        "notrack" => "CT".into(),
        name => name.to_uppercase(),
    };
    Some(format!("CONFIG_NFT_{option}"))
}

/// Adds hints for errnos with a usual meaning here.
fn usual(error: Error) -> Error {
    error
        .hint_on(Errno::EEXIST, || "an object of that name or key exists already".into())
        .hint_on(Errno::EBUSY, || "the object is in use: a rule or an element refers to it".into())
        .hint_on(Errno::ENFILE, || "the set's declared size is reached".into())
        .hint_on(Errno::EOPNOTSUPP, || {
            "this kernel, or this kind of chain, does not support the operation".into()
        })
        .hint_on(Errno::ENOENT, || {
            "an object that it refers to is missing, or this kernel lacks one of its expressions"
                .into()
        })
}
