//! The ids by which a namespace refers to other namespaces in netlink messages (`nsid`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_route::nsid::NsidAttribute;
use nix::errno::Errno;

use super::handle::Netns;
use super::named;
use crate::error::{Cause, Error};
use crate::netlink::{Batch, RequestType};
use crate::sys::file::OFlag;
use crate::wire::message::{Message, NLM_F_DUMP};

/// The `struct rtgenmsg` of a request, padded, with family `AF_UNSPEC`.
const RTGENMSG: [u8; 4] = [0; 4];

/// A namespace's id in another namespace, as `ip netns list-id` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerId {
    /// The id, `link-netnsid` in `ip link`.
    pub number: u32,
    /// A name of the namespace under `/run/netns`, if it has one.
    pub name: Option<String>,
}

impl Netns {
    /// Lists the namespaces for which this one has an id, as `ip netns list-id`. The kernel assigns
    /// an id to the namespace of a veth peer when the veth is listed.
    ///
    /// ```
    /// use netloom::Namespace;
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let white = Namespace::named("white").create()?;
    /// assert_eq!(red.peer_id(&white)?, None);
    /// red.assign_peer_id(&white, 7)?;
    /// assert_eq!(red.peer_id(&white)?, Some(7));
    /// assert_eq!(red.peer_ids()?[0].name.as_deref(), Some("white"));
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `ErrorKind::Interrupted` if the list changed during each attempt to read it. A partial list
    /// is never returned.
    #[doc(alias("ip netns list-id", "RTM_GETNSID", "nsid"))]
    pub fn peer_ids(&self) -> Result<Vec<PeerId>, Error> {
        let all =
            |batch: &mut Batch| batch.push(RequestType::GetNsId, NLM_F_DUMP, &RTGENMSG, |_| ());
        let mut numbers = self.dump("namespace ids", all, number)?;
        numbers.sort_unstable();
        let doing = |cause: Cause| cause.doing("list", "namespace ids").in_namespace(self);
        let mut peers: Vec<_> =
            numbers.into_iter().map(|number| PeerId { number, name: None }).collect();
        for (name, id) in named::list().map_err(doing)? {
            if id.is_none() {
                continue;
            }
            let file = match named::open_file(&named::path(&name), OFlag::O_NOFOLLOW) {
                // The name was deleted meanwhile.
                Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => continue,
                opened => opened.map_err(|errno| doing(errno.into()))?,
            };
            let number = match self.number_of(file.as_fd()) {
                // The other namespace is gone.
                Err(cause) if cause.errno() == Some(Errno::EINVAL) => None,
                number => number.map_err(doing)?,
            };
            if let Some(peer) = peers.iter_mut().find(|peer| Some(peer.number) == number) {
                peer.name.get_or_insert(name);
            }
        }
        Ok(peers)
    }

    /// Looks up the id by which this namespace refers to another one. `None` if it has no id.
    ///
    /// # Errors
    ///
    /// The kernel refuses the request or does not answer.
    #[doc(alias = "ip netns list-id")]
    pub fn peer_id(&self, other: &Netns) -> Result<Option<u32>, Error> {
        self.number_of(other.fd())
            .map_err(|cause| cause.doing("look up the id of", other).in_namespace(self))
    }

    /// Assigns another namespace an id in this one, as `ip netns set NAME NETNSID`. The id remains
    /// as long as both namespaces live.
    ///
    /// # Errors
    ///
    /// [`is_already_exists`](Error::is_already_exists) if the other namespace has an id already, or
    /// the id is in use. An id above 2,147,483,647 is refused before any system call.
    #[doc(alias("ip netns set", "RTM_NEWNSID"))]
    pub fn assign_peer_id(&self, other: &Netns, number: u32) -> Result<(), Error> {
        const ACTION: &str = "give a namespace id to";
        let Ok(signed) = i32::try_from(number) else {
            let reason = format!("{number}: a namespace id is at most {}", i32::MAX);
            return Err(Error::invalid(ACTION, other, reason).in_namespace(self));
        };
        let mut batch = Batch::default();
        batch.push(RequestType::NewNsId, 0, &RTGENMSG, |out| {
            out.emit(&[about(other.fd()), NsidAttribute::Id(signed)].as_slice());
        });
        let done = self.rtnetlink(|socket| {
            let refused = socket.exchange(&mut batch, |_, _| ())?.into_iter().next();
            refused.map_or(Ok(()), |(_, refusal)| Err(refusal.into()))
        });
        done.map_err(|cause: Cause| {
            let error = cause.doing(ACTION, other).in_namespace(self);
            let taken = format!("it has an id already, or {number} is another namespace's");
            error.hint_on(Errno::EEXIST, || taken.clone()).hint_on(Errno::ENOSPC, || taken)
        })
    }

    fn number_of(&self, other: BorrowedFd<'_>) -> Result<Option<u32>, Cause> {
        let request = |batch: &mut Batch| {
            batch.push(RequestType::GetNsId, 0, &RTGENMSG, |out| out.emit(&about(other)))
        };
        self.rtnetlink(|socket| socket.get(request, number))
    }
}

/// Returns the attribute that refers to an open namespace by its descriptor.
fn about(namespace: BorrowedFd<'_>) -> NsidAttribute {
    NsidAttribute::Fd(namespace.as_raw_fd().cast_unsigned())
}

/// Reads the id from an answer about one namespace. The kernel sends -1 if there is no id.
pub(crate) fn number(message: Message<'_>) -> Option<u32> {
    let (_, attributes) = message.split::<1>()?;
    attributes.parse().find_map(|attribute| match attribute {
        Ok(NsidAttribute::Id(number)) => u32::try_from(number).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Option<u32> {
        number(Message { kind: 88, flags: 0, sequence: 0, payload })
    }

    #[test]
    fn a_number_and_none_are_told_apart() {
        assert_eq!(read(&[0, 0, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0]), Some(7));
        assert_eq!(read(&[0, 0, 0, 0, 8, 0, 1, 0, 255, 255, 255, 255]), None);
        assert_eq!(read(&[0, 0, 0, 0]), None);
    }

    #[test]
    fn no_cut_makes_reading_fail() {
        let payload = [0, 0, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0];
        for cut in 0..payload.len() {
            assert!(read(&payload[..cut]).is_none());
        }
    }
}
