//! Handles and lists of NAT rules, and the tables that hold the rules.

use std::fmt;

use nix::errno::Errno;

use crate::counter::Counter;
use crate::error::{Cause, Error};
use crate::netlink::Socket;
use crate::netns::Netns;
use crate::nft::live::{Number, Step, at_one_generation, reader, with_socket};
use crate::nft::{Chain, Family, Rule, RuleHandle, RuleInfo, Table, TableHandle, Transaction};
use crate::owned::sealed::{Remove, Removed};
use crate::wire::nft::message::MessageType;
use crate::wire::nft::{chain, rule, table};

pub(super) const ACTION: &str = "add NAT rule";
/// The name of the table of persistent rules.
const PERSISTENT: &str = "netloom";
/// The comment that marks the table of persistent rules.
const COMMENT: &str = "NAT rules of netloom, by tag";
const CHAINS: [&str; 3] = ["prerouting", "output", "postrouting"];

/// An existing NAT rule, identified by its table and its number in that table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRuleHandle {
    rule: RuleHandle,
    tag: Option<String>,
}

impl NatRuleHandle {
    /// Returns the namespace.
    pub fn namespace(&self) -> &Netns {
        self.table_handle().namespace()
    }

    /// Returns the name of the table, which is in the family `inet`.
    pub fn table(&self) -> &str {
        self.table_handle().name()
    }

    /// Returns the name of the chain: `prerouting`, `output` or `postrouting`.
    pub fn chain(&self) -> &str {
        self.rule.chain().name()
    }

    /// Returns the number (handle) of the rule in its table, as `nft -a list ruleset` shows it.
    pub fn number(&self) -> u64 {
        self.rule.number()
    }

    /// Returns the tag of a persistent rule.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Reads the rule's counter, as `nft list ruleset` and `iptables -t nat -L -v` show it. NAT
    /// rules see, and count, only the first packet of a connection.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if the rule is gone.
    pub fn counter(&self) -> Result<Counter, Error> {
        self.rule.counter().map_err(|error| error.while_doing("read counter of", self))
    }

    fn table_handle(&self) -> &TableHandle {
        self.rule.chain().table()
    }
}

impl fmt::Display for NatRuleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NAT rule {} of table `{}`", self.number(), self.table())
    }
}

/// A persistent NAT rule as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRuleInfo {
    handle: NatRuleHandle,
    info: RuleInfo,
}

impl NatRuleInfo {
    /// Returns the handle of the rule.
    pub fn handle(&self) -> &NatRuleHandle {
        &self.handle
    }

    /// Returns the tag.
    pub fn tag(&self) -> &str {
        self.handle.tag().unwrap_or_default()
    }

    /// Returns the rule with its matches and its translation.
    pub fn rule(&self) -> &Rule {
        &self.info.rule
    }

    /// Returns the counter.
    pub fn counter(&self) -> Counter {
        self.info.counter.unwrap_or_default()
    }
}

impl From<NatRuleInfo> for NatRuleHandle {
    fn from(info: NatRuleInfo) -> Self {
        info.handle
    }
}

/// The number of the table of held rules, or `None` if this process does not know that the table
/// exists. No other program can change that table. All handles of its rules share the number, so
/// that each handle notices the deletion of the table.
#[derive(Debug, Default)]
struct HeldTable(Option<Number>);

/// Adds a rule, in one transaction with its table and chain if they are missing.
pub(super) fn create(
    netns: &Netns,
    rule: (&Chain, &Rule),
    tag: Option<&str>,
    shown: &dyn fmt::Display,
) -> Result<NatRuleHandle, Error> {
    let step: Step<'_> = (ACTION, shown);
    let rule = with_socket(netns, step, |socket, held: &mut HeldTable| match tag {
        Some(_) => at_one_generation(socket, None, step, |socket, generation| {
            let new = Table::new(Family::Inet, PERSISTENT).with_comment(COMMENT);
            let found = find(netns, socket, PERSISTENT, true);
            let found = found.map_err(|cause| cause.doing(ACTION, shown))?;
            add(socket, Transaction::decided_at(netns, generation), (&new, found), rule, step)
        }),
        None => create_held(netns, (socket, held), rule, step),
    })?;
    Ok(NatRuleHandle { rule, tag: tag.map(str::to_owned) })
}

/// Adds a held rule in one request. No generation is needed, because this process alone can change
/// the table and holds the lock of its socket. The number of the table is usually known. If the
/// answer to its creation was lost, the table is looked up.
fn create_held(
    netns: &Netns,
    (socket, held): (&mut Socket, &mut HeldTable),
    rule: (&Chain, &Rule),
    step: Step<'_>,
) -> Result<RuleHandle, Error> {
    let new = Table::new(Family::Inet, format!("netloom-{}", socket.port()));
    let ours = held.0.clone().map(|number| TableHandle {
        netns: netns.clone(),
        family: Family::Inet,
        name: new.name().to_owned(),
        number,
        comment: None,
    });
    let found = ours.map_or(Found::Nothing, Found::Ours);
    let added = match add(socket, Transaction::new(netns), (&new, found), rule, step) {
        Err(error) if error.is_already_exists() || error.is_not_found() => {
            let found = find(netns, socket, new.name(), false);
            let found = found.map_err(|cause| cause.doing(step.0, step.1))?;
            add(socket, Transaction::new(netns), (&new, found), rule, step)
        }
        added => added,
    }?;
    held.0 = Some(added.chain().table().number.clone());
    Ok(added)
}

fn add(
    socket: &mut Socket,
    mut transaction: Transaction,
    (new, found): (&Table, Found),
    rule: (&Chain, &Rule),
    (action, shown): Step<'_>,
) -> Result<RuleHandle, Error> {
    let table = match found {
        Found::Ours(table) => table,
        Found::Nothing => transaction.create_table(new),
        Found::Foreign => {
            let hint = format!("a table `{}` exists that netloom did not make", new.name());
            return Err(Cause::from(Errno::EEXIST).doing(action, shown).hint(hint));
        }
    };
    let rule = transaction.ensure_rule(action, &table, rule);
    let committed = transaction.commit_on(socket).map_err(Error::from);
    committed.map(|()| rule).map_err(|error| error.while_doing(action, shown))
}

enum Found {
    Nothing,
    Ours(TableHandle),
    Foreign,
}

/// Looks for the table of persistent or held rules. A comment marks the persistent table as
/// netloom's, the owner flag the held one.
fn find(
    netns: &Netns,
    socket: &mut Socket,
    name: &str,
    is_persistent: bool,
) -> Result<Found, Cause> {
    let Some(found) = get(socket, name)? else { return Ok(Found::Nothing) };
    let handle = if is_persistent {
        let handle = TableHandle::persistent(netns, Family::Inet, &found);
        handle.filter(|table| table.comment.as_deref() == Some(COMMENT))
    } else {
        TableHandle::held(netns, Family::Inet, &found)
            .filter(|_| found.owner == Some(socket.port()))
    };
    Ok(handle.map_or(Found::Foreign, Found::Ours))
}

fn get(socket: &mut Socket, name: &str) -> Result<Option<table::Table>, Cause> {
    let of = table::Table::by_name(name);
    reader::get(socket, MessageType::GetTable, Family::Inet, &of)
}

/// Deletes the rule by its number, if the table still has its number. Deletes the table with its
/// last rule. The cost does not grow with the number of rules.
impl Remove for NatRuleHandle {
    fn remove(&self) -> Result<Removed, Error> {
        match self.delete()? {
            // Another program may have renamed the chain since the rule was looked up.
            Removed::Gone => match self.rule.look() {
                Ok(rule) => Self { rule, tag: self.tag.clone() }.delete(),
                Err(error) if error.is_not_found() => Ok(Removed::Gone),
                Err(error) => Err(error.while_doing("delete", self)),
            },
            done @ Removed::Deleted => Ok(done),
        }
    }
}

impl NatRuleHandle {
    fn delete(&self) -> Result<Removed, Error> {
        let step: Step<'_> = ("delete", self);
        let doing = |cause: Cause| cause.doing(step.0, step.1);
        let netns = self.namespace();
        with_socket(netns, step, |socket, held: &mut HeldTable| {
            at_one_generation(socket, None, step, |socket, generation| {
                let table = get(socket, self.table()).map_err(doing)?;
                let ours = self.table_handle().number();
                let table = table.filter(|table| table.handle == Some(ours));
                let of = rule::Rule::by_handle(self.table(), self.chain(), self.number());
                let found: Option<rule::Rule> =
                    reader::get(socket, MessageType::GetRule, Family::Inet, &of).map_err(doing)?;
                let (Some(table), Some(_)) = (table, found) else {
                    return Ok(Removed::Gone);
                };
                let is_last = is_last(socket, &table).map_err(doing)?;
                let mut transaction = Transaction::decided_at(netns, generation);
                if is_last {
                    if self.table_handle().is_held() {
                        held.0 = None;
                    }
                    transaction.delete_table(self.table_handle());
                } else {
                    transaction.delete_rule(&self.rule);
                }
                transaction.commit_on(socket).map_err(Error::from)?;
                Ok(Removed::Deleted)
            })
        })
    }
}

/// Returns whether the table has only one rule left, and nothing that another program added.
fn is_last(socket: &mut Socket, table: &table::Table) -> Result<bool, Cause> {
    let name = table.name.as_deref().unwrap_or_default();
    let (mut chains, mut rules) = (0, 0);
    for chain in CHAINS {
        let of = chain::Chain::by_name(name, chain);
        let found: Option<chain::Chain> =
            reader::get(socket, MessageType::GetChain, Family::Inet, &of)?;
        if let Some(chain) = found {
            chains += 1;
            rules += chain.use_count.unwrap_or(0);
        }
    }
    Ok(rules == 1 && table.use_count == Some(chains))
}

impl Netns {
    /// Lists the persistent NAT rules of the namespace, whatever their tags.
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nat_rules(&self) -> Result<Vec<NatRuleInfo>, Error> {
        let step: Step<'_> = ("list", &"persistent NAT rules");
        let found = with_socket(self, step, |socket, _: &mut HeldTable| {
            find(self, socket, PERSISTENT, true).map_err(|cause| cause.doing(step.0, step.1))
        })?;
        let Found::Ours(table) = found else { return Ok(Vec::new()) };
        let chains = match table.read() {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            read => read?.chains,
        };
        let of_chain = |chain: crate::nft::ChainInfo| {
            let handle = table.chain_read(chain.chain.name(), chain.number);
            chain.rules.into_iter().filter_map(move |info| {
                let tag = Some(info.rule.comment.clone()?);
                let rule = handle.rule_read(info.number);
                Some(NatRuleInfo { handle: NatRuleHandle { rule, tag }, info })
            })
        };
        Ok(chains.into_iter().flat_map(of_chain).collect())
    }

    /// Lists the persistent NAT rules with this tag, in the order of their chains. Returns an empty
    /// list if there is none. To delete a rule, adopt its handle with
    /// [`Owned::adopt`](crate::Owned::adopt).
    ///
    /// # Errors
    ///
    /// [`is_permission_denied`](Error::is_permission_denied) without `CAP_NET_ADMIN`.
    pub fn nat_rules_with_tag(&self, tag: &str) -> Result<Vec<NatRuleInfo>, Error> {
        let mut rules = self.nat_rules()?;
        rules.retain(|rule| rule.tag() == tag);
        Ok(rules)
    }
}
