//! A delegated plugin, which assigns addresses. It runs as the specification requires, with the
//! variables of this call.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command as Process, Output, Stdio};

use serde_json::Value;

use crate::call::{Call, Command};
use crate::failure::{Code, Failure};
use crate::fields::Fields;
use crate::result::NetworkResult;

#[derive(Debug, Clone)]
pub(crate) struct Delegate {
    kind: String,
}

impl Delegate {
    pub(super) fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned() }
    }

    /// Runs ADD and returns the assigned addresses.
    pub(crate) fn add(&self, call: &Call, document: &Value) -> Result<NetworkResult, Failure> {
        let output = self.run(Command::Add, call, document)?;
        let unreadable = |error: &dyn std::fmt::Display| {
            let problem = format!("plugin `{}` answered ADD with no result: {error}", self.kind);
            Failure::new(Code::Decode, problem)
        };
        let answer: Value = serde_json::from_str(&output).map_err(|error| unreadable(&error))?;
        let result = Fields::of(&answer).and_then(|fields| NetworkResult::read(&fields));
        result.map_err(|failure| unreadable(&failure))
    }

    /// Returns whether the plugin requests addresses over the container's interface, which must
    /// then exist.
    pub(crate) fn needs_interface(&self) -> bool {
        self.kind == "dhcp"
    }

    /// Returns whether the plugin is installed.
    pub(crate) fn is_there(&self, call: &Call) -> bool {
        self.path(call).is_ok()
    }

    /// Runs the plugin and returns its output.
    pub(crate) fn run(
        &self,
        command: Command,
        call: &Call,
        document: &Value,
    ) -> Result<String, Failure> {
        let path = self.path(call)?;
        let name = command.name();
        let failed = |error: &std::io::Error| {
            Failure::new(Code::Delegate, format!("run {} for {name}: {error}", path.display()))
        };
        let mut child = Process::new(&path)
            .env("CNI_COMMAND", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| failed(&error))?;
        let sent =
            child.stdin.take().map(|mut stdin| stdin.write_all(document.to_string().as_bytes()));
        let output = child.wait_with_output().map_err(|error| failed(&error))?;
        match sent.unwrap_or(Ok(())) {
            // A plugin may exit without reading its whole input.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(&error)),
            _ => {}
        }
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failure(name, &output))
    }

    /// Returns whether the plugin does not know the command, or does not support it in this
    /// version.
    pub(crate) fn is_unknown_command(failure: &Failure) -> bool {
        [Code::IncompatibleVersion as u32, Code::InvalidEnvironment as u32]
            .contains(&failure.code())
    }

    /// Returns the failure that the plugin reported, with the plugin's code.
    fn failure(&self, command: &str, output: &Output) -> Failure {
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let code = said["code"].as_u64().and_then(|code| u32::try_from(code).ok());
        match code {
            Some(code) => Failure::of_delegate(
                code,
                format!("plugin `{}`, {command}: {}", self.kind, text("msg")),
                text("details"),
            ),
            None => Failure::new(
                Code::Delegate,
                format!(
                    "plugin `{}`, {command}: {}, without an error message",
                    self.kind, output.status
                ),
            ),
        }
    }

    fn path(&self, call: &Call) -> Result<PathBuf, Failure> {
        if call.path.is_empty() {
            let problem = format!("{} needs CNI_PATH: not set", call.command.name());
            let reason = format!("ipam.type `{}` is another plugin", self.kind);
            return Err(Failure::new(Code::InvalidEnvironment, problem).details(reason));
        }
        let candidates = call.path.iter().map(|directory| directory.join(&self.kind));
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let places: Vec<_> = call.path.iter().map(|path| path.display().to_string()).collect();
            let problem = format!("ipam.type: there is no plugin `{}` in CNI_PATH", self.kind);
            Failure::new(Code::InvalidConfig, problem).details(places.join(":"))
        })
    }
}
