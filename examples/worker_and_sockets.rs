//! Runs code in another namespace on a thread that stays there, and uses sockets opened inside.

use std::net::SocketAddr;

use netloom::{Namespace, VethEnd, VethPair};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    netloom::sandbox::enter()?;

    let (red, blue) = (Namespace::anonymous().create()?, Namespace::anonymous().create()?);
    let _cable = VethPair::new(
        VethEnd::new("veth1").address("10.0.0.1/24").up(),
        VethEnd::new("veth2").address("10.0.0.2/24").up(),
    )
    .create_between(&red, &blue)?;

    // The socket stays in its namespace; the calling thread keeps its own.
    let receiver = blue.udp_bind("10.0.0.2:5000".parse::<SocketAddr>()?)?;

    // With a worker, a closure needs no new thread.
    let worker = red.worker()?;
    for n in 0..3 {
        worker.run(move || -> std::io::Result<usize> {
            let sender = std::net::UdpSocket::bind("10.0.0.1:0")?;
            sender.send_to(format!("datagram {n}").as_bytes(), "10.0.0.2:5000")
        })??;
        let mut buffer = [0; 64];
        let (length, from) = receiver.recv_from(&mut buffer)?;
        println!("{from}: {}", String::from_utf8_lossy(&buffer[..length]));
    }
    Ok(())
}
