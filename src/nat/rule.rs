//! The builder of NAT rules.

use std::fmt;

use ipnet::IpNet;
use nix::errno::Errno;

use super::handle::{self, NatHandle};
use super::matches;
use crate::error::Error;
use crate::input::{FirstRejected, Input, link_name, network};
use crate::link::LinkRef;
use crate::netns::Netns;
use crate::owned::Owned;
use crate::wire::nft::expr::Expr;
use crate::wire::nft::expr::masq::Masq;

/// A NAT rule to be: what leaves gets another source address.
///
/// Replaces `iptables -t nat -A POSTROUTING -s PREFIX -o LINK -j MASQUERADE`, over `nf_tables` netlink.
///
/// ```
/// use netloom::{NatRule, Namespace};
/// # netloom::sandbox::enter()?;
///
/// let host = Namespace::anonymous().create()?;
/// let _nat = NatRule::masquerade().source("10.0.0.0/24").out_link("eth0").create(&host)?;
/// # Ok::<(), netloom::Error>(())
/// ```
///
/// Rules live in a table of netloom's own, one a namespace handle, `netloom-N` in the family `inet`. It has
/// the owner flag: nobody else can change it, `nft flush ruleset` passes it by, and the kernel removes
/// it with the process, also on SIGKILL.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a builder does nothing until `create`"]
pub struct NatRule {
    source: Option<IpNet>,
    out_link: Option<String>,
    rejected: FirstRejected,
}

impl NatRule {
    /// Gives what leaves the address of the link it leaves by, IPv4 and IPv6.
    #[doc(alias = "MASQUERADE")]
    pub fn masquerade() -> Self {
        Self { source: None, out_link: None, rejected: FirstRejected::default() }
    }

    /// Only for what comes from this network, as `-s PREFIX`. Default: from anywhere.
    #[doc(alias = "ip saddr")]
    pub fn source(mut self, prefix: impl Input<IpNet>) -> Self {
        if let Some(prefix) = self.rejected.read("source", prefix) {
            match network(prefix) {
                Ok(prefix) => self.source = Some(prefix),
                Err(reason) => self.rejected.reject("source", prefix, reason),
            }
        }
        self
    }

    /// Only for what leaves by the link of this name, as `-o NAME`; it need not exist yet. Default: by
    /// any.
    #[doc(alias = "oifname")]
    pub fn out_link(mut self, link: impl Into<LinkRef>) -> Self {
        let link = link.into();
        if let Err(reason) = link_name(link.name()) {
            self.rejected.reject("out_link", link.name(), reason);
        }
        self.out_link = Some(link.name().to_owned());
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// What can be known wrong is refused before any system call. Without `CAP_NET_ADMIN` it is
    /// [`is_permission_denied`](Error::is_permission_denied).
    pub fn create(&self, netns: &Netns) -> Result<Owned<NatHandle>, Error> {
        self.rejected.check(handle::ACTION, self)?;
        let Some(expressions) = self.expressions() else {
            return Err(Error::invalid(handle::ACTION, self, "it can't be put into a rule"));
        };
        let handle = NatHandle::add(netns, expressions, self).map_err(|error| {
            error.hint_on(Errno::ENOENT, || {
                "this kernel has no NAT for nf_tables (CONFIG_NFT_NAT, CONFIG_NFT_MASQ), or no `inet` one".into()
            })
        })?;
        Ok(Owned::adopt(handle))
    }

    fn expressions(&self) -> Option<Vec<Expr>> {
        let mut list = Vec::new();
        if let Some(name) = &self.out_link {
            list.extend(matches::out_link(name)?);
        }
        if let Some(prefix) = self.source {
            list.extend(matches::source(prefix)?);
        }
        list.push(Masq::default().into());
        Some(list)
    }
}

/// In the words of `nft`.
impl fmt::Display for NatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.out_link {
            write!(f, "oifname \"{name}\" ")?;
        }
        match self.source {
            Some(IpNet::V4(prefix)) => write!(f, "ip saddr {prefix} ")?,
            Some(IpNet::V6(prefix)) => write!(f, "ip6 saddr {prefix} ")?,
            None => {}
        }
        f.write_str("masquerade")
    }
}
