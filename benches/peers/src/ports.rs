//! Published ports, by netloom and by `nft`: many at once, and one more beside many.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use netloom::{Bridge, Namespace, Netns, PortForward, Together};

use crate::harness::{contender, medians, settle, timed};
use crate::report::{BATCHES, Report};

const ONE_MORE: u16 = 60_000;
const ADD: &str = "add element ip t m { tcp . 60000 : 10.0.0.2 . 80 }\n";
const DELETE: &str = "delete element ip t m { tcp . 60000 }\n";

pub fn measure(report: &mut Report, quick: bool) {
    let many = if quick { 100 } else { 10_000 };
    let [ours, theirs] = [(); 2].map(|()| Namespace::anonymous().create().unwrap());
    let _bridge = Bridge::new("br0").address("10.0.0.1/16").up().create(&ours).unwrap();
    let port = |number| PortForward::new(number, "10.0.0.2").target_port(80);
    let ports: Vec<_> = (1..=many).map(port).collect();
    let whole = whole(many);
    let measured = medians(
        11,
        &mut [
            contender("netloom", || {
                let mut made = Vec::new();
                settle(&ours);
                let time = timed(|| made = PortForward::create_all(&ports, &ours).unwrap());
                Together::new(made).delete().unwrap();
                time
            }),
            contender(BATCHES, || {
                settle(&theirs);
                let time = timed(|| nft(&theirs, &whole));
                nft(&theirs, "delete table ip t\n");
                time
            }),
        ],
    );
    report.add(format!("{many} ports published"), &measured);

    let there = PortForward::create_all(&ports, &ours).unwrap();
    nft(&theirs, &whole);
    let one = port(ONE_MORE);
    let measured = medians(
        101,
        &mut [
            contender("netloom", || timed(|| one.create(&ours).unwrap())),
            contender(BATCHES, || {
                let time = timed(|| nft(&theirs, ADD));
                nft(&theirs, DELETE);
                time
            }),
        ],
    );
    report.add(format!("one port more beside {many}"), &measured);
    Together::new(there).delete().unwrap();
}

/// Returns a ruleset that creates a table with this many ports, as netloom's first port creates its
/// tables.
fn whole(many: u16) -> String {
    let mut text = "table ip t {\nmap m {\ntypeof meta l4proto . th dport : ip daddr . tcp dport\n\
                    size 65536\nelements = { "
        .to_owned();
    for port in 1..=many {
        write!(text, "tcp . {port} : 10.0.0.2 . 80, ").unwrap();
    }
    text + "}\n}\nchain c {\ntype nat hook prerouting priority dstnat;\n\
            fib daddr type local dnat ip to meta l4proto . th dport map @m\n}\n}\n"
}

fn nft(netns: &Netns, text: &str) {
    let mut child = netns.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
