//! Measures contenders in turns, so that the machine's noise affects all of them, and compares the
//! medians.
#![allow(dead_code)] // each bench uses its own part

use std::hint::black_box;
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, VethPair};

/// A name, and a function that does the work once and returns its time, without preparation and
/// cleanup.
pub(crate) type Contender<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

pub(crate) fn contender<'a>(
    name: &'static str,
    work: impl FnMut() -> Duration + 'a,
) -> Contender<'a> {
    (name, Box::new(work))
}

/// Returns a contender whose turn is ten calls in a row, each with the drop of its result. A new
/// thread's core and wake-up time depend on the previous thread, so one call would not be typical.
pub(crate) fn calls<'a, T>(name: &'static str, call: impl Fn() -> T + 'a) -> Contender<'a> {
    const CALLS: u32 = 10;
    contender(name, move || {
        let start = Instant::now();
        for _ in 0..CALLS {
            drop(black_box(call()));
        }
        start.elapsed() / CALLS
    })
}

/// Returns whether each bench only runs once: `cargo bench -- --test`, or `--quick` in
/// `benches/peers`.
pub(crate) fn is_trial() -> bool {
    std::env::args().any(|argument| ["--test", "--quick"].contains(&argument.as_str()))
}

/// The times of one contender's turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// The first quartile, which says more than the median on a busy machine.
    pub(crate) quartile: Duration,
    pub(crate) median: Duration,
}

/// Returns the order of the contenders in a round. No contender is always first, and each follows
/// every other equally often, because each pays for the traces of the previous one. The orders are
/// E. J. Williams' Latin squares (1949).
fn order(round: usize, many: usize) -> impl Iterator<Item = usize> {
    let (row, backwards) = (round / 2, round % 2 == 1);
    (0..many).map(move |turn| {
        let place = if backwards { many - 1 - turn } else { turn };
        // The offsets 0, 1, last, 2, last but one, …
        let step = place.div_ceil(2);
        (row + if place % 2 == 1 { step } else { many - step }) % many
    })
}

/// Returns the number of rounds, at least `rounds`, after which the [`order`] was fair to all.
fn fair(rounds: usize, contenders: usize) -> usize {
    if is_trial() { 1 } else { rounds.next_multiple_of(2 * contenders) }
}

/// Runs this many rounds or a few more. Returns each contender's times.
pub(crate) fn spreads(
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> Vec<(&'static str, Spread)> {
    let rounds = fair(rounds, contenders.len());
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        for at in order(round, contenders.len()) {
            times[at].push(contenders[at].1());
        }
    }
    let spread = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        Spread { quartile: times[times.len() / 4], median: times[times.len() / 2] }
    };
    contenders.iter().zip(&mut times).map(|((name, _), times)| (*name, spread(times))).collect()
}

/// Returns each contender's median over this many rounds.
pub(crate) fn medians(
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> Vec<(&'static str, Duration)> {
    spreads(rounds, contenders).into_iter().map(|(name, spread)| (name, spread.median)).collect()
}

/// Prints medians and first quartiles, and their ratios to the last contender, the raw replay. A
/// trial prints the same names with less work.
pub(crate) fn compare(
    work: &str,
    rounds: usize,
    mut contenders: Vec<Contender<'_>>,
) -> Vec<(&'static str, Spread)> {
    let spreads = spreads(rounds, &mut contenders);
    let (base, least) = *spreads.last().unwrap();
    let turns = match fair(rounds, spreads.len()) {
        1 => "a trial".to_owned(),
        rounds => rounds.to_string(),
    };
    for (name, spread) in &spreads {
        let ratio =
            |of: fn(&Spread) -> Duration| of(spread).as_secs_f64() / of(&least).as_secs_f64();
        let (median, quartile) = (ratio(|spread| spread.median), ratio(|spread| spread.quartile));
        let (time, low) = (spread.median, spread.quartile);
        println!(
            "{work}: {name} {time:.2?}, {median:.2} x {base} (median of {turns}; first quartile {low:.2?}, \
             {quartile:.2} x)"
        );
    }
    spreads
}

/// Returns the time of `work` without the drop of its result.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let made = black_box(work());
    let time = start.elapsed();
    drop(made);
    time
}

/// Waits until the kernel has cleaned up all closed namespaces, because until then the RTNL lock is
/// busy. RCU callbacks, which free deleted objects, are done by then as well. The kernel cleans up
/// in order, so this function closes one more namespace and waits for it.
pub(crate) fn settle(host: &Netns) {
    const MARK: &str = "mark";
    let last = Namespace::anonymous().create().unwrap();
    VethPair::new(MARK, "end").create_between(host, &last).unwrap().keep();
    drop(last);
    while host.link(MARK).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits as [`settle`] does, after a container with the peer of `port` was closed. The kernel frees
/// its sockets by RCU callbacks, which two CPUs need not run in order.
pub(crate) fn settle_after(host: &Netns, port: &str) {
    while host.link(port).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    settle(host);
}
