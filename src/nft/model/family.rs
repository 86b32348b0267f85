//! The valid combinations of a chain's family, kind, hook and priority.

pub use crate::wire::nft::chain::{ChainKind, Policy};
pub use crate::wire::nft::hook::{Hook, Priority};
pub use crate::wire::nft::message::Family;

/// The priority of connection tracking. NAT chains must come later.
const CONNTRACK: Priority = Priority(-200);

/// Refuses, with a reason, a combination that the kernel would refuse with a bare `EOPNOTSUPP`.
pub(crate) fn check(
    family: Family,
    kind: ChainKind,
    hook: Hook,
    priority: Priority,
    devices: usize,
) -> Result<(), String> {
    if hook.number(family).is_none() {
        return Err(format!("the family {family} has no hook {hook}"));
    }
    let is_ip = matches!(family, Family::Ip | Family::Ip6 | Family::Inet);
    match kind {
        ChainKind::Nat if !is_ip => return Err(format!("the family {family} has no nat chains")),
        ChainKind::Nat
            if !matches!(
                hook,
                Hook::Prerouting | Hook::Input | Hook::Output | Hook::Postrouting
            ) =>
        {
            return Err(format!("there are no nat chains at the hook {hook}"));
        }
        ChainKind::Nat if priority <= CONNTRACK => {
            return Err(format!(
                "a nat chain's priority must be above {CONNTRACK}, the priority of connection tracking"
            ));
        }
        ChainKind::Route if !is_ip || hook != Hook::Output => {
            return Err("route chains are for the hook output of ip, ip6 and inet".into());
        }
        ChainKind::Filter | ChainKind::Nat | ChainKind::Route => {}
    }
    let is_of_a_link = matches!(hook, Hook::Ingress | Hook::Egress);
    match (is_of_a_link, devices) {
        (true, 0) => Err(format!("a chain at {hook} is one of a link: name it with dev()")),
        (false, 1..) => Err(format!("a chain at {hook} has no links of its own")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_takes_is_refused() {
        let nat = |family, hook, priority| {
            check(family, ChainKind::Nat, hook, Priority(priority), 0).is_ok()
        };
        assert!(nat(Family::Inet, Hook::Postrouting, 100));
        assert!(!nat(Family::Arp, Hook::Input, 0));
        assert!(!nat(Family::Bridge, Hook::Prerouting, 0));
        assert!(!nat(Family::Ip, Hook::Forward, 0));
        assert!(!nat(Family::Ip, Hook::Prerouting, -200));
        let filter = |family, hook, devices| {
            check(family, ChainKind::Filter, hook, Priority::FILTER, devices).is_ok()
        };
        assert!(filter(Family::Netdev, Hook::Ingress, 1));
        assert!(!filter(Family::Netdev, Hook::Ingress, 0));
        assert!(!filter(Family::Netdev, Hook::Forward, 0));
        assert!(!filter(Family::Ip, Hook::Ingress, 1));
        assert!(!filter(Family::Inet, Hook::Forward, 1));
        assert!(!filter(Family::Arp, Hook::Forward, 0));
        assert!(filter(Family::Arp, Hook::Output, 0));
    }
}
