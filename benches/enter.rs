//! Entering a namespace and returning, opening a listener inside, creating a namespace: each beside
//! the raw system calls.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::fs::File;
use std::hint::black_box;
use std::net::TcpListener;
use std::thread;

use netloom::{Namespace, Netns, sandbox};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

mod harness;

use harness::{calls, compare, contender, settle, timed};

const ROUNDS: usize = 2_001;

/// Enters on the calling thread and returns.
fn raw<T>(red: &Netns, home: &File, work: impl FnOnce() -> T) -> T {
    setns(red, CloneFlags::CLONE_NEWNET).unwrap();
    let made = work();
    setns(home, CloneFlags::CLONE_NEWNET).unwrap();
    made
}

/// Measures an empty closure.
fn enter(red: &Netns, home: &File) {
    let worker = red.worker().unwrap();
    let work = || black_box(1);
    let on_a_thread = || thread::scope(|scope| scope.spawn(work).join().unwrap());
    let inside_a_thread =
        || thread::scope(|scope| scope.spawn(|| raw(red, home, work)).join().unwrap());
    compare(
        "enter",
        ROUNDS,
        vec![
            calls("Netns::run", || red.run(work).unwrap()),
            calls("Netns::run_here", || red.run_here(work).unwrap()),
            calls("Worker::run", || worker.run(work).unwrap()),
            calls("a scoped thread that does nothing", on_a_thread),
            calls("a scoped thread that goes there and back", inside_a_thread),
            calls("raw", || raw(red, home, work)),
        ],
    );
}

/// Measures opening a listener inside, and the same by bare system calls.
fn listener(red: &Netns, home: &File) {
    let worker = red.worker().unwrap();
    let bind = || TcpListener::bind("127.0.0.1:80").unwrap();
    compare(
        "a listener inside",
        ROUNDS,
        vec![
            calls("Netns::tcp_listen", || red.tcp_listen("127.0.0.1:80").unwrap()),
            calls("Worker::run", || worker.run(bind).unwrap()),
            calls("Netns::run", || red.run(bind).unwrap()),
            calls("raw", || raw(red, home, bind)),
        ],
    );
}

/// Measures creating a namespace with its socket, and the same by bare system calls on the calling
/// thread.
fn made(home: &File) {
    let host = Netns::current().unwrap();
    let raw = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let file = File::open("/proc/thread-self/ns/net").unwrap();
        let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).unwrap();
        setns(home, CloneFlags::CLONE_NEWNET).unwrap();
        (file, socket)
    };
    let netloom = || Namespace::anonymous().create().unwrap();
    compare(
        "a namespace made",
        301,
        vec![
            contender("Namespace::create", || {
                settle(&host);
                timed(netloom)
            }),
            contender("raw", || {
                settle(&host);
                timed(raw)
            }),
        ],
    );
}

fn main() {
    sandbox::enter().unwrap();
    let red = Namespace::anonymous().create().unwrap();
    red.link("lo").unwrap().set_up().unwrap();
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    enter(&red, &home);
    listener(&red, &home);
    made(&home);
}
