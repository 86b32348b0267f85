//! The time from a change to its event in another thread, beside a raw socket of the same group.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use netloom::{Bridge, Link, Namespace, Netns};
use nix::sys::socket::{MsgFlags, NetlinkAddr, SockProtocol, bind, recv};

mod harness;
mod raw;

use harness::{compare, contender, is_trial};

/// The number of changes in a turn.
const CHANGES: u32 = 50;

/// Changes the link repeatedly. Returns the mean time until the reader receives a change.
fn turn(link: &Link, read: &Receiver<Instant>) -> Duration {
    let mut sum = Duration::ZERO;
    for number in 0..CHANGES {
        // Gives the reader the time to fall asleep.
        thread::sleep(Duration::from_micros(300));
        let start = Instant::now();
        link.set_mtu(1400 + number % 2).unwrap();
        sum += read.recv().unwrap() - start;
    }
    sum / CHANGES
}

fn watch(netns: &Netns, read: &Sender<Instant>) {
    let mut watcher = netns.watch().links().start().unwrap();
    while watcher.try_next().unwrap().is_some() {}
    read.send(Instant::now()).unwrap();
    for event in watcher {
        let event = event.unwrap();
        if read.send(Instant::now()).is_err() {
            return;
        }
        drop(event);
    }
}

/// Receives notifications, and reads only their type.
fn receive(netns: &Netns, read: &Sender<Instant>) {
    const RTMGRP_LINK: u32 = 1;
    const RTM_NEWLINK: [u8; 2] = 16_u16.to_ne_bytes();
    let socket = netns.run(|| raw::open(SockProtocol::NetlinkRoute)).unwrap();
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_LINK)).unwrap();
    let mut buffer = vec![0; 32 * 1024];
    read.send(Instant::now()).unwrap();
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        assert!(length > 16 && buffer[4..6] == RTM_NEWLINK);
        if read.send(Instant::now()).is_err() {
            return;
        }
    }
}

type Reader = fn(&Netns, &Sender<Instant>);

fn main() {
    netloom::sandbox::enter().unwrap();
    let rounds = if is_trial() { 1 } else { 40 };
    let place = |reader: Reader| {
        let netns = Namespace::anonymous().create().unwrap();
        let link = Bridge::new("br0").mtu(1500).create(&netns).unwrap().keep();
        let (send, read) = channel();
        let inside = (*netns).clone();
        thread::spawn(move || reader(&inside, &send));
        read.recv().unwrap();
        (netns, link, read)
    };
    let (_one, link, read) = place(watch);
    let (_other, raw_link, raw_read) = place(receive);
    compare(
        "from a change to its event",
        rounds,
        vec![
            contender("netloom", move || turn(&link, &read)),
            contender("raw socket", move || turn(&raw_link, &raw_read)),
        ],
    );
}
