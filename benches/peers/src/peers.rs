//! The same work, done by other crates and by commands.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nlink::netlink::InterfaceRef;
use nlink::netlink::link::{BridgeLink, LinkCreateExt, VethLink};
use nlink::netlink::nftables::types::{
    BaseChain, Chain, Family, NatHook, Priority, Rule, Set, SetElement, SetKeyType,
};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::harness::timed;
use crate::raw::attach::Plan;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NO_IPV6: &str = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

/// Starts a single-threaded runtime, for programs that are not asynchronous themselves.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Creates a namespace and calls `open` in it. Then the thread returns home.
fn inside<T>(ipv6: bool, open: impl FnOnce() -> T) -> (File, T) {
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    if !ipv6 {
        std::fs::write(NO_IPV6, "1").unwrap();
    }
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

    /// Attaches a container. Returns the time it took, and the file that keeps the container alive.
    pub fn attach(&self, bridge: u32, plan: &Plan) -> (Duration, File) {
        let mut kept = None;
        let time = timed(|| {
            let (container, (inside, task)) = inside(plan.ipv6, || connect(&self.runtime));
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
        // The task holds a socket in the container, which would keep the namespace alive.
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

    pub fn routes6_in(&self, to: &[Ipv6Addr], via: Ipv6Addr, link: u32) {
        self.runtime.block_on(async {
            for to in to {
                let route = RouteMessageBuilder::<Ipv6Addr>::new()
                    .destination_prefix(*to, 128)
                    .gateway(via)
                    .output_interface(link)
                    .build();
                self.handle.route().add(route).execute().await.unwrap();
            }
        });
    }

    pub fn remove_links(&self, indexes: &[u32]) {
        self.runtime.block_on(async {
            for index in indexes {
                self.handle.link().del(*index).execute().await.unwrap();
            }
        });
    }

    /// Creates a namespace with a connection inside, to be [ended](Self::end).
    pub fn place(&self, name: &str) -> JoinHandle<()> {
        self.runtime.block_on(rtnetlink::NetworkNamespace::add(name)).unwrap();
        let place = File::open(format!("{}{name}", rtnetlink::NETNS_PATH)).unwrap();
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        setns(&place, CloneFlags::CLONE_NEWNET).unwrap();
        let (_, task) = connect(&self.runtime);
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        task
    }

    pub fn end(&self, connection: JoinHandle<()>) {
        connection.abort();
        drop(self.runtime.block_on(connection));
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

    pub fn links_out(&self) -> usize {
        use futures_util::TryStreamExt;
        self.runtime.block_on(async {
            let list: Vec<_> = self.handle.link().get().execute().try_collect().await.unwrap();
            list.len()
        })
    }
}

/// Connects to the calling thread's namespace. Returns the handle and the task that serves it.
fn connect(runtime: &Runtime) -> (rtnetlink::Handle, JoinHandle<()>) {
    let _entered = runtime.enter();
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    (handle, runtime.spawn(connection))
}

pub struct Nlink {
    pub runtime: Runtime,
    pub here: nlink::netlink::Connection<nlink::Route>,
    pub tables: nlink::netlink::Connection<nlink::netlink::Nftables>,
}

impl Nlink {
    pub fn here() -> Self {
        let runtime = runtime();
        let entered = runtime.enter();
        let here = nlink::netlink::Connection::<nlink::Route>::new().unwrap();
        let tables = nlink::netlink::Connection::<nlink::netlink::Nftables>::new().unwrap();
        drop(entered);
        Self { runtime, here, tables }
    }

    /// Attaches a container to a bridge given by index, like the other contenders.
    pub fn attach(&self, bridge: u32, plan: &Plan) -> (Duration, File) {
        let mut kept = None;
        let time = timed(|| {
            let _entered = self.runtime.enter();
            let (container, there) =
                inside(plan.ipv6, || nlink::netlink::Connection::<nlink::Route>::new().unwrap());
            drop(_entered);
            self.runtime.block_on(async {
                let cable = VethLink::new(&plan.port, "eth0").peer_netns_fd(container.as_fd());
                let cable = cable.master(InterfaceRef::Index(bridge)).up();
                self.here.add_link(cable).await.unwrap();
                let address = nlink::Ipv4Address::with_index(2, plan.address, 16);
                there.add_address(address).await.unwrap();
                for index in [1, 2] {
                    there.set_link_up(InterfaceRef::Index(index)).await.unwrap();
                }
                let route = nlink::Ipv4Route::default_route().gateway(GATEWAY);
                there.add_route(route).await.unwrap();
            });
            kept = Some(container);
        });
        (time, kept.unwrap())
    }

    /// Builds a bridge, two containers, forwarding and masquerading.
    pub fn network(&self) -> Vec<File> {
        let bridge = self.runtime.block_on(async {
            self.here.add_link(BridgeLink::new("br0").up()).await.unwrap();
            let address = nlink::Ipv4Address::new("br0", GATEWAY, 16);
            self.here.add_address(address).await.unwrap();
            self.here.get_link_by_name("br0").await.unwrap().unwrap().ifindex()
        });
        let plans = [1, 2].map(|n| Plan { ipv6: true, ..Plan::number(n) });
        let containers = plans.iter().map(|plan| self.attach(bridge, plan).1).collect();
        nlink::netlink::sysctl::set("net.ipv4.ip_forward", "1").unwrap();
        self.runtime.block_on(async {
            let chain = Chain::new("nlink", "post").unwrap().family(Family::Ip);
            let chain = chain.base(BaseChain::nat(NatHook::Postrouting, Priority::SrcNat));
            let rule = Rule::new("nlink", "post").family(Family::Ip);
            let rule = rule.match_saddr_v4(Ipv4Addr::new(10, 0, 0, 0), 24).masquerade();
            let tables = self.tables.transaction().add_table("nlink", Family::Ip);
            tables.add_chain(chain).add_rule(rule).commit(&self.tables).await.unwrap();
        });
        containers
    }

    /// Removes everything that the setup created.
    pub fn remove(&self, containers: Vec<File>) {
        self.runtime.block_on(async {
            self.tables.del_table("nlink", Family::Ip).await.unwrap();
            nlink::netlink::sysctl::set("net.ipv4.ip_forward", "0").unwrap();
            for n in [1, 2] {
                self.here.del_link(Plan::number(n).port.as_str()).await.unwrap();
            }
            self.here.del_link("br0").await.unwrap();
        });
        drop(containers);
    }

    /// Creates a table with a set of these elements.
    pub fn set(&self, elements: &[Ipv4Addr]) {
        self.runtime.block_on(async {
            let set = Set::new("nlink", "s").family(Family::Ip).key_type(SetKeyType::Ipv4Addr);
            let elements: Vec<_> = elements.iter().copied().map(SetElement::ipv4).collect();
            let made = self.tables.transaction().add_table("nlink", Family::Ip);
            made.add_set(set.clone()).commit(&self.tables).await.unwrap();
            // nlink refuses more elements than one attribute holds, and more than one list in a
            // transaction.
            for some in elements.chunks(4_000) {
                self.tables.add_set_elements(&set, some).await.unwrap();
            }
        });
    }

    pub fn remove_table(&self) {
        self.runtime.block_on(self.tables.del_table("nlink", Family::Ip)).unwrap();
    }

    pub fn routes_in(&self, to: &[Ipv4Addr]) {
        self.runtime.block_on(async {
            // The acknowledgements of a thousand requests do not fit nlink's receive buffer.
            for some in to.chunks(100) {
                let route = |to: &Ipv4Addr| nlink::Ipv4Route::from_addr(*to, 32).gateway(GATEWAY);
                let batch = self.here.batch();
                let batch =
                    some.iter().map(route).fold(batch, |batch, route| batch.add_route(route));
                batch.execute_all().await.unwrap();
            }
        });
    }

    pub fn routes6_in(&self, to: &[Ipv6Addr], via: Ipv6Addr, link: u32) {
        self.runtime.block_on(async {
            for some in to.chunks(100) {
                let route = |to: &Ipv6Addr| {
                    nlink::Ipv6Route::from_addr(*to, 128).gateway(via).dev_index(link)
                };
                let batch = self.here.batch();
                let batch =
                    some.iter().map(route).fold(batch, |batch, route| batch.add_route(route));
                batch.execute_all().await.unwrap();
            }
        });
    }

    pub fn remove_links(&self, indexes: &[u32]) {
        self.runtime.block_on(async {
            for index in indexes {
                self.here.del_link(InterfaceRef::Index(*index)).await.unwrap();
            }
        });
    }

    /// Creates a namespace with a connection inside.
    pub fn place(&self, name: &str) -> nlink::netlink::Connection<nlink::Route> {
        let _entered = self.runtime.enter();
        nlink::netlink::namespace::create(name).unwrap();
        nlink::netlink::Connection::new_in(name).unwrap()
    }

    pub fn routes_out(&self) -> usize {
        self.runtime.block_on(async { self.here.get_routes().await.unwrap().len() })
    }

    pub fn link(&self, name: &str) {
        self.runtime.block_on(async {
            self.here.get_link_by_name(name).await.unwrap().unwrap();
        });
    }

    pub fn links_out(&self) -> usize {
        self.runtime.block_on(async { self.here.get_links().await.unwrap().len() })
    }
}

/// The number of `ip` commands for a list of lines: one for all lines, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// One command for each namespace, with a batch.
    Batches,
    /// One command for each object.
    Single,
}

/// Runs these lines by `ip`, here or in a namespace.
pub fn ip(calls: Calls, namespace: Option<&str>, lines: &str) {
    let there = namespace.map_or(Vec::new(), |name| vec!["-n", name]);
    match calls {
        Calls::Batches => run("ip", &[there, vec!["-batch", "-"]].concat(), lines),
        Calls::Single => {
            for line in lines.lines() {
                run("ip", &there.iter().copied().chain(line.split(' ')).collect::<Vec<_>>(), "");
            }
        }
    }
}

/// Attaches a container by commands.
pub fn ip_attach(calls: Calls, plan: &Plan) -> (Duration, File) {
    let (name, address) = (&plan.port, plan.address);
    let time = timed(|| {
        run("ip", &["netns", "add", name], "");
        let host = format!("link add {name} up master br0 type veth peer name eth0 netns {name}\n");
        ip(calls, None, &host);
        let ipv6 = if plan.ipv6 { "" } else { "link set eth0 addrgenmode none\n" };
        let there = format!(
            "{ipv6}address add {address}/16 dev eth0\nlink set lo up\n\
             link set eth0 up\nroute add default via {GATEWAY}\n"
        );
        ip(calls, Some(name), &there);
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
