//! Logging: `log prefix "…"`.

use crate::nft::model::prelude::*;
use crate::wire::nft::expr::log as wire;

/// Logs a packet: as a line in the kernel's log, or as a copy to a netlink group.
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
/// In a network namespace other than the initial one, the kernel's log stays empty unless
/// `net.netfilter.nf_log_all_netns` is 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[must_use = "a value does nothing until a rule gets it"]
pub struct Log(wire::Log);

/// The names of the levels in `nft`.
const LEVELS: [&str; 9] =
    ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
/// The kernel's default level.
const WARNING: u32 = 4;
/// The maximum length of a prefix without its NUL, in bytes (`NF_LOG_PREFIXLEN` is 128).
const LONGEST_PREFIX: usize = 127;

impl Log {
    /// Returns a log line at the level of warnings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the beginning of the line, at most 127 bytes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.0.prefix = Some(prefix.into());
        self
    }

    /// Sets the syslog level: 0 emergency to 7 debug. Default: 4, a warning.
    pub fn level(mut self, level: u8) -> Self {
        self.0.level = Some(u32::from(level)).filter(|&level| level != WARNING);
        self
    }

    /// Sends the packet to the listeners of a netlink group (`NFULNL`) instead of the kernel's log.
    pub fn group(mut self, group: u16) -> Self {
        self.0.group = Some(group);
        self
    }
}

fn name(level: u32) -> Option<&'static str> {
    LEVELS.get(usize::try_from(level).ok()?).copied()
}

impl Rule {
    /// Logs the packet: `log prefix "…"`.
    pub fn log(self, log: Log) -> Self {
        self.with(log)
    }
}

impl Statement for Log {
    one_expression!(self => self.0.clone(), Expr::Log(log) => {
        let wire::Log { prefix, group, level, .. } = log.clone();
        let known = wire::Log { prefix, group, level, ..wire::Log::default() };
        let level = level.filter(|&level| level != WARNING);
        (known == *log).then_some(Self(wire::Log { level, ..known }))
    });

    fn check(&self, _: Context) -> Result<(), String> {
        let prefix = self.0.prefix.as_deref().unwrap_or_default();
        if prefix.len() > LONGEST_PREFIX {
            return Err(format!("a log prefix has {LONGEST_PREFIX} bytes at most"));
        }
        if prefix.contains(['"', '\0', '\n']) {
            return Err("nft could not list a prefix with a quote, a NUL or a line break".into());
        }
        match (self.0.level, self.0.group) {
            (Some(_), Some(_)) => Err("a level is for the kernel's log, not for a group".into()),
            (Some(level), None) if name(level).is_none() => {
                Err("a level is a number from 0 to 7".into())
            }
            _ => Ok(()),
        }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats the log as `nft` does.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("log")?;
        if let Some(prefix) = &self.0.prefix {
            write!(f, " prefix \"{prefix}\"")?;
        }
        if let Some(name) = self.0.level.and_then(name) {
            write!(f, " level {name}")?;
        }
        self.0.group.map_or(Ok(()), |group| write!(f, " group {group}"))
    }
}
