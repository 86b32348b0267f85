//! Obstacles to user namespaces, and their remedies.

use std::fmt;

use nix::errno::Errno;

use crate::sys::file;

/// The reason why an ordinary user cannot create a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The kernel was built without `CONFIG_USER_NS`.
    NotBuilt,
    /// `user.max_user_namespaces` is 0.
    LimitIsZero,
    /// `kernel.unprivileged_userns_clone` is 0: a patch that Debian and Arch carry.
    CloneIsOff,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1, Ubuntu's default since 23.10. The user
    /// namespace can be created, but grants no capability.
    AppArmor,
    /// A seccomp filter, a chroot or a security module refuses. No sysctl does.
    Confined,
}

/// Returns the sysctl of this machine that keeps an ordinary user from creating user namespaces.
///
/// A sysctl alone proves nothing: root is exempt from some of them, and a security profile may
/// exempt a program. So call this only after a refusal.
pub(crate) fn obstacle() -> Option<Obstacle> {
    obstacle_in(|path| file::read_to_string(path).ok())
}

/// The sysctls, with the values that forbid user namespaces.
const SETTINGS: [(Obstacle, &str, &str); 3] = [
    (Obstacle::LimitIsZero, "/proc/sys/user/max_user_namespaces", "0"),
    (Obstacle::CloneIsOff, "/proc/sys/kernel/unprivileged_userns_clone", "0"),
    (Obstacle::AppArmor, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
];

fn obstacle_in(read: impl Fn(&str) -> Option<String>) -> Option<Obstacle> {
    if read("/proc/self/uid_map").is_none() {
        return Some(Obstacle::NotBuilt);
    }
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    SETTINGS.into_iter().find(|(_, path, value)| is(path, value)).map(|(obstacle, ..)| obstacle)
}

impl Obstacle {
    /// Returns the obstacle behind a refusal with this errno.
    pub(crate) fn behind(errno: Errno) -> Option<Self> {
        let only = |this| obstacle().filter(|obstacle| *obstacle == this);
        match errno {
            // The kernel also answers so for user.max_net_namespaces, and for 33 nested user
            // namespaces.
            Errno::ENOSPC | Errno::EUSERS => only(Self::LimitIsZero),
            Errno::EINVAL | Errno::ENOSYS => only(Self::NotBuilt),
            Errno::EPERM | Errno::EACCES => Some(obstacle().unwrap_or(Self::Confined)),
            _ => None,
        }
    }

    /// Returns the remedy.
    pub(crate) fn remedy(self) -> &'static str {
        self.texts().1
    }

    /// Describes the obstacle, and its remedy.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::NotBuilt => {
                ("this kernel has no user namespaces (CONFIG_USER_NS)", "run it as root")
            }
            Self::LimitIsZero => (
                "user namespaces are off: user.max_user_namespaces is 0",
                "as root `sysctl -w user.max_user_namespaces=65536`, or run it as root",
            ),
            Self::CloneIsOff => (
                "user namespaces are off for ordinary users: kernel.unprivileged_userns_clone is 0",
                "as root `sysctl -w kernel.unprivileged_userns_clone=1`, or run it as root",
            ),
            Self::AppArmor => (
                "AppArmor restricts user namespaces for ordinary users: \
                 kernel.apparmor_restrict_unprivileged_userns is 1",
                "as root `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` or an AppArmor \
                 profile with `userns` for this program, or run it as root",
            ),
            Self::Confined => (
                "namespaces are refused here, as by the seccomp filter of a container, or in a chroot",
                "give the container CAP_SYS_ADMIN and CAP_NET_ADMIN, or run it as root outside",
            ),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&str, &str)]) -> Option<Obstacle> {
        obstacle_in(|path| {
            let name = path.rsplit('/').next().unwrap();
            let value = settings.iter().find(|(key, _)| *key == name)?.1;
            Some(format!("{value}\n"))
        })
    }

    #[test]
    fn only_a_denial_is_put_down_to_confinement() {
        assert_eq!(Obstacle::behind(Errno::EMFILE), None);
        assert!(Obstacle::behind(Errno::EPERM).is_some());
    }

    #[test]
    fn each_setting_is_told_apart() {
        let built = ("uid_map", "0 0 4294967295");
        assert_eq!(with(&[]), Some(Obstacle::NotBuilt));
        assert_eq!(with(&[built]), None);
        assert_eq!(
            with(&[built, ("max_user_namespaces", "0"), ("unprivileged_userns_clone", "0")]),
            Some(Obstacle::LimitIsZero)
        );
        assert_eq!(
            with(&[built, ("max_user_namespaces", "100"), ("unprivileged_userns_clone", "0")]),
            Some(Obstacle::CloneIsOff)
        );
        assert_eq!(
            with(&[
                built,
                ("unprivileged_userns_clone", "1"),
                ("apparmor_restrict_unprivileged_userns", "1")
            ]),
            Some(Obstacle::AppArmor)
        );
    }
}
