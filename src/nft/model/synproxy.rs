//! What is offered to the clients of a server that a rule answers for.

use std::fmt;

use crate::wire::nft::expr::synproxy as wire;
use crate::wire::nft::expr::synproxy::SynproxyFlags;

/// What a rule offers TCP clients in a server's place: `synproxy mss 1460 wscale 7`. It should be what the
/// server would.
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
#[must_use = "it is said to a rule"]
pub struct Synproxy {
    mss: u16,
    window_scale: u8,
    flags: SynproxyFlags,
}

/// RFC 7323, 2.3.
const LARGEST_SCALE: u8 = 14;

impl Synproxy {
    /// Nothing beyond a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Segments of so many bytes at most.
    pub fn mss(mut self, bytes: u16) -> Self {
        self.mss = bytes;
        self.flags |= SynproxyFlags::MSS;
        self
    }

    /// Windows in units of two to the power of this, 14 at most.
    #[doc(alias = "wscale")]
    pub fn window_scale(mut self, scale: u8) -> Self {
        self.window_scale = scale;
        self.flags |= SynproxyFlags::WINDOW_SCALE;
        self
    }

    /// Timestamps; the proxy needs them to keep what it offered.
    pub fn timestamp(mut self) -> Self {
        self.flags |= SynproxyFlags::TIMESTAMP;
        self
    }

    /// Selective acknowledgements.
    #[doc(alias = "sack-perm")]
    pub fn sack_permitted(mut self) -> Self {
        self.flags |= SynproxyFlags::SACK_PERMITTED;
        self
    }

    pub(crate) fn check(self) -> Result<(), String> {
        match self.window_scale {
            0..=LARGEST_SCALE => Ok(()),
            _ => Err(format!("a window scale is {LARGEST_SCALE} at most")),
        }
    }

    pub(crate) fn encode(self) -> wire::Synproxy {
        let Self { mss, window_scale, flags } = self;
        wire::Synproxy { mss, window_scale, flags }
    }

    pub(crate) fn decode(synproxy: wire::Synproxy) -> Self {
        let wire::Synproxy { mss, window_scale, flags } = synproxy;
        Self { mss, window_scale, flags }
    }
}

/// In the words of `nft`.
impl fmt::Display for Synproxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |flag| self.flags.contains(flag);
        f.write_str("synproxy")?;
        if has(SynproxyFlags::MSS) {
            write!(f, " mss {}", self.mss)?;
        }
        if has(SynproxyFlags::WINDOW_SCALE) {
            write!(f, " wscale {}", self.window_scale)?;
        }
        f.write_str(if has(SynproxyFlags::TIMESTAMP) { " timestamp" } else { "" })?;
        f.write_str(if has(SynproxyFlags::SACK_PERMITTED) { " sack-perm" } else { "" })
    }
}
