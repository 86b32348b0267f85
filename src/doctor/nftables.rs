//! Tries to create a table with each feature of `nf_tables`.

use nix::errno::Errno;

use super::answer::{Answer, Verdict};
use super::check::{Check, NftFeature};
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::{Chain, ChainKind, Family, Flowtable, Hook, Map, Priority, Rule, Table, Type};
use crate::owned::Owned;

pub(super) fn examine(room: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let mut has_tables = true;
    let mut answer = |feature: NftFeature| {
        let netns = match room {
            Ok(netns) => netns,
            Err(error) => {
                return Answer::unknown(format!("nothing to try it in: {}", error.reason()));
            }
        };
        if !has_tables {
            let reason = "this kernel has no nf_tables at all";
            return Answer::new(Verdict::Unsupported, reason, NftFeature::Tables.needs());
        }
        let result = with(feature).create(netns).map(Owned::keep);
        has_tables = feature != NftFeature::Tables || result.is_ok();
        match result {
            Ok(_) => Answer::yes(),
            Err(error) if error.errno() == Some(Errno::EPERM) => Answer::from(Err(&error)),
            Err(error) => {
                let reason = format!("this kernel does not have it: {}", error.reason());
                Answer::new(Verdict::Unsupported, reason, feature.needs())
            }
        }
    };
    NftFeature::ALL.iter().map(|&feature| (Check::NfTables(feature), answer(feature))).collect()
}

/// Builds a table with the feature.
fn with(feature: NftFeature) -> Table {
    let name = format!("try-{}", feature as u8);
    let table = |family| Table::new(family, &name).persistent("doctor");
    let chain = |hook, priority| Chain::new("tried").hook(hook, priority);
    let nat = || {
        let chain = chain(Hook::Postrouting, Priority::SOURCE_NAT).kind(ChainKind::Nat);
        chain.rule(Rule::new().masquerade())
    };
    match feature {
        NftFeature::Tables => table(Family::Ip),
        NftFeature::OwnerFlag => Table::new(Family::Ip, &name),
        NftFeature::Nat => table(Family::Ip).chain(nat()),
        NftFeature::NatInet => table(Family::Inet).chain(nat()),
        NftFeature::Maps => table(Family::Ip).map(Map::new("tried", Type::Port, Type::Ipv4)),
        NftFeature::Fib => {
            let chain = chain(Hook::Prerouting, Priority::FILTER);
            table(Family::Ip).chain(chain.rule(Rule::new().to_this_machine()))
        }
        NftFeature::Flowtable => table(Family::Ip).flowtable(Flowtable::new("tried").dev("lo")),
    }
}
