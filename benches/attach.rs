//! One container attached to a bridge: a namespace, a veth pair, a bridge port, an address, lo, up, a
//! default route. Beside it the same messages, built beforehand, replayed with bare system calls.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use netloom::{Bridge, Link, Namespace, Netns, Owned, Veth, VethEnd, VethPair};

mod raw;

fn attach(host: &Netns, bridge: &Link) -> (Owned<Veth>, Owned<Netns>) {
    let container = Namespace::anonymous().create().unwrap();
    let port = VethEnd::new(raw::PORT).master(bridge).up();
    let eth0 = VethEnd::new("eth0").address("10.0.0.2/16").gateway("10.0.0.1").loopback_up().up();
    let cable = VethPair::new(port, eth0).create_between(host, &container).unwrap();
    (cable, container)
}

fn bench(criterion: &mut Criterion) {
    let host = Namespace::anonymous().create().unwrap();
    let bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&host).unwrap();
    let mut group = criterion.benchmark_group("attach");
    group.bench_function("netloom", |bencher| {
        bencher.iter_custom(|rounds| {
            let work = || attach(&host, &bridge);
            timed(&host, rounds, work, |(cable, _)| drop(cable.keep()))
        });
    });
    let mut replay = raw::Attach::prepare(&host, bridge.index());
    group.bench_function("raw replay", |bencher| {
        bencher.iter_custom(|rounds| timed(&host, rounds, || replay.run(), drop));
    });
    group.finish();
    ratio(&host, &bridge, &mut replay);
}

/// The medians of both, measured in turns so that the machine's noise hits both, and their ratio.
fn ratio(host: &Netns, bridge: &Link, replay: &mut raw::Attach) {
    const ROUNDS: usize = 101;
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ours_now = timed(host, 1, || attach(host, bridge), |(cable, _)| drop(cable.keep()));
        ours.push(ours_now);
        raws.push(timed(host, 1, || replay.run(), drop));
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[ROUNDS / 2]
    };
    let (ours, raws) = (median(&mut ours), median(&mut raws));
    let ratio = ours.as_secs_f64() / raws.as_secs_f64();
    println!(
        "attach, medians of {ROUNDS}: netloom {ours:?}, raw replay {raws:?}, ratio {ratio:.2}"
    );
}

/// The time of `work` alone. What it made goes with its namespace, and the next round waits until the
/// kernel has finished with that: everything that needs the RTNL lock is slower meanwhile.
fn timed<T>(host: &Netns, rounds: u64, mut work: impl FnMut() -> T, undo: impl Fn(T)) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        let start = Instant::now();
        let made = black_box(work());
        total += start.elapsed();
        undo(made);
        while host.link(raw::PORT).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    total
}

criterion_group!(
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(4)).sample_size(30);
    targets = bench
);
criterion_main!(benches);
