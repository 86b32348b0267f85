//! The aims: ratios between contenders, and limits for counts.

use crate::report::{BATCHES, SINGLE};

/// One side of a comparison: the work and the contender, by the names that the bench prints.
pub type One = (&'static str, &'static str);

pub enum Aim {
    /// A limit for the quotient of this time and the other's.
    Ratio(One, f64),
    /// The least factor by which this is faster than the other.
    Faster(One, f64),
    /// A limit in microseconds.
    Micros(u64),
    /// A limit in microseconds, with the other's time shown beside it.
    MicrosBeside(u64, One),
    /// No limit; the other's time is shown beside it.
    Beside(One),
}
use Aim::{Beside, Faster, Micros, MicrosBeside, Ratio};

/// "No slower": runs of the same work differ by this much.
const NO_SLOWER: f64 = 1.03;

const RAW: &str = "raw replay";
const THOUSAND: &str = "one more container beside 1000, no IPv6 addresses";
const THOUSAND_IPV6: &str = "one more container beside 1000, all with IPv6 addresses";
const ATTACH_10: &str = "attach beside 10, no IPv6 address";
const SNOOPING: &str = "attach beside 1000 of another bridge as well, no IPv6 address";
const OTHER_WAYS: &str = "attach beside 100, no IPv6 address, other ways";
const DOWN_300: &str = "take down 300 containers";
const DOWN_100: &str = "100 containers of one bridge taken down";
const GROUP: &str = "raw group replay";
const ROUTES6: &str = "20000 IPv6 routes in, among peers";
const ROUTES4: &str = "100000 IPv4 routes in, among peers";
const MADE: &str = "a namespace made by its name";
const NO_BRIDGE: &str = "raw replay without a bridge";
const ATTACH_1000: &str = "attach beside 1000, no IPv6 address";
const COLD: &str = "a cold build";
const BUILT: &str = "a small network built";
const REMOVED: &str = "the same removed, names free again";
const TCP: &str = "TCP through veth, bridge and masquerade";
const ROUTES_OUT: &str = "100000 routes out, by value";
const MORE: &str = "one more beside 10000";
const LESS: &str = "one less beside 10000";
const MORE_AT_ONE: &str = "one more at one address beside 10000";
const LESS_AT_ONE: &str = "one less at one address beside 10000";
const AT_ONCE: &str = "10000 ports at once";
const APART: &str = "10000 ports to as many containers at once";
const LISTENER: &str = "a listener inside";
const LINKS_OUT: &str = "1000 links out, by value";
const PORTS: &str = "10000 ports published";
const PORT_MORE: &str = "one port more beside 10000";
const SET: &str = "a set of 100000 elements";

/// All rows of `docs/data/aims.md`.
pub const ROWS: &[(&str, One, Aim)] = &[
    ("attach beside 10", (ATTACH_10, "netloom"), Ratio((ATTACH_10, RAW), 1.15)),
    (
        "attach beside 100, with an IPv6 address",
        ("attach beside 100", "netloom"),
        Ratio(("attach beside 100", RAW), 1.15),
    ),
    (
        "attach beside 500, with an IPv6 address",
        ("attach beside 500", "netloom"),
        Ratio(("attach beside 500", RAW), 1.15),
    ),
    ("attach beside 1,000", (ATTACH_1000, "netloom"), Ratio((ATTACH_1000, RAW), 1.15)),
    (
        "attach beside 1,000, by the one beside 10",
        (ATTACH_1000, "netloom"),
        Ratio((ATTACH_10, "netloom"), 2.0),
    ),
    (
        "the raw replay beside 1,000, by the one beside 10",
        (ATTACH_1000, RAW),
        Beside((ATTACH_10, RAW)),
    ),
    (
        "the replay without a bridge, the same",
        (ATTACH_1000, NO_BRIDGE),
        Beside((ATTACH_10, NO_BRIDGE)),
    ),
    (
        "the replay beside 1,000 on a bridge that does not snoop, by one that does",
        (SNOOPING, "without multicast snooping"),
        Beside((SNOOPING, RAW)),
    ),
    (
        "the replay with each message in a datagram of its own, by two datagrams",
        (OTHER_WAYS, "each message alone"),
        Beside((OTHER_WAYS, RAW)),
    ),
    (
        "the replay with the peer born here and moved there, by its birth there",
        (OTHER_WAYS, "the peer moved there"),
        Beside((OTHER_WAYS, RAW)),
    ),
    (
        "attach beside 1,000, where all have IPv6 addresses, by where none has",
        (THOUSAND_IPV6, "netloom"),
        Beside((THOUSAND, "netloom")),
    ),
    (
        "attach beside 1,000, where all have IPv6 addresses, by the raw replay there",
        (THOUSAND_IPV6, "netloom"),
        Beside((THOUSAND_IPV6, RAW)),
    ),
    (
        "attach beside 1,000, with one queue an end",
        (ATTACH_1000, "netloom with one queue"),
        Beside((ATTACH_1000, "netloom")),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by nlink with them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, "nlink"), 4.0),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by rtnetlink with them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, "rtnetlink"), 4.0),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by `ip -batch` with them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND_IPV6, BATCHES), 4.0),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by nlink without them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, "nlink"), 4.0),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by rtnetlink without them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, "rtnetlink"), 4.0),
    ),
    (
        "attach beside 1,000 without IPv6 addresses, by `ip -batch` without them",
        (THOUSAND, "netloom"),
        Faster((THOUSAND, BATCHES), 4.0),
    ),
    (
        "64 attached by 2 threads",
        ("attach 64", "2 threads"),
        Ratio(("attach 64", "one thread"), NO_SLOWER),
    ),
    (
        "64 attached by 8 threads",
        ("attach 64", "8 threads"),
        Ratio(("attach 64", "one thread"), NO_SLOWER),
    ),
    (
        "a small network built",
        ("build a small network", "netloom"),
        Ratio(("build a small network", RAW), 1.2),
    ),
    (
        "a small network built, by `ip` and `nft`, each a command",
        (BUILT, "netloom"),
        Faster((BUILT, SINGLE), 10.0),
    ),
    (
        "a small network built, by `ip -batch` and `nft -f`",
        (BUILT, "netloom"),
        Faster((BUILT, BATCHES), 10.0),
    ),
    ("a small network removed", ("remove a small network", "netloom, together"), Micros(25_000)),
    (
        "a small network removed, by the raw replay",
        ("remove a small network", "netloom, together"),
        Beside(("remove a small network", RAW)),
    ),
    ("a small network removed, by `ip` and `nft`", (REMOVED, "netloom"), Beside((REMOVED, SINGLE))),
    (
        "1,000 containers taken down",
        ("take down 1000 containers", "netloom, a Together of them"),
        Ratio(("take down 1000 containers", GROUP), 1.1),
    ),
    (
        "300 containers taken down, a `Together` of them",
        (DOWN_300, "netloom, a Together of them"),
        Ratio((DOWN_300, GROUP), 1.1),
    ),
    (
        "300, by `Together::delete`",
        (DOWN_300, "netloom, Together::delete"),
        Ratio((DOWN_300, GROUP), 1.1),
    ),
    (
        "300, owners in owners, in a `Together`",
        (DOWN_300, "netloom, one inside the other"),
        Ratio((DOWN_300, GROUP), 1.1),
    ),
    (
        "300, cables before namespaces, in a `Together`",
        (DOWN_300, "netloom, cables before namespaces"),
        Ratio((DOWN_300, GROUP), 1.1),
    ),
    (
        "300, by `Owned::delete_all`",
        (DOWN_300, "netloom, Owned::delete_all"),
        Ratio((DOWN_300, GROUP), 1.1),
    ),
    (
        "100 dropped one by one, as a bare `Vec` does, by a `Together`",
        ("take down 100 containers", "one by one"),
        Beside(("take down 100 containers", "a Together of them")),
    ),
    ("100 containers taken down, by nlink", (DOWN_100, "netloom"), Beside((DOWN_100, "nlink"))),
    (
        "100 containers taken down, by rtnetlink",
        (DOWN_100, "netloom"),
        Beside((DOWN_100, "rtnetlink")),
    ),
    (
        "100,000 IPv4 routes in",
        ("100000 IPv4 routes in", "netloom"),
        Ratio(("100000 IPv4 routes in", RAW), 1.11),
    ),
    (
        "20,000 IPv6 routes in",
        ("20000 IPv6 routes in", "netloom"),
        Ratio(("20000 IPv6 routes in", RAW), 1.11),
    ),
    ("100,000 IPv4 routes in, by nlink", (ROUTES4, "netloom"), Beside((ROUTES4, "nlink"))),
    ("100,000 IPv4 routes in, by rtnetlink", (ROUTES4, "netloom"), Beside((ROUTES4, "rtnetlink"))),
    ("20,000 IPv6 routes in, by nlink", (ROUTES6, "netloom"), Beside((ROUTES6, "nlink"))),
    ("20,000 IPv6 routes in, by rtnetlink", (ROUTES6, "netloom"), Beside((ROUTES6, "rtnetlink"))),
    (
        "100,000 routes out, lent",
        ("100000 routes out", "netloom, lent"),
        Ratio(("100000 routes out", "raw walk"), 1.25),
    ),
    (
        "1,000 links out, lent",
        ("1000 links out", "netloom, lent"),
        Ratio(("1000 links out", "raw walk"), 1.25),
    ),
    (
        "100,000 routes out, by value, by nlink",
        (ROUTES_OUT, "netloom"),
        Ratio((ROUTES_OUT, "nlink"), 1.0),
    ),
    (
        "100,000 routes out, by value, by rtnetlink",
        (ROUTES_OUT, "netloom"),
        Ratio((ROUTES_OUT, "rtnetlink"), 1.0),
    ),
    (
        "1,000 links out, by value, by nlink",
        (LINKS_OUT, "netloom"),
        Ratio((LINKS_OUT, "nlink"), 1.0),
    ),
    (
        "1,000 links out, by value, by rtnetlink",
        (LINKS_OUT, "netloom"),
        Ratio((LINKS_OUT, "rtnetlink"), 1.0),
    ),
    (
        "one link by its name, a hundred times",
        ("one link by name, a hundred times", "netloom"),
        Ratio(("one link by name, a hundred times", "raw get"), 1.3),
    ),
    (
        "the raw get with an acknowledgement, by the one without",
        ("one link by name, a hundred times", "raw get, acknowledged"),
        Beside(("one link by name, a hundred times", "raw get")),
    ),
    ("10,000 ports published to one container", (AT_ONCE, "held"), Ratio((AT_ONCE, RAW), 1.5)),
    ("10,000 ports published, by `nft -f`", (PORTS, "netloom"), Beside((PORTS, BATCHES))),
    ("10,000 ports published to 10,000 containers", (APART, "held"), Ratio((APART, RAW), 1.5)),
    ("10,000 ports to 10,000 containers, the time", (APART, "held"), Micros(20_000)),
    (
        "10,000 ports less",
        ("10000 ports less at once", "held"),
        Ratio(("10000 ports less at once", RAW), 1.5),
    ),
    (
        "10,000 persistent ports published",
        ("10000 persistent ports at once", "persistent"),
        Ratio(("10000 persistent ports at once", RAW), 3.0),
    ),
    (
        "10,000 persistent ports less",
        ("10000 persistent ports less at once", "persistent"),
        Ratio(("10000 persistent ports less at once", RAW), 3.0),
    ),
    ("one port more beside 1", ("one more beside 1", "held"), Micros(10)),
    ("one port more beside 10,000, the time", (MORE, "held"), Micros(10)),
    (
        "one port more beside 10,000, a loopback address covered",
        (MORE, "held"),
        Ratio((MORE, RAW), 3.0),
    ),
    ("the same, its link named", (MORE, "held, its link named"), Ratio((MORE, RAW), 3.0)),
    ("the same, persistent", (MORE, "persistent"), Ratio((MORE, RAW), 6.0)),
    (
        "one port more beside 10,000, no loopback address",
        (MORE_AT_ONE, "held, no loopback"),
        Ratio((MORE_AT_ONE, RAW), 1.6),
    ),
    (
        "the same without loopback, persistent",
        (MORE_AT_ONE, "persistent, no loopback"),
        Ratio((MORE_AT_ONE, RAW), 3.2),
    ),
    (
        "a lone port more beside 10,000, where all is cold, by `nft -f`",
        (PORT_MORE, "netloom"),
        Beside((PORT_MORE, BATCHES)),
    ),
    ("one port less beside 1", ("one less beside 1", "held"), Micros(10)),
    ("one port less beside 10,000, the time", (LESS, "held"), Micros(10)),
    (
        "one port less beside 10,000, no loopback address",
        (LESS_AT_ONE, "held, no loopback"),
        Ratio((LESS_AT_ONE, RAW), 1.4),
    ),
    (
        "one port less, persistent, no loopback address",
        (LESS_AT_ONE, "persistent, no loopback"),
        Ratio((LESS_AT_ONE, RAW), 2.8),
    ),
    (
        "one port less beside 10,000, a loopback address covered",
        (LESS, "held"),
        Ratio((LESS, RAW), 3.0),
    ),
    (
        "a set of 100,000 elements",
        ("100000 elements", "netloom"),
        Ratio(("100000 elements", RAW), 1.3),
    ),
    ("a set of 100,000 elements, by nlink", (SET, "netloom"), Ratio((SET, "nlink"), 1.0)),
    ("a set of 100,000 elements, by `nft -f`", (SET, "netloom"), Ratio((SET, BATCHES), 1.0)),
    (
        "one element more and less beside 10,000",
        ("one element more and less beside 10000", "netloom"),
        Micros(20),
    ),
    (
        "a closure run inside, on a thread of its own",
        ("enter", "Netns::run"),
        Beside(("enter", "a scoped thread that goes there and back")),
    ),
    (
        "a closure run inside, on the calling thread",
        ("enter", "Netns::run_here"),
        Ratio(("enter", "raw"), 2.0),
    ),
    (
        "a closure run inside, by a worker",
        ("enter", "Worker::run"),
        MicrosBeside(12, ("enter", "raw")),
    ),
    ("a listener opened inside", (LISTENER, "Netns::tcp_listen"), Ratio((LISTENER, "raw"), 2.0)),
    (
        "a listener opened inside by a worker",
        (LISTENER, "Worker::run"),
        MicrosBeside(12, (LISTENER, "raw")),
    ),
    (
        "a namespace made",
        ("a namespace made", "Namespace::create"),
        Ratio(("a namespace made", "raw"), 1.15),
    ),
    ("a namespace made by its name, by nlink", (MADE, "netloom"), Beside((MADE, "nlink"))),
    ("a namespace made by its name, by rtnetlink", (MADE, "netloom"), Beside((MADE, "rtnetlink"))),
    (
        "a cold build of a program that depends on netloom, by one on rtnetlink",
        (COLD, "netloom"),
        Ratio((COLD, "rtnetlink"), 1.2),
    ),
    (
        "a cold build of a program that depends on netloom, by one on nlink",
        (COLD, "netloom"),
        Beside((COLD, "nlink")),
    ),
    (
        "8 Gbit of TCP through bridge and masquerade, by the same network of commands",
        (TCP, "netloom"),
        Ratio((TCP, BATCHES), NO_SLOWER),
    ),
];

/// The limits of counts: the name of the row, the start and the end of its line in the log, and the
/// limit.
pub const COUNTS: &[(&str, &str, &str, u64)] = &[
    ("crates that such a program builds", "a cold build: netloom ", " crates", 25),
    (
        "the stripped walkthrough, by its own profile of one unit, in bytes",
        "the walkthrough, profile release, stripped: ",
        " bytes",
        1_700_000,
    ),
    (
        "the stripped walkthrough, by the profile as cargo has it, in bytes",
        "the walkthrough, profile release of 16 units, stripped: ",
        " bytes",
        1_500_000,
    ),
];

/// The rows of the short table in `docs/performance.md`.
pub const HEADLINES: &[&str] = &[
    "attach beside 10",
    "attach beside 1,000",
    "a small network built",
    "a small network built, by `ip` and `nft`, each a command",
    "1,000 containers taken down",
    "100,000 IPv4 routes in",
    "100,000 routes out, by value, by rtnetlink",
    "10,000 ports published to one container",
    "10,000 ports published to 10,000 containers",
    "one port more beside 10,000, no loopback address",
    "a set of 100,000 elements",
    "a namespace made",
    "a listener opened inside",
    "a cold build of a program that depends on netloom, by one on rtnetlink",
];
