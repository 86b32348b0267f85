//! The owners of sysctls, counted across programs. They decide which value a sysctl has and which
//! value is restored.
//!
//! The value of the newest owner applies. When that owner is dropped, the sysctl gets the value of
//! the newest remaining owner. After the last owner, it gets the value from before the first. If
//! another program wrote a value meanwhile, that value stays.

use std::sync::Arc;

use nix::errno::Errno;

use super::directory::{Directory, Follower};
use super::key::Key;
use super::record::{self, Record};
use crate::error::{Cause, Error};
use crate::owned::sealed::Removed;
use crate::sys::process::PerProcess;

/// An owner of a sysctl: the value that it set, and the value to restore.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) directory: Arc<Directory>,
    pub(super) key: Key,
    record: Record,
    /// True if the owner's record exists in the kernel.
    counted: PerProcess<bool>,
    /// The sysctls that remain to be restored along with a switch, after the switch itself was
    /// restored.
    left: PerProcess<Vec<Follower>>,
}

impl Owner {
    /// Sets a sysctl for a new owner.
    pub(super) fn set(directory: Arc<Directory>, key: Key, value: &str) -> Result<Self, Error> {
        let locked = directory.lock(&key)?;
        let records = if locked.is_some() { list(&directory)? } else { Vec::new() };
        let before = directory.read(&key)?;
        let followers = directory.followers(&key)?;
        let name = key.to_string();
        let mut record = Record {
            id: Record::next_id(&records),
            found: without_owners(&records, &name, key.switch_and_default(), &before),
            others: exceptions(&records, &name, &followers),
            key: name,
            value: String::new(),
        };
        let mut set = || {
            directory.write(&key, value)?;
            // Read the value back, because the kernel may normalize it.
            record.value = directory.read(&key)?;
            match record.add(&directory.netns) {
                Err(error) if is_uncounted(&error) => {
                    log::debug!("this owner is not counted across programs: {error}");
                    Ok(false)
                }
                added => added.map(|()| true),
            }
        };
        let counted = set().inspect_err(|_| {
            // After a failure the sysctl or the record may still have been changed, so undo both.
            record.remove(&directory.netns).ok();
            if directory.read(&key).map_or(true, |now| now != before) {
                directory.write(&key, &before).ok();
                for follower in &followers {
                    directory.write_follower(follower).ok();
                }
            }
        })?;
        drop(locked);
        let (counted, left) = (PerProcess::new(counted), PerProcess::new(Vec::new()));
        Ok(Self { directory, key, record, counted, left })
    }

    /// Lists the records of all owners. `has_lock` is false if this kernel or process has no lock.
    fn records(&self, has_lock: bool) -> Result<Vec<Record>, Error> {
        match (*self.counted.lock(), has_lock) {
            (true, true) => record::list(&self.directory.netns),
            // The lock was available when the record was created.
            (true, false) => Err(self.directory.explain(Errno::EPERM.into(), &self.key.name)),
            (false, true) => list(&self.directory),
            (false, false) => Ok(Vec::new()),
        }
    }

    /// Ends the ownership: the sysctl gets the value that it would have without this owner.
    pub(super) fn put_back(&self) -> Result<Removed, Error> {
        let Self { directory, key, .. } = self;
        let explain = |cause| directory.explain(cause, &key.name);
        let locked = directory.lock(key)?;
        let mut records = self.records(locked.is_some())?;
        let is_recorded = records.iter().any(|record| record.id == self.record.id);
        let is_newest = records.iter().rfind(|record| record.key == self.record.key);
        let is_newest = is_newest.is_none_or(|newest| newest.id <= self.record.id);
        records.retain(|record| record.id != self.record.id);
        if is_newest && directory.read(key)? == self.record.value {
            let wanted = self.value_without(&records);
            if wanted != self.record.value {
                let before = directory.followers(key)?;
                directory.write(key, &wanted)?;
                *self.left.lock() = self.left_to_do(&records, before, &wanted);
                let now = directory.read(key)?;
                if now != wanted {
                    let reason = format!("`{wanted}` was written, and the kernel has `{now}`");
                    return Err(explain(Cause::Invalid(reason)));
                }
            }
        }
        let mut left = self.left.lock();
        while let Some(follower) = left.last() {
            directory.write_follower(follower).map_err(explain)?;
            left.pop();
        }
        if is_recorded {
            self.record.remove(&directory.netns)?;
        }
        Ok(Removed::Deleted)
    }

    /// Adds the record of an owner that was released before, or removes the record.
    pub(super) fn record(&self, is_owned: bool) -> Result<(), Error> {
        let netns = &self.directory.netns;
        let locked = self.directory.lock(&self.key)?;
        let records = self.records(locked.is_some())?;
        let is_recorded = records.iter().any(|record| record.id == self.record.id);
        match (is_owned, is_recorded) {
            (true, false) if locked.is_some() => self.record.add(netns)?,
            (false, true) => self.record.remove(netns)?,
            _ => return Ok(()),
        }
        *self.counted.lock() = is_owned;
        Ok(())
    }

    /// Returns the sysctl's value without this owner. A link's sysctl follows the switch for all
    /// links.
    fn value_without(&self, others: &[Record]) -> String {
        let switch = self.key.switch_and_default().map(|[switch, _]| switch);
        let counts = |record: &&Record| {
            record.key == self.record.key || Some(&record.key) == switch.as_ref()
        };
        let newest = others.iter().rfind(counts);
        newest.map_or(&self.record.found, |record| &record.value).clone()
    }

    /// Returns the sysctls that the kernel changes along with the switch but that must get another
    /// value. Leaves out those that another program changed while the switch was on.
    fn left_to_do(&self, others: &[Record], before: Vec<Follower>, switch: &str) -> Vec<Follower> {
        if others.iter().any(|record| record.key == self.record.key) {
            return Vec::new();
        }
        let found = |key: &str| {
            let exception = self.record.others.iter().find(|(other, _)| other == key);
            exception.map(|(_, value)| value)
        };
        // A link that was created later started with the default.
        let default = before.first().and_then(|default| found(&default.key));
        let wanted = |mut follower: Follower| {
            // The kernel sets `accept_redirects` to the opposite of the switch.
            let is_opposite = follower.key.ends_with("/accept_redirects");
            if is_opposite || follower.value == self.record.value {
                let newest = others.iter().rfind(|record| record.key == follower.key);
                let newest = newest.map(|record| &record.value);
                let value = newest.or_else(|| found(&follower.key));
                follower.value.clone_from(value.or(default.filter(|_| !is_opposite))?);
            }
            (is_opposite || follower.value != switch).then_some(follower)
        };
        before.into_iter().filter_map(wanted).collect()
    }
}

/// Lists the records. The list is empty if owners are not counted here.
fn list(directory: &Directory) -> Result<Vec<Record>, Error> {
    match record::list(&directory.netns) {
        Err(error) if is_uncounted(&error) => Ok(Vec::new()),
        records => records,
    }
}

/// Returns whether owners cannot be counted: the kernel has no `nf_tables` or no owner flag, or a
/// privilege is missing.
fn is_uncounted(error: &Error) -> bool {
    error.is_unsupported() || error.is_permission_denied() || error.is_not_found()
}

/// Returns the value that a sysctl had before all owners. For a link's sysctl, owners of the switch
/// for all links count too.
fn without_owners(
    records: &[Record],
    key: &str,
    switch_and_default: Option<[String; 2]>,
    now: &str,
) -> String {
    if let Some(oldest) = records.iter().find(|record| record.key == key) {
        return oldest.found.clone();
    }
    let Some([switch, default]) = switch_and_default else { return now.to_owned() };
    let Some(oldest) = records.iter().find(|record| record.key == switch) else {
        return now.to_owned();
    };
    let exception = |key: &str| oldest.others.iter().find(|(other, _)| other == key);
    let found = exception(key).or_else(|| exception(&default)).map(|(_, value)| value);
    // Another program has changed the sysctl meanwhile.
    if now == oldest.value { found.unwrap_or(&oldest.found).clone() } else { now.to_owned() }
}

/// Returns the sysctls that the kernel changes along with a switch and whose value differs from
/// `default`, each as it would be without its owners. Also returns `default` itself.
fn exceptions(records: &[Record], switch: &str, followers: &[Follower]) -> Vec<(String, String)> {
    if let Some(oldest) = records.iter().find(|record| record.key == switch) {
        return oldest.others.clone();
    }
    let mut values = followers.iter().map(|follower| {
        let value = without_owners(records, &follower.key, None, &follower.value);
        (follower.key.clone(), value)
    });
    let Some((default, base)) = values.next() else { return Vec::new() };
    let others: Vec<_> = values
        .filter(|(key, value)| *value != base || key.ends_with("/accept_redirects"))
        .collect();
    std::iter::once((default, base)).chain(others).collect()
}
