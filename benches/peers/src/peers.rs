//! The same attachments and routes by other crates and by commands.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::harness::timed;
use crate::raw::attach::Plan;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NO_IPV6: &str = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

/// A runtime of one thread, as its users have it who want none.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A new namespace without IPv6, and what `open` opens in it; the thread comes home.
fn inside<T>(open: impl FnOnce() -> T) -> (File, T) {
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    std::fs::write(NO_IPV6, "1").unwrap();
    let container = File::open("/proc/thread-self/ns/net").unwrap();
    let opened = open();
    setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
    (container, opened)
}

pub struct Rtnetlink {
    pub runtime: Runtime,
    pub handle: rtnetlink::Handle,
}

impl Rtnetlink {
    pub fn here() -> Self {
        let runtime = runtime();
        let (handle, _task) = connect(&runtime);
        Self { runtime, handle }
    }

    /// What has to stay for the container to stay, and the time it took.
    pub fn attach(&self, bridge: u32, plan: &Plan) -> (Duration, File) {
        let mut kept = None;
        let time = timed(|| {
            let (container, (inside, task)) = inside(|| connect(&self.runtime));
            let peer = LinkMessageBuilder::<LinkUnspec>::new()
                .name("eth0".to_owned())
                .setns_by_fd(container.as_raw_fd())
                .build();
            let cable = LinkMessageBuilder::<LinkVeth>::new(&plan.port, "eth0")
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                .controller(bridge)
                .up()
                .build();
            self.runtime.block_on(async {
                self.handle.link().add(cable).execute().await.unwrap();
                let address = IpAddr::V4(plan.address);
                inside.address().add(2, address, 16).execute().await.unwrap();
                for index in [1, 2] {
                    let up = LinkUnspec::new_with_index(index).up().build();
                    inside.link().set(up).execute().await.unwrap();
                }
                let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY).build();
                inside.route().add(route).execute().await.unwrap();
            });
            kept = Some((container, task));
        });
        let (container, task) = kept.unwrap();
        // It holds a socket in the container, which would stay for as long.
        task.abort();
        drop(self.runtime.block_on(task));
        (time, container)
    }

    pub fn routes_in(&self, to: &[Ipv4Addr]) {
        self.runtime.block_on(async {
            for to in to {
                let route = RouteMessageBuilder::<Ipv4Addr>::new()
                    .destination_prefix(*to, 32)
                    .gateway(GATEWAY)
                    .build();
                self.handle.route().add(route).execute().await.unwrap();
            }
        });
    }

    pub fn routes_out(&self) -> usize {
        use futures_util::TryStreamExt;
        self.runtime.block_on(async {
            let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
            let list: Vec<_> = self.handle.route().get(all).execute().try_collect().await.unwrap();
            list.len()
        })
    }

    pub fn link(&self, name: &str) {
        use futures_util::TryStreamExt;
        self.runtime.block_on(async {
            let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
            found.try_next().await.unwrap().unwrap();
        });
    }
}

/// A connection of the calling thread's namespace, and the task that serves it.
fn connect(runtime: &Runtime) -> (rtnetlink::Handle, JoinHandle<()>) {
    let _entered = runtime.enter();
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    (handle, runtime.spawn(connection))
}

pub struct Nlink {
    pub runtime: Runtime,
    pub here: nlink::netlink::Connection<nlink::Route>,
}

impl Nlink {
    pub fn here() -> Self {
        let runtime = runtime();
        let entered = runtime.enter();
        let here = nlink::netlink::Connection::<nlink::Route>::new().unwrap();
        drop(entered);
        Self { runtime, here }
    }

    pub fn attach(&self, plan: &Plan) -> (Duration, File) {
        let mut kept = None;
        let time = timed(|| {
            let _entered = self.runtime.enter();
            let (container, there) =
                inside(|| nlink::netlink::Connection::<nlink::Route>::new().unwrap());
            drop(_entered);
            self.runtime.block_on(async {
                let cable = nlink::netlink::link::VethLink::new(&plan.port, "eth0")
                    .peer_netns_fd(container.as_fd());
                self.here.add_link(cable).await.unwrap();
                self.here.set_link_master(plan.port.as_str(), "br0").await.unwrap();
                self.here.set_link_up(plan.port.as_str()).await.unwrap();
                let address = nlink::Ipv4Address::new("eth0", plan.address, 16);
                there.add_address(address).await.unwrap();
                there.set_link_up("lo").await.unwrap();
                there.set_link_up("eth0").await.unwrap();
                let route = nlink::Ipv4Route::default_route().gateway(GATEWAY);
                there.add_route(route).await.unwrap();
            });
            kept = Some(container);
        });
        (time, kept.unwrap())
    }

    pub fn routes_in(&self, to: &[Ipv4Addr]) {
        self.runtime.block_on(async {
            // The acknowledgements of a thousand do not fit its receive buffer.
            for some in to.chunks(100) {
                let route = |to: &Ipv4Addr| nlink::Ipv4Route::from_addr(*to, 32).gateway(GATEWAY);
                let batch = self.here.batch();
                let batch =
                    some.iter().map(route).fold(batch, |batch, route| batch.add_route(route));
                batch.execute_all().await.unwrap();
            }
        });
    }

    pub fn routes_out(&self) -> usize {
        self.runtime.block_on(async { self.here.get_routes().await.unwrap().len() })
    }

    pub fn link(&self, name: &str) {
        self.runtime.block_on(async {
            self.here.get_link_by_name(name).await.unwrap().unwrap();
        });
    }
}

/// `ip -batch`: one batch on the host, one in the container.
pub fn ip_attach(plan: &Plan) -> (Duration, File) {
    let (name, address) = (&plan.port, plan.address);
    let time = timed(|| {
        run("ip", &["netns", "add", name], "");
        let host = format!("link add {name} master br0 up type veth peer name eth0 netns {name}\n");
        run("ip", &["-batch", "-"], &host);
        let there = format!(
            "link set eth0 addrgenmode none\naddress add {address}/16 dev eth0\nlink set lo up\n\
             link set eth0 up\nroute add default via {GATEWAY}\n"
        );
        run("ip", &["-n", name, "-batch", "-"], &there);
    });
    let container = File::open(format!("/run/netns/{name}")).unwrap();
    run("ip", &["netns", "del", name], "");
    (time, container)
}

pub fn run(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} {arguments:?}");
}
