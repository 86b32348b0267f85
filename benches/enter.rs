//! Entering a namespace and coming back, a listener opened inside, a namespace made: each beside the raw
//! system calls.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a bench is no library

use std::fs::File;
use std::hint::black_box;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::Namespace;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

mod harness;

use harness::{compare, contender};

fn enter(criterion: &mut Criterion) {
    netloom::sandbox::enter().unwrap();
    let red = Namespace::anonymous().create().unwrap();
    let mut group = criterion.benchmark_group("enter");

    let home = File::open("/proc/thread-self/ns/net").unwrap();
    let there_and_back = || {
        setns(&*red, CloneFlags::CLONE_NEWNET).unwrap();
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
    };
    group.bench_function("raw: setns there and back", |bench| bench.iter(there_and_back));
    group.bench_function("raw: on a scoped thread", |bench| {
        bench.iter(|| thread::scope(|scope| scope.spawn(there_and_back).join().unwrap()));
    });
    group.bench_function("raw: a scoped thread that does nothing", |bench| {
        bench.iter(|| thread::scope(|scope| scope.spawn(|| ()).join().unwrap()));
    });
    group.bench_function("Netns::run", |bench| {
        bench.iter(|| red.run(|| black_box(1)).unwrap());
    });
    let worker = red.worker().unwrap();
    group.bench_function("Worker::run", |bench| {
        bench.iter(|| worker.run(|| black_box(1)).unwrap());
    });
    group.finish();
}

/// A listener opened inside, and one opened by bare system calls on a thread that goes there and back.
fn listener(criterion: &mut Criterion) {
    let red = Namespace::anonymous().create().unwrap();
    red.link("lo").unwrap().set_up().unwrap();
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    let mut group = criterion.benchmark_group("a listener inside");
    let bind = || TcpListener::bind("127.0.0.1:80").unwrap();
    group.bench_function("raw: setns there and back", |bench| {
        bench.iter(|| {
            setns(&*red, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = bind();
            setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
            listener
        });
    });
    group.bench_function("Netns::tcp_listen", |bench| {
        bench.iter(|| red.tcp_listen("127.0.0.1:80").unwrap());
    });
    let worker = red.worker().unwrap();
    group.bench_function("Worker::run", |bench| bench.iter(|| worker.run(bind).unwrap()));
    group.bench_function("Netns::run", |bench| bench.iter(|| red.run(bind).unwrap()));
    group.finish();
    let raw = || {
        setns(&*red, CloneFlags::CLONE_NEWNET).unwrap();
        let listener = bind();
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        listener
    };
    compare(
        "a listener inside",
        3000,
        vec![
            contender("Netns::tcp_listen", || {
                timed_whole(|| red.tcp_listen("127.0.0.1:80").unwrap())
            }),
            contender("Worker::run", || timed_whole(|| worker.run(bind).unwrap())),
            contender("Netns::run", || timed_whole(|| red.run(bind).unwrap())),
            contender("Netns::run of nothing", || timed_whole(|| red.run(|| ()).unwrap())),
            contender("raw", || timed_whole(raw)),
        ],
    );
}

/// A namespace with its socket, and the same by bare system calls on the calling thread.
fn made(criterion: &mut Criterion) {
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    let raw = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let file = File::open("/proc/thread-self/ns/net").unwrap();
        let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).unwrap();
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        (file, socket)
    };
    let netloom = || Namespace::anonymous().create().unwrap();
    let mut group = criterion.benchmark_group("a namespace made");
    group.sample_size(20);
    group.bench_function("raw", |bench| bench.iter_custom(|rounds| timed(rounds, raw)));
    group.bench_function("Namespace::create", |bench| {
        bench.iter_custom(|rounds| timed(rounds, netloom));
    });
    group.finish();
    compare(
        "a namespace made",
        301,
        vec![
            contender("Namespace::create", || timed(1, netloom)),
            contender("raw", || timed(1, raw)),
        ],
    );
}

/// The time of `work` alone. The kernel takes a namespace apart in its own time, in which making one takes
/// longer: it gets that time.
fn timed<T>(rounds: u64, work: impl Fn() -> T) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        let start = Instant::now();
        let made = black_box(work());
        total += start.elapsed();
        drop(made);
        thread::sleep(Duration::from_millis(10));
    }
    total
}

/// The time of `work`, and of dropping what it brings.
fn timed_whole<T>(work: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    drop(black_box(work()));
    start.elapsed()
}

criterion_group!(benches, enter, listener, made);
criterion_main!(benches);
