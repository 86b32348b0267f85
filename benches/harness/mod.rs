//! Contenders measured in turns, so that the machine's noise hits all of them, and the medians
//! compared.
#![allow(dead_code)] // each bench uses its own part

use std::hint::black_box;
use std::time::{Duration, Instant};

use netloom::{Namespace, Netns, VethPair};

/// A name, and a function that does the work once and returns its time, without preparation and
/// cleanup.
pub(crate) type Contender<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

/// A contender.
pub(crate) fn contender<'a>(
    name: &'static str,
    work: impl FnMut() -> Duration + 'a,
) -> Contender<'a> {
    (name, Box::new(work))
}

/// One whose turn is ten calls, one after the other: what one takes, and dropping what it brings.
/// Which core a thread is born on, and whether it is awake, depends on what the thread before left;
/// so a turn has several.
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
    /// A quarter of the turns took less: of a busy machine this says more than the median.
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
        // 0, 1, the last, 2, the last but one, …
        let step = place.div_ceil(2);
        (row + if place % 2 == 1 { step } else { many - step }) % many
    })
}

/// How many rounds it takes for the [`order`] to be the same to all, at least so many.
fn fair(rounds: usize, contenders: usize) -> usize {
    if is_trial() { 1 } else { rounds.next_multiple_of(2 * contenders) }
}

/// Each one's turns, so many rounds of them or a few more.
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

/// Each one's median over so many rounds.
pub(crate) fn medians(
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> Vec<(&'static str, Duration)> {
    spreads(rounds, contenders).into_iter().map(|(name, spread)| (name, spread.median)).collect()
}

/// Prints medians and first quartiles, and how they compare with the last one's: the raw replay. A
/// trial prints the same names, of less work.
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

/// The time of `work` alone; what it returns is dropped after that.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let made = black_box(work());
    let time = start.elapsed();
    drop(made);
    time
}

/// Waits until the kernel has cleaned up all namespaces that were closed before: until then
/// everything that needs the RTNL lock is slower. That waits for RCU callbacks as well, which free
/// what was deleted. It cleans up in order, so one more is closed, and waited for.
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
