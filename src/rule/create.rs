//! The creation of policy rules.

use nix::errno::Errno;

use super::builder::PolicyRule;
use super::handle::PolicyRuleHandle;
use super::info::PolicyRuleInfo;
use crate::error::Error;
use crate::netlink::{RequestType, Requests};
use crate::netns::Netns;
use crate::owned::{Owned, sealed::Remove};
use crate::route::PROTOCOL;
use crate::wire::message::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL};

impl PolicyRule {
    /// Creates the rule.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad literal, a rule that does nothing, and a `goto` backwards,
    ///   before any system call; for a `goto` to a priority without a rule
    /// - `is_already_exists()` if the same rule exists with this priority
    /// - `is_unsupported()` for `l3mdev()` in a kernel without VRFs
    #[doc(alias("ip rule add", "RTM_NEWRULE"))]
    pub fn create(&self, netns: &Netns) -> Result<Owned<PolicyRuleHandle>, Error> {
        const ACTION: &str = "add rule";
        self.check(ACTION).map_err(|error| error.in_namespace(netns))?;
        self.check_target(ACTION, netns)?;
        self.add(ACTION, netns)
    }

    /// Creates the rule, and then deletes the other rules that netloom made at its priority. The
    /// same rule is taken over as it is. Rules of other programs stay.
    ///
    /// A program that is started again says so what its rule at this priority is.
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` without a priority
    /// - those of [`create`](Self::create), but for the rule that exists
    pub fn replace(&self, netns: &Netns) -> Result<Owned<PolicyRuleHandle>, Error> {
        const ACTION: &str = "replace rule";
        self.check(ACTION).map_err(|error| error.in_namespace(netns))?;
        let Some(priority) = self.priority else {
            let reason = "a rule without priority() is in no rule's place";
            return Err(Error::invalid(ACTION, self, reason).in_namespace(netns));
        };
        self.check_target(ACTION, netns)?;
        let all = netns.rules().map_err(|error| error.while_doing(ACTION, self))?;
        let is_at = |rule: &PolicyRuleInfo| {
            (rule.ipv6, rule.priority, rule.protocol) == (self.rule.ipv6, priority, PROTOCOL)
        };
        let mut others: Vec<_> = all.into_iter().filter(is_at).collect();
        let handle = |rule| PolicyRuleHandle { netns: netns.clone(), rule };
        let mut wanted = self.rule.clone();
        wanted.priority = priority;
        let existing = others.iter().position(|rule| *rule == wanted);
        let new = match existing {
            Some(at) => Owned::new(handle(others.remove(at))),
            None => self.add(ACTION, netns)?,
        };
        let removed = others.into_iter().try_for_each(|other| handle(other).remove().map(drop));
        match removed {
            Ok(()) => Ok(new),
            Err(error) => {
                // A rule that existed before the call remains.
                if existing.is_some() {
                    new.keep();
                }
                Err(error)
            }
        }
    }

    fn add(&self, action: &'static str, netns: &Netns) -> Result<Owned<PolicyRuleHandle>, Error> {
        let mut requests = Requests::default();
        requests.push(action, self, |batch| {
            let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO;
            let header = self.rule.header();
            batch.push(RequestType::NewRule, flags, &header, |out| {
                self.rule.write(self.priority, out);
            })
        });
        let find = || {
            let of_builder = |listed: &PolicyRuleInfo| {
                let mut wanted = self.rule.clone();
                wanted.priority = self.priority.unwrap_or(listed.priority);
                *listed == wanted
            };
            let rules = netns.rules().map_err(|error| error.while_doing(action, self))?;
            Ok::<_, Error>(rules.into_iter().find(of_builder))
        };
        let handle = |rule| PolicyRuleHandle { netns: netns.clone(), rule };
        let rule = match netns.send_for_echo(requests, PolicyRuleInfo::read) {
            Ok(Some(rule)) => rule,
            Ok(None) => find()?.ok_or_else(|| {
                let reason = "the kernel made the rule, but lists none like it";
                Error::invalid(action, self, reason).in_namespace(netns)
            })?,
            Err(error) => {
                if error.is_outcome_unknown()
                    && let Ok(Some(rule)) = find()
                {
                    drop(Owned::new(handle(rule)));
                }
                return Err(error.hint_on(Errno::EEXIST, || {
                    "the same rule exists already at this priority".into()
                }));
            }
        };
        Ok(Owned::new(handle(rule)))
    }

    /// Refuses a `goto` to a priority without a rule. The kernel takes it, and skips the rule.
    fn check_target(&self, action: &'static str, netns: &Netns) -> Result<(), Error> {
        let Some(target) = self.rule.goto else { return Ok(()) };
        let all = netns.rules().map_err(|error| error.while_doing(action, self))?;
        let is_target =
            |rule: &PolicyRuleInfo| rule.ipv6 == self.rule.ipv6 && rule.priority == target;
        if all.iter().any(is_target) {
            return Ok(());
        }
        let reason = format!("goto({target}): there is no rule with this priority");
        Err(Error::invalid(action, self, reason).in_namespace(netns))
    }
}
