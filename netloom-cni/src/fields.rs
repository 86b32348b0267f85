//! The fields of a JSON object. Unknown fields are ignored. The error for a wrong value names
//! the field's path.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// A JSON object and its path in the document.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
}

/// Treats a JSON null as an absent value.
fn present(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

impl<'a> Fields<'a> {
    /// Returns the fields of a whole document.
    pub(crate) fn of(document: &'a Value) -> Result<Self, Failure> {
        Self::at(document, String::new())
    }

    /// Returns the fields of the value at this path.
    pub(crate) fn at(value: &'a Value, path: String) -> Result<Self, Failure> {
        match value.as_object() {
            Some(object) => Ok(Self { object, path }),
            None => Err(wrong(&path, value, "an object")),
        }
    }

    /// Returns a field's path, such as `ipam.ranges[0]`.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).and_then(present)
    }

    /// Returns the failure for a field with a wrong value.
    pub(crate) fn refuse(&self, name: &str, expected: impl fmt::Display) -> Failure {
        wrong(&self.path_of(name), self.value(name).unwrap_or(&Value::Null), expected)
    }

    /// Returns the failure for a field that is known but not supported.
    pub(crate) fn unsupported(&self, name: &str) -> Failure {
        let value = self.value(name).unwrap_or(&Value::Null);
        let problem = format!("{}: {value} is not supported", self.path_of(name));
        Failure::new(Code::UnsupportedField, problem)
    }

    /// Returns whether the field is present, even as `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.refuse(name, "a string"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.refuse(name, "true or false"))
    }

    /// Reads a number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let refused = || {
            let expected = format!("a number from {} to {}", bounds.start(), bounds.end());
            self.refuse(name, expected)
        };
        number.filter(|number| bounds.contains(number)).ok_or_else(refused).map(Some)
    }

    /// Parses a string. An empty string counts as absent.
    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        match self.text(name)? {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| self.refuse(name, expected)),
        }
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Failure> {
        self.value(name).map(|value| Self::at(value, self.path_of(name))).transpose()
    }

    /// Returns the values of a list, each with its path.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<(String, &'a Value)>, Failure> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        items(value, &self.path_of(name))
    }

    /// Returns the objects of a list.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, Failure> {
        self.list(name)?.into_iter().map(|(path, value)| Self::at(value, path)).collect()
    }
}

/// Returns the values of a list, each with its path. Fails if the value is no list.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> Result<Vec<(String, &'a Value)>, Failure> {
    let Some(list) = value.as_array() else { return Err(wrong(path, value, "a list")) };
    Ok(list.iter().enumerate().map(|(at, value)| (format!("{path}[{at}]"), value)).collect())
}

/// Returns the failure for a wrong value at a path.
pub(crate) fn wrong(path: &str, value: &Value, expected: impl fmt::Display) -> Failure {
    let path = if path.is_empty() { "the network configuration" } else { path };
    let problem = match value {
        Value::Null => format!("{path}: {expected} is missing"),
        value => format!("{path}: {value} is not {expected}"),
    };
    Failure::new(Code::InvalidConfig, problem)
}
