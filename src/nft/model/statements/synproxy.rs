//! TCP handshakes answered for a server: `synproxy mss 1460 wscale 7`.

use crate::nft::model::field::TCP;
use crate::nft::model::prelude::*;
use crate::wire::nft::expr::synproxy as wire;
use crate::wire::nft::expr::synproxy::SynproxyFlags;

/// The TCP options that the proxy offers to clients: `synproxy mss 1460 wscale 7`. They should
/// equal the server's options.
///
/// ```
/// use netloom::nft::{CtState, Rule, Synproxy};
///
/// let offer = Synproxy::new().mss(1460).window_scale(7).timestamp().sack_permitted();
/// let rule = Rule::new().tcp().dport(80).ct_state(CtState::INVALID | CtState::UNTRACKED);
/// let said = rule.synproxy(offer).to_string();
/// assert!(said.ends_with("synproxy mss 1460 wscale 7 timestamp sack-perm"), "{said}");
/// ```
///
/// Source: nft(8), "SYNPROXY STATEMENT".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "a value does nothing until a rule gets it"]
pub struct Synproxy(pub(crate) wire::Synproxy);

/// The maximum window scale of RFC 7323, 2.3.
const LARGEST_SCALE: u8 = 14;

impl Synproxy {
    /// Returns an offer without options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers segments of at most this number of bytes.
    pub fn mss(mut self, bytes: u16) -> Self {
        self.0.mss = bytes;
        self.0.flags |= SynproxyFlags::MSS;
        self
    }

    /// Offers window scaling by the factor 2 to the power of `scale`, at most 14.
    #[doc(alias = "wscale")]
    pub fn window_scale(mut self, scale: u8) -> Self {
        self.0.window_scale = scale;
        self.0.flags |= SynproxyFlags::WINDOW_SCALE;
        self
    }

    /// Offers timestamps, in which the proxy encodes the client's other options.
    pub fn timestamp(mut self) -> Self {
        self.0.flags |= SynproxyFlags::TIMESTAMP;
        self
    }

    /// Offers selective acknowledgements.
    #[doc(alias = "sack-perm")]
    pub fn sack_permitted(mut self) -> Self {
        self.0.flags |= SynproxyFlags::SACK_PERMITTED;
        self
    }

    pub(crate) fn check_values(self) -> Result<(), String> {
        match self.0.window_scale {
            0..=LARGEST_SCALE => Ok(()),
            _ => Err(format!("a window scale is {LARGEST_SCALE} at most")),
        }
    }
}

impl Rule {
    /// Answers TCP handshakes for a server, and connects only real clients to it: `synproxy`. A
    /// rule with [`notrack`](Self::notrack) must exempt the first packets from connection tracking.
    #[doc(alias = "SYNPROXY")]
    pub fn synproxy(self, offer: Synproxy) -> Self {
        self.with(offer)
    }
}

impl Statement for Synproxy {
    one_expression!(self => self.0, Expr::Synproxy(offer) => Some(Self(*offer)));

    fn check(&self, context: Context) -> Result<(), String> {
        if !context.is_protocol(TCP) {
            return Err("a proxy answers TCP only: call tcp() before".into());
        }
        self.check_values()
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats the offer as `nft` does.
impl fmt::Display for Synproxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire::Synproxy { mss, window_scale, flags } = self.0;
        let has = |flag| flags.contains(flag);
        f.write_str("synproxy")?;
        if has(SynproxyFlags::MSS) {
            write!(f, " mss {mss}")?;
        }
        if has(SynproxyFlags::WINDOW_SCALE) {
            write!(f, " wscale {window_scale}")?;
        }
        f.write_str(if has(SynproxyFlags::TIMESTAMP) { " timestamp" } else { "" })?;
        f.write_str(if has(SynproxyFlags::SACK_PERMITTED) { " sack-perm" } else { "" })
    }
}
