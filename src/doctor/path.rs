//! Obstacles for packets in a namespace, and for changes of settings.

use std::fs::OpenOptions;

use nix::errno::Errno;

use super::answer::Answer;
use super::check::Check;
use crate::error::{Cause, Error};
use crate::netns::Netns;
use crate::nft::reader;
use crate::wire::nft::chain::{Chain, Policy};
use crate::wire::nft::hook::HookPoint;
use crate::wire::nft::message::Family;

pub(super) fn examine(here: Result<&Netns, &Error>) -> Vec<(Check, Answer)> {
    let unless = |look: fn(&Netns) -> Answer| match here {
        Ok(here) => look(here),
        Err(error) => Answer::unknown(error.reason()),
    };
    vec![
        (Check::Sysctls, sysctls()),
        (Check::ForwardPath, unless(forward_path)),
        (Check::BridgedPackets, unless(bridged_packets)),
    ]
}

fn sysctls() -> Answer {
    const ONE: &str = "/proc/sys/net/ipv4/ip_forward";
    // Opens the file and writes nothing.
    let Err(error) = OpenOptions::new().write(true).open(ONE) else { return Answer::Yes };
    let remedy = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EROFS) => {
            "mount it writable (`mount -o remount,rw /proc/sys`), start the container with \
             `--privileged`, or use what goes over netlink: a link's own IPv4 settings, `Forwarding` of single links"
        }
        Some(Errno::ENOENT) => "mount /proc",
        _ => "run it as root, or in a namespace of its own (`unshare -rnm`)",
    };
    Answer::no(format!("{ONE}: {error}"), remedy)
}

fn forward_path(here: &Netns) -> Answer {
    let chains = here.netfilter(reader::chains);
    let chains = match chains {
        Ok(chains) => chains,
        Err(Cause::Kernel(refusal))
            if matches!(refusal.errno, Errno::EOPNOTSUPP | Errno::EINVAL) =>
        {
            Vec::new()
        }
        Err(cause) => return Answer::unknown(format!("nf_tables can't be read: {cause}")),
    };
    let dropping: Vec<_> = chains.iter().filter_map(dropping).collect();
    if dropping.is_empty() {
        return legacy();
    }
    let (word, list) =
        (if dropping.len() == 1 { "policy" } else { "policies" }, dropping.join(", "));
    Answer::no(
        format!(
            "drop {word} of {list}: what no rule there accepts is not forwarded, whatever NAT says"
        ),
        "accept the network's packets there, as `nft add rule ip filter DOCKER-USER accept` does \
         where Docker set it, or set the policy to accept",
    )
}

/// Returns the name of a chain that drops forwarded packets by its policy.
fn dropping((family, chain): &(Family, Chain)) -> Option<String> {
    let word = match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Inet => "inet",
        _ => return None,
    };
    let hook = chain.hook.as_ref()?;
    let forwards = hook.number? == HookPoint::Forward.number(*family)?;
    let is_one = forwards && chain.policy? == Policy::Drop;
    is_one.then(|| format!("`{word} {} {}`", chain.table, chain.name.as_deref().unwrap_or("?")))
}

/// Looks for filter tables of iptables-legacy, which `nf_tables` does not list.
fn legacy() -> Answer {
    let has = |file: &str| {
        let names = std::fs::read_to_string(file).unwrap_or_default();
        names.lines().any(|name| name == "filter")
    };
    if has("/proc/thread-self/net/ip_tables_names") || has("/proc/thread-self/net/ip6_tables_names")
    {
        return Answer::unknown(
            "iptables-legacy has a filter table here; `iptables-legacy -S FORWARD` shows its policy",
        );
    }
    Answer::Yes
}

fn bridged_packets(here: &Netns) -> Answer {
    let on = ["iptables", "ip6tables"].map(|name| format!("net.bridge.bridge-nf-call-{name}"));
    let on: Vec<_> =
        on.into_iter().filter(|name| here.sysctl(name).is_ok_and(|value| value != "0")).collect();
    if on.is_empty() {
        return Answer::Yes;
    }
    Answer::no(
        format!(
            "br_netfilter is on ({}): rules for routed packets meet bridged ones as well",
            on.join(", ")
        ),
        format!("`sysctl -w {}=0`, unless Kubernetes or Docker here relies on it", on.join("=0 ")),
    )
}
