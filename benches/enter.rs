//! Entering a namespace and coming back: on a thread of its own, on a worker, and the raw system calls.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::hint::black_box;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::Namespace;
use nix::sched::{CloneFlags, setns};

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

criterion_group!(benches, enter);
criterion_main!(benches);
