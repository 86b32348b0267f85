//! Features of `nf_tables`: a table with each is made.

use std::fmt::Display;

use nix::errno::Errno;

use super::answer::Answer;
use super::check::{Check, NftFeature};
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::Operations;
use crate::wire::message::NLM_F_CREATE;
use crate::wire::nft::chain::{Chain, ChainType};
use crate::wire::nft::datatype::DataType;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::fib::{Fib, FibFlags, FibResult};
use crate::wire::nft::expr::masq::Masq;
use crate::wire::nft::flowtable::{Flowtable, FlowtableHook};
use crate::wire::nft::hook::{Devices, Hook, HookPoint, Priority};
use crate::wire::nft::message::{Family, MessageType};
use crate::wire::nft::register::Register;
use crate::wire::nft::rule::Rule;
use crate::wire::nft::set::{Set, SetFlags};
use crate::wire::nft::table::{Table, TableFlags};

pub(super) fn examine(room: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let mut tables = true;
    let mut answer = |feature: NftFeature| {
        let netns = match room {
            Ok(netns) => netns,
            Err(error) => {
                return Answer::unknown(format!("nothing to try it in: {}", error.reason()));
            }
        };
        if !tables {
            return Answer::unsupported("this kernel has no nf_tables at all", NO_TABLES);
        }
        let result = try_feature(netns, feature);
        tables = feature != NftFeature::Tables || result.is_ok();
        read(feature, &result)
    };
    NftFeature::ALL.iter().map(|&feature| (Check::NfTables(feature), answer(feature))).collect()
}

const NO_TABLES: &str = "`modprobe nf_tables` as root, or a kernel with CONFIG_NF_TABLES";

fn read(feature: NftFeature, result: &Result<(), Error>) -> Answer {
    let Err(error) = result else { return Answer::Yes };
    let option = match feature {
        NftFeature::Tables => NO_TABLES,
        NftFeature::OwnerFlag => "Linux 5.12 or later",
        NftFeature::PersistFlag => "Linux 6.9 or later",
        NftFeature::Nat => "a kernel with CONFIG_NFT_NAT and CONFIG_NFT_MASQ",
        NftFeature::NatInet => "Linux 5.2 or later with CONFIG_NFT_NAT and CONFIG_NF_TABLES_INET",
        NftFeature::Maps => "a kernel with CONFIG_NF_TABLES",
        NftFeature::Fib => "a kernel with CONFIG_NFT_FIB_IPV4",
        NftFeature::Flowtable => "a kernel with CONFIG_NF_FLOW_TABLE and CONFIG_NF_FLOW_TABLE_INET",
    };
    match error.errno() {
        Some(Errno::EPERM) => Answer::from(Err(error)),
        _ => {
            Answer::unsupported(format!("this kernel does not have it: {}", error.reason()), option)
        }
    }
}

fn try_feature(netns: &Netns, feature: NftFeature) -> Result<(), Error> {
    let name = format!("try-{}", feature as u8);
    let shown: &dyn Display = &feature.name();
    let step = ("try", shown);
    let family = if feature == NftFeature::NatInet { Family::Inet } else { Family::Ip };
    let mut table = Table::by_name(&name);
    match feature {
        NftFeature::OwnerFlag => table.flags = Some(TableFlags::OWNER),
        NftFeature::PersistFlag => table.flags = Some(TableFlags::OWNER | TableFlags::PERSIST),
        _ => {}
    }
    let chain = |kind, point, priority| Chain {
        kind: Some(kind),
        hook: Hook::new(family, point, priority),
        ..Chain::by_name(&name, "chain")
    };
    let rule = |expression: Expr| Rule::new(&name, "chain", vec![expression]);
    let mut all = Operations::new();
    all.push(step, MessageType::NewTable, NLM_F_CREATE, family, &table);
    match feature {
        NftFeature::Tables | NftFeature::OwnerFlag | NftFeature::PersistFlag => {}
        NftFeature::Nat | NftFeature::NatInet => {
            let chain = chain(ChainType::Nat, HookPoint::Postrouting, Priority::SOURCE_NAT);
            let rule = rule(Masq::default().into());
            all.push(step, MessageType::NewChain, NLM_F_CREATE, family, &chain);
            all.push(step, MessageType::NewRule, NLM_F_CREATE, family, &rule);
        }
        NftFeature::Fib => {
            let chain = chain(ChainType::Filter, HookPoint::Prerouting, Priority::FILTER);
            let fib = Fib {
                dreg: Register::R1,
                result: FibResult::AddressType,
                flags: FibFlags::DESTINATION,
            };
            let rule = rule(fib.into());
            all.push(step, MessageType::NewChain, NLM_F_CREATE, family, &chain);
            all.push(step, MessageType::NewRule, NLM_F_CREATE, family, &rule);
        }
        NftFeature::Maps => {
            let map = Set {
                id: Some(1),
                flags: Some(SetFlags::MAP),
                key_type: Some(DataType::INTERNET_SERVICE),
                key_len: Some(2),
                data_type: Some(DataType::IPV4_ADDRESS),
                data_len: Some(4),
                ..Set::by_name(&name, "map")
            };
            all.push(step, MessageType::NewSet, NLM_F_CREATE, family, &map);
        }
        NftFeature::Flowtable => {
            let hook = FlowtableHook {
                priority: Priority::FILTER,
                devices: Devices(vec!["lo".to_owned()]),
                ..FlowtableHook::default()
            };
            let flowtable =
                Flowtable { hook: Some(hook), ..Flowtable::by_name(&name, "flowtable") };
            all.push(step, MessageType::NewFlowtable, NLM_F_CREATE, family, &flowtable);
        }
    }
    let mut result = Ok(());
    netns
        .netfilter(|socket| {
            result = all.commit(socket, |_| ());
            Ok(())
        })
        .map_err(|cause| cause.doing("open", "an nf_tables socket"))
        .and(result)
}
