//! The handle of a policy rule: all of its selectors, with its priority.

use nix::errno::Errno;

use super::builder::PolicyRule;
use super::info::PolicyRuleInfo;
use crate::error::{Cause, Error};
use crate::netlink::{Batch, RequestType, Requests};
use crate::netns::Netns;
use crate::owned::sealed::{Remove, Removed};

/// A policy rule that exists.
///
/// A rule is deleted only if all of it is listed: priority, action, selectors and the protocol
/// number, which is netloom's own for rules that netloom made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRuleHandle {
    pub(super) netns: Netns,
    pub(super) rule: PolicyRuleInfo,
}

impl PolicyRuleHandle {
    /// The namespace of the rule.
    pub fn namespace(&self) -> &Netns {
        &self.netns
    }

    /// The rule's priority.
    pub fn priority(&self) -> u32 {
        self.rule.priority
    }

    /// Reads the rule as the kernel has it.
    ///
    /// # Errors
    ///
    /// `is_not_found()` if the rule is gone.
    pub fn info(&self) -> Result<PolicyRuleInfo, Error> {
        self.listed("read rule")?.into_iter().next().ok_or_else(|| {
            Cause::from(Errno::ENOENT).doing("read rule", &self.rule).in_namespace(&self.netns)
        })
    }

    /// Lists the entries that are this rule: one, or several if another program made the same.
    fn listed(&self, action: &'static str) -> Result<Vec<PolicyRuleInfo>, Error> {
        let all = self.netns.rules().map_err(|error| error.while_doing(action, &self.rule))?;
        Ok(all.into_iter().filter(|listed| *listed == self.rule).collect())
    }
}

impl Remove for PolicyRuleHandle {
    fn remove(&self) -> Result<Removed, Error> {
        const ACTION: &str = "delete rule";
        let all = self.netns.rules().map_err(|error| error.while_doing(ACTION, &self.rule))?;
        let before = all.iter().filter(|listed| **listed == self.rule).count();
        if before == 0 {
            return Ok(Removed::Gone);
        }
        let first = all.iter().find(|listed| self.rule.deletes(listed));
        if let Some(other) = first.filter(|first| **first != self.rule) {
            let reason = format!("the kernel would delete another rule: {other}");
            return Err(Cause::Replaced(reason)
                .doing(ACTION, &self.rule)
                .in_namespace(&self.netns));
        }
        let mut requests = Requests::default();
        requests.push(ACTION, &self.rule, |batch| delete_request(&self.rule, batch));
        requests.tolerate(Errno::ENOENT);
        self.netns.send(requests)?;
        if self.listed(ACTION)?.len() < before {
            return Ok(Removed::Deleted);
        }
        let reason = "the kernel lists the rule, but finds none to delete";
        Err(Error::invalid(ACTION, &self.rule, reason).in_namespace(&self.netns))
    }
}

/// Appends the request that deletes the rule.
fn delete_request(rule: &PolicyRuleInfo, batch: &mut Batch) -> usize {
    batch.push(RequestType::DelRule, 0, &rule.header(), |out| {
        rule.write(Some(rule.priority), out);
    })
}

impl Netns {
    /// Finds a policy rule by its builder, whichever program made it: the first that has all that
    /// the builder sets, with any maker. [`Owned::adopt`](crate::Owned::adopt) takes on the duty to
    /// delete it.
    ///
    /// ```
    /// use netloom::{Namespace, Owned, PolicyRule};
    /// # netloom::sandbox::enter()?;
    ///
    /// let host = Namespace::anonymous().create()?;
    /// PolicyRule::ipv4().mark(5).table(77).priority(100).create(&host)?.keep();
    /// let found = host.rule(&PolicyRule::ipv4().mark(5).table(77))?;
    /// assert_eq!(found.priority(), 100);
    /// Owned::adopt(found).delete()?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_invalid_input()` for a bad builder, before any system call
    /// - `is_not_found()` if no rule matches
    pub fn rule(&self, like: &PolicyRule) -> Result<PolicyRuleHandle, Error> {
        const ACTION: &str = "find rule";
        like.check(ACTION).map_err(|error| error.in_namespace(self))?;
        let all = self.rules().map_err(|error| error.while_doing(ACTION, like))?;
        let is_like = |listed: &PolicyRuleInfo| {
            let mut wanted = like.rule.clone();
            (wanted.priority, wanted.protocol) = (like.priority.unwrap_or(listed.priority), 0);
            listed.is_found_by(&wanted)
        };
        match all.into_iter().find(is_like) {
            Some(rule) => Ok(PolicyRuleHandle { netns: self.clone(), rule }),
            None => Err(Cause::from(Errno::ENOENT).doing(ACTION, like).in_namespace(self)),
        }
    }
}
