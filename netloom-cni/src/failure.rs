//! A failure as the CNI specification defines it: a code, a message and details.

use std::fmt;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

/// The error codes: those of the specification, and from 100 on the plugin's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    IncompatibleVersion = 1,
    UnsupportedField = 2,
    UnknownContainer = 3,
    InvalidEnvironment = 4,
    Io = 5,
    Decode = 6,
    InvalidConfig = 7,
    TryAgain = 11,
    Unavailable = 50,
    /// The plugin is unavailable, and existing containers may lose their connection.
    UnavailableAndLimited = 51,
    /// The kernel refused a request.
    Kernel = 100,
    /// All addresses are taken.
    Addresses = 101,
    /// A part of the result of ADD is missing or changed.
    Missing = 102,
    /// A delegated plugin failed without an error message.
    Delegate = 103,
}

/// The reason why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u32,
    message: String,
    details: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as u32, message: message.into(), details: String::new() }
    }

    /// Returns the failure that a delegated plugin reported.
    pub(crate) fn of_delegate(code: u32, message: String, details: String) -> Self {
        Self { code, message, details }
    }

    #[must_use]
    pub(crate) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// Returns the failure for a file that could not be read or written.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Code::Io, format!("{action} {}: {error}", path.display()))
    }

    pub(crate) fn code(&self) -> u32 {
        self.code
    }

    /// Joins failures into one, with the code of the first. `Ok` if the list is empty.
    pub(crate) fn join(failures: Vec<Self>) -> Result<(), Self> {
        let mut failures = failures.into_iter();
        let Some(mut first) = failures.next() else { return Ok(()) };
        for next in failures {
            first.message = format!("{}; {}", first.message, next.message);
        }
        Err(first)
    }

    /// Formats the failure as the specification's error object.
    pub(crate) fn to_json(&self, version: &str) -> Value {
        let mut object = json!({ "cniVersion": version, "code": self.code, "msg": self.message });
        if !self.details.is_empty() {
            object["details"] = json!(self.details);
        }
        object
    }
}

/// Chooses the code: I/O failure for an error of the kernel, invalid configuration for bad input.
impl From<netloom::Error> for Failure {
    fn from(error: netloom::Error) -> Self {
        let code = if error.is_invalid_input() { Code::InvalidConfig } else { Code::Kernel };
        let reason = error.remedy().unwrap_or_default().to_owned();
        Self::new(code, error.to_string()).details(reason)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
