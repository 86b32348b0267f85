//! Logging: `log prefix "…"`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::log as wire;

/// A line in the kernel's log, or a copy of the packet to a netlink group.
///
/// Replaces `log prefix "…" level info` and `log prefix "…" group 5`.
///
/// ```
/// use netloom::nft::{Log, Rule};
///
/// let rule = Rule::new().log(Log::new().prefix("dropped: ").level(6)).drop();
/// assert_eq!(rule.to_string(), "log prefix \"dropped: \" level info drop");
/// ```
///
/// In a network namespace other than the first the kernel's log stays empty unless
/// `net.netfilter.nf_log_all_netns` is 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[must_use = "it is said to a rule"]
pub struct Log {
    prefix: Option<String>,
    level: Option<u8>,
    group: Option<u16>,
}

const LEVELS: [(&str, wire::LogLevel); 9] = [
    ("emerg", wire::LogLevel::Emergency),
    ("alert", wire::LogLevel::Alert),
    ("crit", wire::LogLevel::Critical),
    ("err", wire::LogLevel::Error),
    ("warn", wire::LogLevel::Warning),
    ("notice", wire::LogLevel::Notice),
    ("info", wire::LogLevel::Info),
    ("debug", wire::LogLevel::Debug),
    ("audit", wire::LogLevel::Audit),
];
/// The level that the kernel logs at by default.
const WARNING: u8 = 4;
/// The bytes of a prefix without its NUL (`NF_LOG_PREFIXLEN` is 128).
const LONGEST_PREFIX: usize = 127;

impl Log {
    /// Returns a log line at the level of warnings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the beginning of the line, 127 bytes at most.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the syslog level: 0 emergency to 7 debug. Default: 4, a warning.
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// Sends the packet to the listeners of a netlink group (`NFULNL`), not to the kernel's log.
    pub fn group(mut self, group: u16) -> Self {
        self.group = Some(group);
        self
    }

    pub(crate) fn check_values(&self) -> Result<(), String> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if prefix.len() > LONGEST_PREFIX {
            return Err(format!("a log prefix has {LONGEST_PREFIX} bytes at most"));
        }
        if prefix.contains(['"', '\0', '\n']) {
            return Err("nft could not list a prefix with a quote, a NUL or a line break".into());
        }
        match (self.level, self.group) {
            (Some(_), Some(_)) => Err("a level is for the kernel's log, not for a group".into()),
            (Some(level), None) if usize::from(level) >= LEVELS.len() => {
                Err("a level is a number from 0 to 7".into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::Log {
        let level = self.level.and_then(|level| LEVELS.get(usize::from(level)));
        wire::Log {
            prefix: self.prefix.clone(),
            level: level.map(|(_, level)| *level),
            group: self.group,
            ..wire::Log::default()
        }
    }

    /// Decodes a log expression; `None` if it has options without a setter.
    pub(crate) fn from_wire(log: &wire::Log) -> Option<Self> {
        let known = Self {
            prefix: log.prefix.clone(),
            level: log.level.and_then(|level| u8::try_from(level.number()).ok()),
            group: log.group,
        };
        (known.to_wire() == *log).then(|| known.normal())
    }

    /// The log as it is read back.
    pub(crate) fn normal(mut self) -> Self {
        self.level = self.level.filter(|&level| level != WARNING);
        self
    }
}

impl Rule {
    /// Logs the packet: `log prefix "…"`.
    pub fn log(self, log: Log) -> Self {
        self.with(log.normal())
    }
}

impl Statement for Log {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), String> {
        encoder.push(self.to_wire());
        Ok(())
    }

    fn decode(_: &mut Reader<'_>, expr: &Expr) -> Option<Self> {
        let Expr::Log(wire) = expr else { return None };
        Self::from_wire(wire)
    }

    fn check(&self, _: Context) -> Result<(), String> {
        self.check_values()
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats the log as `nft` does.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("log")?;
        if let Some(prefix) = &self.prefix {
            write!(f, " prefix \"{prefix}\"")?;
        }
        let level = self.level.and_then(|level| LEVELS.get(usize::from(level)));
        if let Some((name, _)) = level {
            write!(f, " level {name}")?;
        }
        self.group.map_or(Ok(()), |group| write!(f, " group {group}"))
    }
}
