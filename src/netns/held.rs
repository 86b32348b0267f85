//! The settings of a namespace that have owners: what was there before them, and what each one set.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use nix::errno::Errno;

use super::identity::NetnsId;
use super::setting_id::{Followers, Lists, SettingId, is_gone};
use super::sockets::lock;
use crate::error::Cause;

/// How a setting is read and written.
pub(crate) trait Access {
    type Failure;

    fn read(&self) -> Result<String, Self::Failure>;
    fn write(&self, value: &str) -> Result<(), Self::Failure>;

    /// The failure for what is put back along with it.
    fn failure(&self, cause: Cause) -> Self::Failure;
}

/// The settings of one namespace that have owners, whichever handles these came by.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Holds>);

/// Of every namespace that has one; they live in the handles.
static ALL: Mutex<BTreeMap<NetnsId, Weak<Held>>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    by_id: BTreeMap<SettingId, Hold>,
    /// Kept free for putting back, while there is something to put back.
    spare: Vec<OwnedFd>,
}

/// What a file inside is reached by: the way home, the socket for lists, and the file itself.
const SPARE: usize = 3;

/// What was there before, and what each owner set, the last one in force.
#[derive(Debug)]
struct Hold {
    original: String,
    values: Vec<(u64, String)>,
}

impl Held {
    pub(super) fn of(namespace: NetnsId) -> Arc<Self> {
        let mut all = lock(&ALL);
        if let Some(held) = all.get(&namespace).and_then(Weak::upgrade) {
            return held;
        }
        all.retain(|_, held| held.strong_count() > 0);
        let held = Arc::default();
        all.insert(namespace, Arc::downgrade(&held));
        held
    }

    /// Sets it for a new owner, whose number is returned.
    pub(crate) fn set<A: Access>(
        &self,
        id: &SettingId,
        value: &str,
        access: &A,
    ) -> Result<u64, A::Failure> {
        let mut holds = lock(&self.0);
        let mut lists = Lists::default();
        let (before, followers) = state(id, access, &mut lists)?;
        let mut write = || {
            access.write(value)?;
            // What the kernel made of it, and of those.
            state(id, access, &mut lists)
        };
        let (now, mut follow) = match write() {
            Ok(now) => now,
            Err(failure) => {
                // Where it was written all the same: not to be left so.
                if access.read().map_or(true, |now| now != before) {
                    access.write(&before).ok();
                    for (id, before) in followers {
                        id.write(&before).ok();
                    }
                }
                return Err(failure);
            }
        };
        let owner = holds.next;
        holds.next += 1;
        // The switch itself last: what links have without it is asked of its older owners.
        for (id, before) in followers {
            if let Some(now) = follow.remove(&id) {
                holds.push(id, &before, owner, now);
            }
        }
        holds.push(id.clone(), &before, owner, now);
        Ok(owner)
    }

    /// Puts back what is to be there without this owner, and where it was a switch, with all that the
    /// kernel sets along. Where it fails, what is left to do is still known.
    pub(crate) fn put_back<A: Access>(
        &self,
        id: &SettingId,
        owner: u64,
        access: &A,
    ) -> Result<(), A::Failure> {
        let mut holds = lock(&self.0);
        let mut lists = Lists::default();
        let failed = |cause| access.failure(cause);
        let Followers { values: followers, switch } = id.followers(&mut lists).map_err(failed)?;
        let own = holds.by_id.get(id).and_then(|hold| hold.without(owner));
        let mut of_new_links = None;
        if let Some((ours, Some(next))) = own
            && switch.map_or_else(|| access.read(), Ok)? == ours
        {
            access.write(next)?;
            of_new_links = holds.default_of(id).map(|value| (ours.to_owned(), value));
        }
        let mut after = id.followers(&mut lists).map_err(failed)?.values;
        // Only now: where it fails it is still ours to put back.
        holds.forget(id, owner);
        let mut result = Ok(());
        for (id, before) in followers {
            let wanted = match (holds.by_id.get(&id), &of_new_links) {
                (Some(hold), _) => match hold.without(owner) {
                    Some((ours, Some(next))) if before == ours => next,
                    _ => &before,
                },
                // Born while the switch was on, and set by it.
                (None, Some((ours, default))) if *ours == before && id.leaders().is_some() => {
                    default
                }
                _ => &before,
            };
            let done = match after.remove(&id) {
                Some(now) if now != *wanted => match id.write(wanted) {
                    // It went meanwhile, with its link.
                    Err(cause) if is_gone(&cause) => Ok(()),
                    done => done.inspect_err(|_| holds.is_now(&id, owner, &now)),
                },
                _ => Ok(()),
            };
            match done {
                Ok(()) => holds.forget(&id, owner),
                Err(cause) => result = result.and(Err(access.failure(cause))),
            }
        }
        if result.is_ok() {
            // Those of links that are gone.
            holds.forget_all(owner);
        }
        result
    }

    /// Sets one by its file, which takes descriptors to be put back: they are kept from now on.
    pub(super) fn set_file(
        &self,
        id: &SettingId,
        value: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<u64, Cause> {
        lock(&self.0).keep_spare(namespace)?;
        let owner = self.set(id, value, id);
        let mut holds = lock(&self.0);
        if owner.is_ok() {
            // Where the last owner of another one went meanwhile.
            holds.keep_spare(namespace).ok();
        } else {
            holds.free_spare();
        }
        owner
    }

    /// Puts back what takes descriptors: where none is left, by those that were kept for it.
    pub(super) fn with_spare(
        &self,
        namespace: BorrowedFd<'_>,
        put_back: impl Fn() -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let done = put_back();
        if !matches!(&done, Err(cause) if matches!(cause.errno(), Some(Errno::EMFILE | Errno::ENFILE)))
        {
            return done;
        }
        lock(&self.0).spare.clear();
        let done = put_back();
        let mut holds = lock(&self.0);
        if !holds.by_id.is_empty() {
            holds.keep_spare(namespace).ok();
        }
        done
    }

    /// The setting is gone, with its link.
    pub(crate) fn forget(&self, id: &SettingId, owner: u64) {
        lock(&self.0).forget(id, owner);
    }
}

/// What it is, and what follows it.
fn state<A: Access>(
    id: &SettingId,
    access: &A,
    lists: &mut Lists,
) -> Result<(String, BTreeMap<SettingId, String>), A::Failure> {
    // Not by two ways: each is a file to open.
    let own = if id.is_told_by_followers() { None } else { Some(access.read()?) };
    let Followers { values, switch } =
        id.followers(lists).map_err(|cause| access.failure(cause))?;
    match own.or(switch) {
        Some(own) => Ok((own, values)),
        None => Ok((access.read()?, values)),
    }
}

impl Holds {
    /// Any descriptor will do.
    fn keep_spare(&mut self, one: BorrowedFd<'_>) -> Result<(), Cause> {
        while self.spare.len() < SPARE {
            match one.try_clone_to_owned() {
                Ok(spare) => self.spare.push(spare),
                Err(error) => {
                    self.free_spare();
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Where nothing is to be put back any more.
    fn free_spare(&mut self) {
        if self.by_id.is_empty() {
            self.spare.clear();
        }
    }

    fn push(&mut self, id: SettingId, before: &str, owner: u64, now: String) {
        let original = self.without_switch(&id, before).unwrap_or(before).to_owned();
        let hold = self.by_id.entry(id).or_insert(Hold { original, values: Vec::new() });
        hold.values.push((owner, now));
    }

    /// Where a link has what a switch for all of them brought: what it would have without.
    fn without_switch(&self, id: &SettingId, now: &str) -> Option<&str> {
        let [switch, default] = id.leaders()?;
        let (_, on) = self.by_id.get(&switch)?.values.last()?;
        let default = self.by_id.get(&default)?;
        (on == now).then_some(&default.original)
    }

    /// What new links would start from without this switch, if it is one and has no other owner.
    fn default_of(&self, switch: &SettingId) -> Option<String> {
        let SettingId::OfNamespace(path) = switch else { return None };
        if self.by_id.get(switch)?.values.len() > 1 {
            return None;
        }
        let (links, name) = (path.parent()?.parent()?, path.file_name()?);
        let default = SettingId::OfNamespace(links.join("default").join(name));
        Some(self.by_id.get(&default)?.original.clone())
    }

    /// What the kernel made of an owner's value.
    fn is_now(&mut self, id: &SettingId, owner: u64, now: &str) {
        let values = self.by_id.get_mut(id).into_iter().flat_map(|hold| &mut hold.values);
        values.filter(|(one, _)| *one == owner).for_each(|(_, value)| now.clone_into(value));
    }

    fn forget(&mut self, id: &SettingId, owner: u64) {
        if let Some(hold) = self.by_id.get_mut(id) {
            hold.values.retain(|(one, _)| *one != owner);
            if hold.values.is_empty() {
                self.by_id.remove(id);
            }
        }
        self.free_spare();
    }

    fn forget_all(&mut self, owner: u64) {
        self.by_id.retain(|_, hold| {
            hold.values.retain(|(one, _)| *one != owner);
            !hold.values.is_empty()
        });
        self.free_spare();
    }
}

impl Hold {
    /// What an owner set, and what is to be there without it, where that differs.
    fn without(&self, owner: u64) -> Option<(&str, Option<&str>)> {
        let at = self.values.iter().position(|(one, _)| *one == owner)?;
        let ours = &self.values.get(at)?.1;
        let below = at.checked_sub(1).and_then(|at| self.values.get(at));
        let next = below.map_or(&self.original, |(_, value)| value);
        let is_last = at + 1 == self.values.len();
        Some((ours, (is_last && next != ours).then_some(next)))
    }
}
