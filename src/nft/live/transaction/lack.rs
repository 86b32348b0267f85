//! What a kernel was built without, told apart from what is not there.

use nix::errno::Errno;

use crate::error::Cause;
use crate::netns::Netns;
use crate::wire::nft::expr::Expr;

/// What a refusal with ENOENT means of a message that names nothing which could be missing.
pub(super) enum Lack {
    /// A rule that needs nothing of its table.
    Expressions(Vec<Expr>),
    /// A flowtable between these links.
    Flowtable(Vec<String>),
}

impl Lack {
    /// What would help, where the kernel lacks what was asked for.
    pub(super) fn explain(&self, netns: &Netns, cause: &Cause) -> Option<String> {
        let is_lack = matches!(cause.errno(), Some(Errno::ENOENT | Errno::EOPNOTSUPP));
        match self {
            // A chain at the wrong hook is refused with EOPNOTSUPP, too.
            Self::Expressions(list) if cause.errno() == Some(Errno::ENOENT) => {
                let mut names: Vec<_> = list.iter().filter_map(option).collect();
                names.dedup();
                Some(format!("this needs a kernel with {}", names.join(", ")))
            }
            Self::Flowtable(devices)
                if is_lack && devices.iter().all(|name| netns.link(name).is_ok()) =>
            {
                Some(
                    "this needs a kernel with CONFIG_NF_FLOW_TABLE, and CONFIG_NF_FLOW_TABLE_INET"
                        .into(),
                )
            }
            Self::Expressions(_) | Self::Flowtable(_) => None,
        }
    }
}

/// The kernel's option, as `CONFIG_NFT_QUEUE`; none for what every `nf_tables` has.
fn option(expr: &Expr) -> Option<String> {
    const BUILT_IN: [&str; 13] = [
        "bitwise",
        "byteorder",
        "cmp",
        "counter",
        "dynset",
        "exthdr",
        "immediate",
        "lookup",
        "meta",
        "notrack",
        "payload",
        "range",
        "rt",
    ];
    let name = expr.name();
    let said = match name {
        "dup" | "fwd" => format!("{name}_NETDEV or CONFIG_NFT_{name}_IPV4 and _IPV6"),
        "fib" => "fib_INET".to_owned(),
        "notrack" => "ct".to_owned(),
        name => name.to_owned(),
    };
    let is_built_in = BUILT_IN.contains(&name) && name != "notrack";
    (!is_built_in).then(|| {
        format!(
            "CONFIG_NFT_{}",
            said.to_uppercase().replace(" OR ", " or ").replace(" AND ", " and ")
        )
    })
}
