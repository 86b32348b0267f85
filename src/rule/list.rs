//! Lists of policy rules.

use super::info::{HEADER, PolicyRuleInfo};
use crate::error::Error;
use crate::netlink::{Batch, RequestType};
use crate::netns::Netns;
use crate::wire::message::NLM_F_DUMP;

impl Netns {
    /// Lists the policy rules, IPv4 and IPv6, in the order in which the kernel tries them, as
    /// `ip rule` and `ip -6 rule`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the list changed during all
    /// attempts to read it.
    #[doc(alias("ip rule", "ip rule list", "RTM_GETRULE"))]
    pub fn rules(&self) -> Result<Vec<PolicyRuleInfo>, Error> {
        let all =
            |batch: &mut Batch| batch.push(RequestType::GetRule, NLM_F_DUMP, &[0; HEADER], |_| ());
        self.dump("rules", all, PolicyRuleInfo::read)
    }
}
