//! A call of the plugin: the command and the other `CNI_*` variables.

use std::env;
use std::path::PathBuf;

use crate::failure::{Code, Failure};

/// The longest container id: a file name of 255 bytes has room for it, `@` and an interface's name.
const LONGEST_ID: usize = 239;

/// The command (`CNI_COMMAND`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

impl Command {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        let all = [Self::Add, Self::Del, Self::Check, Self::Gc, Self::Status, Self::Version];
        all.into_iter().find(|command| command.name() == name)
    }

    /// Returns the variables that the command requires.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Self::Gc | Self::Status | Self::Version => &[],
        }
    }
}

/// The variables, after validation. A variable that the command does not use is empty.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) command: Command,
    pub(crate) container: String,
    /// The path of the container's namespace. For a DEL, a runtime may leave the path out if the
    /// namespace is gone.
    pub(crate) netns: Option<PathBuf>,
    pub(crate) ifname: String,
    /// The pairs of `CNI_ARGS`.
    pub(crate) args: Vec<(String, String)>,
    /// The directories of other plugins (`CNI_PATH`). Empty if the variable is not set.
    pub(crate) path: Vec<PathBuf>,
}

impl Call {
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let value = |name: &str| variable(name).unwrap_or_default();
        let name = value("CNI_COMMAND");
        let Some(command) = Command::by_name(&name) else {
            let problem = if name.is_empty() {
                "CNI_COMMAND is not set: this is a CNI plugin, run by a container engine".into()
            } else {
                format!("CNI_COMMAND `{name}` is not one of ADD, DEL, CHECK, GC, STATUS, VERSION")
            };
            return Err(Failure::new(Code::InvalidEnvironment, problem));
        };
        let needed = command.needs().iter().copied();
        let missing: Vec<_> = needed.filter(|name| value(name).is_empty()).collect();
        if !missing.is_empty() {
            let problem = format!("{name} needs {}: not set", missing.join(", "));
            return Err(Failure::new(Code::InvalidEnvironment, problem));
        }
        let call = Self {
            command,
            container: value("CNI_CONTAINERID"),
            netns: Some(value("CNI_NETNS")).filter(|path| !path.is_empty()).map(PathBuf::from),
            ifname: value("CNI_IFNAME"),
            args: match pairs(&value("CNI_ARGS")) {
                // A DEL must clean up even if its ADD was refused because of CNI_ARGS.
                Err(_) if command == Command::Del => Vec::new(),
                pairs => pairs?,
            },
            path: env::split_paths(&value("CNI_PATH"))
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
        };
        call.check()?;
        Ok(call)
    }

    /// Returns an extra argument of `CNI_ARGS`. The name is compared without case, because runtimes
    /// differ.
    pub(crate) fn arg(&self, name: &str) -> Option<&str> {
        let is_it = |pair: &&(String, String)| pair.0.eq_ignore_ascii_case(name);
        self.args.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    fn check(&self) -> Result<(), Failure> {
        let invalid = |problem| Err(Failure::new(Code::InvalidEnvironment, problem));
        if !self.container.is_empty() && !is_identifier(&self.container) {
            return invalid(format!(
                "CNI_CONTAINERID `{}` is not letters, digits, `_`, `.` and `-` after a letter or digit",
                self.container
            ));
        }
        // A file of this name remembers the attachment.
        if self.command == Command::Add && self.container.len() > LONGEST_ID {
            return invalid(format!(
                "CNI_CONTAINERID has {} characters, and can have at most {LONGEST_ID}",
                self.container.len()
            ));
        }
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        let ifname = self.ifname.as_str();
        if ifname.len() > 15 || matches!(ifname, "." | "..") || ifname.contains(bad) {
            return invalid(format!("CNI_IFNAME `{ifname}` is not a name for a network interface"));
        }
        let known = |name: &str| {
            ["IP", "MAC", "IgnoreUnknown"].iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        // libcni ignores case here.
        let said = self.arg("IgnoreUnknown").unwrap_or("false").to_ascii_lowercase();
        let ignores = match said.as_str() {
            _ if self.command == Command::Del => true,
            "1" | "true" => true,
            "0" | "false" | "" => false,
            _ => return invalid(format!("CNI_ARGS: IgnoreUnknown `{said}` is not true or false")),
        };
        match self.args.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) if !ignores => {
                invalid(format!("CNI_ARGS: `{name}` is not known, and IgnoreUnknown=1 is not set"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a text is a valid container id or network name.
pub(crate) fn is_identifier(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_inner)
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let given = text.split(';').filter(|pair| !pair.trim().is_empty());
    given
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::new(
                Code::InvalidEnvironment,
                format!("CNI_ARGS: `{pair}` is not NAME=VALUE"),
            )),
        })
        .collect()
}
