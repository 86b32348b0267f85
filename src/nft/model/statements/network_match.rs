//! The match on the network protocol: `meta nfproto ipv4`.

use crate::nft::model::context::Fact;
use crate::nft::model::encoder::network_match;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::cmp::{Cmp, Comparison};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkMatch(pub(crate) Network);

impl Rule {
    /// Matches IPv4 packets, `meta nfproto ipv4`. A match on an IPv4 address implies it.
    pub fn ipv4(self) -> Self {
        self.network(Network::Ip4)
    }

    /// Matches IPv6 packets, `meta nfproto ipv6`. A match on an IPv6 address implies it.
    pub fn ipv6(self) -> Self {
        self.network(Network::Ip6)
    }

    /// Matches ARP packets, in the families `bridge` and `netdev`.
    pub fn arp(self) -> Self {
        self.network(Network::Arp)
    }

    fn network(mut self, network: Network) -> Self {
        if std::mem::take(&mut self.negated) {
            self.rejected.reject("not", network, "match the other family instead");
        }
        self.push(NetworkMatch(network))
    }
}

impl Statement for NetworkMatch {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        // A table of one family has no other packets, and `nft` refuses this match there.
        if Context::new(encoder.context.family).network != Some(self.0) {
            encoder.establish(Fact::Network(self.0));
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Cmp(Cmp { sreg: R1, op: Comparison::Equal, data }) = expr else { return None };
        let (field, _) = reader.one_field()?;
        let family = reader.context.family;
        Context::new(family).network.is_none().then_some(())?;
        let is = |network: &Network| network_match(family, *network) == (field, *data);
        Network::ALL.into_iter().find(is).map(Self)
    }

    fn establishes(&self) -> Option<Fact> {
        Some(Fact::Network(self.0))
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Network::Ip4 => "meta nfproto ipv4",
            Network::Ip6 => "meta nfproto ipv6",
            Network::Arp => "meta protocol arp",
        })
    }
}
