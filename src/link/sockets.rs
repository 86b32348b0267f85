//! Sockets bound to one link.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Link;
use super::shared::Snapshot;
use crate::error::{Cause, Error};
use crate::input::Input;
use crate::netns::Opening;
use crate::sys;

impl Link {
    /// Listens for TCP connections that arrive on this link.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - The errors of [`Netns::tcp_listen`](crate::Netns::tcp_listen).
    #[doc(alias = "SO_BINDTODEVICE")]
    pub fn tcp_listen(&self, address: impl Input<SocketAddr>) -> Result<TcpListener, Error> {
        self.opening()?.opening().tcp_listen(address)
    }

    /// Connects to a TCP server through this link, as `curl --interface DEV`.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - The errors of [`Netns::tcp_connect`](crate::Netns::tcp_connect).
    pub fn tcp_connect(
        &self,
        address: impl Input<SocketAddr>,
        timeout: Duration,
    ) -> Result<TcpStream, Error> {
        self.opening()?.opening().tcp_connect(address, timeout)
    }

    /// Binds a UDP socket that sends and receives only through this link.
    ///
    /// ```
    /// use netloom::{Namespace, VethPair};
    /// # netloom::sandbox::enter()?;
    ///
    /// let red = Namespace::anonymous().create()?;
    /// let cable = VethPair::new("veth1", "veth2").create(&red)?;
    /// let dhcp = cable.near().udp_bind("0.0.0.0:68")?;
    /// # Ok::<(), netloom::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - The errors of [`Netns::udp_bind`](crate::Netns::udp_bind).
    pub fn udp_bind(&self, address: impl Input<SocketAddr>) -> Result<UdpSocket, Error> {
        self.opening()?.opening().udp_bind(address)
    }

    /// Binds a socket to this link, such as a raw socket. The socket must belong to the link's
    /// namespace.
    ///
    /// # Errors
    ///
    /// - `is_not_found()` if the link is gone.
    /// - The descriptor is no socket.
    ///
    /// Don't pass a socket of another namespace: the kernel binds it to the link with the same
    /// index there.
    #[doc(alias("SO_BINDTODEVICE", "SO_BINDTOIFINDEX"))]
    pub fn bind_socket(&self, socket: impl AsFd) -> Result<(), Error> {
        let snapshot = self.verified("bind a socket to")?;
        sys::bind_to_link(socket.as_fd(), snapshot.id.index)
            .map_err(|error| snapshot.failure("bind a socket to", Cause::from(error)))
    }

    /// Checks the link first: the kernel (6.18) binds a socket to any index, even that of a deleted
    /// link.
    fn opening(&self) -> Result<Arc<Snapshot>, Error> {
        self.verified("open a socket on")
    }
}

impl Snapshot {
    fn opening(&self) -> Opening<'_> {
        Opening { netns: &self.netns, link: Some(self.id.index) }
    }
}
