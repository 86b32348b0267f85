//! Builds a network on tokio's blocking threads, and serves from inside a namespace on its event
//! loop.

use std::net::SocketAddr;

use netloom::{Error, Namespace, Netns, Owned, Veth, VethEnd, VethPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

/// Two namespaces and the cable between them.
type Network = (Owned<Netns>, Owned<Netns>, Owned<Veth>);

fn network() -> Result<Network, Error> {
    let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
    let cable = VethPair::new(
        VethEnd::new("eth0").address("10.0.0.1/24").up(),
        VethEnd::new("eth0").address("10.0.0.2/24").up(),
    )
    .create_between(&red, &blue)?;
    Ok((red, blue, cable))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Must come before the runtime starts its threads.
    netloom::sandbox::enter()?;
    tokio::runtime::Runtime::new()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let (red, blue, cable) = spawn_blocking(network).await??;
    let address: SocketAddr = "10.0.0.2:80".parse()?;

    // A socket belongs to the namespace it was opened in, whichever thread uses it.
    let listener = blue.tcp_listen(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let server = tokio::spawn(async move {
        let (mut stream, from) = listener.accept().await?;
        stream.write_all(format!("hello, {from}").as_bytes()).await
    });

    let client = red.run(move || std::net::TcpStream::connect(address))??;
    client.set_nonblocking(true)?;
    let mut text = String::new();
    TcpStream::from_std(client)?.read_to_string(&mut text).await?;
    println!("{text}");
    server.await??;

    // Deleting waits for the kernel.
    spawn_blocking(|| drop((red, blue, cable))).await?;
    Ok(())
}
