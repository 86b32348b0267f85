//! Creating and entering namespaces.

use std::fs::File;
use std::hint::black_box;
use std::net::TcpListener;
use std::thread;

use netloom::{Namespace, Netns};
use nix::sched::{CloneFlags, setns};
use nlink::netlink::namespace;

use crate::harness::{calls, contender, medians, settle, timed};
use crate::peers::{Nlink, Rtnetlink, run};
use crate::report::{Report, SINGLE};

const NAME: &str = "red";
const LISTEN: &str = "127.0.0.1:80";

pub fn measure(report: &mut Report) {
    made(report);
    entered(report);
}

/// Measures creating a named namespace and opening a socket in it. `ip` opens no socket.
fn made(report: &mut Report) {
    let host = Netns::current().unwrap();
    let (rtnetlink, nlink) = (Rtnetlink::here(), Nlink::here());
    let gone = || {
        run("ip", &["netns", "del", NAME], "");
        settle(&host);
    };
    let measured = medians(
        48,
        &mut [
            contender("netloom", || {
                let mut made = None;
                let time = timed(|| made = Some(Namespace::named(NAME).create().unwrap()));
                drop(made);
                settle(&host);
                time
            }),
            contender("nlink", || {
                let mut made = None;
                let time = timed(|| made = Some(nlink.place(NAME)));
                drop(made);
                gone();
                time
            }),
            contender("rtnetlink", || {
                let mut made = None;
                let time = timed(|| made = Some(rtnetlink.place(NAME)));
                made.into_iter().for_each(|connection| rtnetlink.end(connection));
                gone();
                time
            }),
            contender(SINGLE, || {
                let time = timed(|| run("ip", &["netns", "add", NAME], ""));
                gone();
                time
            }),
        ],
    );
    report.add("a namespace made by its name", &measured);
}

fn entered(report: &mut Report) {
    let place = Namespace::named(NAME).create().unwrap();
    place.link("lo").unwrap().set_up().unwrap();
    let theirs = namespace::Netns::open(NAME).unwrap();
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    let rounds = 1_002;
    let there_and_back = || {
        setns(&*place, CloneFlags::CLONE_NEWNET).unwrap();
        black_box(1);
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
    };
    let on_a_thread = || thread::scope(|scope| scope.spawn(there_and_back).join().unwrap());
    let mut contenders = vec![
        calls("netloom", || place.run(|| black_box(1)).unwrap()),
        calls("raw replay", on_a_thread),
        calls("nlink", || theirs.run(|| black_box(1)).unwrap()),
    ];
    let mut measured = medians(rounds, &mut contenders);
    let exec = || run("ip", &["netns", "exec", NAME, "true"], "");
    measured.extend(medians(6, &mut [calls(SINGLE, exec)]));
    report.add("a closure run inside, on a thread of its own", &measured);

    let worker = place.worker().unwrap();
    let execute = || namespace::execute_in(NAME, || black_box(1)).unwrap();
    let measured = medians(
        rounds,
        &mut [
            calls("netloom", || worker.run(|| black_box(1)).unwrap()),
            calls("raw replay", there_and_back),
            calls("nlink", execute),
        ],
    );
    report.add("a closure run inside, by a worker or the calling thread", &measured);

    let listen = || TcpListener::bind(LISTEN).unwrap();
    let measured = medians(
        rounds,
        &mut [
            calls("netloom", || place.tcp_listen(LISTEN).unwrap()),
            calls("nlink", || theirs.run(listen).unwrap()),
        ],
    );
    report.add("a listener opened inside", &measured);
}
