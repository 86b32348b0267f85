//! Sockets bound to one link: packets come and go by it and no other.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use super::handle::Link;
use crate::error::{Cause, Error};
use crate::input::Input;
use crate::netns::{Opening, Quoted};
use crate::sys;

impl Link {
    /// Listens for TCP connections that come in by this link.
    ///
    /// # Errors
    ///
    /// As [`Netns::tcp_listen`](crate::Netns::tcp_listen), and where the link is gone.
    #[doc(alias = "SO_BINDTODEVICE")]
    pub fn tcp_listen(&self, address: impl Input<SocketAddr>) -> Result<TcpListener, Error> {
        self.opening()?.tcp_listen(address)
    }

    /// Connects to a TCP server by this link, as `curl --interface DEV`.
    ///
    /// # Errors
    ///
    /// As [`Netns::tcp_connect`](crate::Netns::tcp_connect), and where the link is gone.
    pub fn tcp_connect(
        &self,
        address: impl Input<SocketAddr>,
        timeout: Duration,
    ) -> Result<TcpStream, Error> {
        self.opening()?.tcp_connect(address, timeout)
    }

    /// Binds a UDP socket whose packets come and go by this link.
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
    /// As [`Netns::udp_bind`](crate::Netns::udp_bind), and where the link is gone.
    pub fn udp_bind(&self, address: impl Input<SocketAddr>) -> Result<UdpSocket, Error> {
        self.opening()?.udp_bind(address)
    }

    /// Binds a socket that was opened in this link's namespace to it, a raw one for example.
    ///
    /// # Errors
    ///
    /// Where the link is gone, or the descriptor is no socket. A socket of another namespace is
    /// bound to the link of that index there.
    #[doc(alias("SO_BINDTODEVICE", "SO_BINDTOIFINDEX"))]
    pub fn bind_socket(&self, socket: impl AsFd) -> Result<(), Error> {
        self.opening()?;
        sys::bind_to_link(socket.as_fd(), self.index).map_err(|error| {
            Cause::from(error)
                .doing("bind a socket to", Quoted(&self.name))
                .in_namespace(&self.netns)
        })
    }

    /// The kernel takes any index (6.18), also one that no link has any more.
    fn opening(&self) -> Result<Opening<'_>, Error> {
        self.netns.link_at(self.index)?;
        Ok(Opening { netns: &self.netns, link: Some(self.index) })
    }
}
