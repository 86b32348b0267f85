//! Obstacles for packets in a namespace, and for changes of settings.

use nix::errno::Errno;

use super::answer::Answer;
use super::check::Check;
use crate::error::Error;
use crate::netns::Netns;
use crate::nft::Hook;
use crate::obstacle;
use crate::sys::file::{self, OFlag};

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
    let Err(errno) = file::open(ONE, OFlag::O_WRONLY) else { return Answer::yes() };
    let remedy = match errno {
        Errno::EROFS => {
            "mount it writable (`mount -o remount,rw /proc/sys`), start the container with \
             `--privileged`, or use what goes over netlink: a link's own IPv4 settings, `Forwarding` of single links"
        }
        Errno::ENOENT => "mount /proc",
        _ => "run it as root, or in a namespace of its own (`unshare -rnm`)",
    };
    Answer::no(format!("{ONE}: {}", errno.desc()), remedy)
}

fn forward_path(here: &Netns) -> Answer {
    let obstacles = match obstacle::find(here, None) {
        Ok(obstacles) => obstacles,
        // This kernel has no nf_tables.
        Err(error) if matches!(error.errno(), Some(Errno::EOPNOTSUPP | Errno::EINVAL)) => {
            Vec::new()
        }
        Err(error) => {
            return Answer::unknown(format!("nf_tables can't be read: {}", error.reason()));
        }
    };
    let names = obstacles.iter().filter(|one| one.hook != Hook::Output);
    let names = names.map(|one| format!("`{} {} {}`", one.family, one.table, one.chain));
    match names.collect::<Vec<_>>().as_slice() {
        [] => legacy(),
        names => Answer::no(
            format!(
                "{}: drops forwarded packets that its own rules don't accept",
                names.join(", ")
            ),
            "accept the network's packets there, as `nft add rule ip filter DOCKER-USER accept` does \
             where Docker set it, or set the policy to accept",
        ),
    }
}

/// Looks for filter tables of iptables-legacy, which `nf_tables` does not list.
fn legacy() -> Answer {
    let has = |path: &str| {
        let names = file::read_to_string(path).unwrap_or_default();
        names.lines().any(|name| name == "filter")
    };
    if has("/proc/thread-self/net/ip_tables_names") || has("/proc/thread-self/net/ip6_tables_names")
    {
        return Answer::unknown(
            "iptables-legacy has a filter table here; `iptables-legacy -S FORWARD` shows its policy",
        );
    }
    Answer::yes()
}

fn bridged_packets(here: &Netns) -> Answer {
    let on = ["iptables", "ip6tables"].map(|name| format!("net.bridge.bridge-nf-call-{name}"));
    let on: Vec<_> =
        on.into_iter().filter(|name| here.sysctl(name).is_ok_and(|value| value != "0")).collect();
    if on.is_empty() {
        return Answer::yes();
    }
    Answer::no(
        format!(
            "br_netfilter is on ({}): rules for routed packets meet bridged ones as well",
            on.join(", ")
        ),
        format!("`sysctl -w {}=0`, unless Kubernetes or Docker here relies on it", on.join("=0 ")),
    )
}
