//! The network configuration: the fields of the reference `bridge` plugin, and additional ones.

use std::net::IpAddr;
use std::path::PathBuf;

use netloom::MacAddr;
use serde_json::Value;

use crate::attachment::Attachment;
use crate::call::{Call, Command, is_identifier};
use crate::dns;
use crate::failure::{Code, Failure};
use crate::fields::Fields;
use crate::gateway;
use crate::ipam::Ipam;
use crate::port_mapping::{self, PortMapping};
use crate::result::NetworkResult;
use crate::version::Version;
use crate::vlan::Vlans;

const BRIDGE: &str = "cni0";
/// The capability that limits a container's traffic.
const BANDWIDTH: &str = "bandwidth";

/// The `ingressPolicy`, as in the reference `firewall` plugin: the peers that may open connections
/// to the containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum IngressPolicy {
    /// All peers.
    #[default]
    Open,
    /// All peers except containers of other networks with this policy.
    SameBridge,
    /// All peers of `SameBridge` except containers of the same network.
    Isolated,
}

/// The isolation of a container's port from other isolated ports of its bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Isolation {
    #[default]
    None,
    /// Isolation by the port's own setting.
    Port,
    /// Isolation by rules for frames. A bridge that calls the IP rules (`br_netfilter`) sends
    /// packets to published ports directly from port to port. The port's own setting would drop
    /// these packets.
    Rules,
}

impl Isolation {
    fn of(ports: bool, ingress: IngressPolicy) -> Self {
        const CALLS: [&str; 2] = ["iptables", "ip6tables"];
        let calls = |name: &&str| {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{name}");
            std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
        };
        match ports || ingress == IngressPolicy::Isolated {
            false => Self::None,
            true if CALLS.iter().any(calls) => Self::Rules,
            true => Self::Port,
        }
    }
}

#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // the configuration has them
pub(crate) struct Config {
    pub(crate) version: Version,
    pub(crate) network: String,
    pub(crate) bridge: String,
    pub(crate) is_gateway: bool,
    pub(crate) is_default_gateway: bool,
    pub(crate) force_address: bool,
    pub(crate) masquerade: bool,
    /// Masquerades all connections to published ports.
    pub(crate) masquerade_all: bool,
    pub(crate) hairpin: bool,
    pub(crate) promiscuous: bool,
    /// True if ADD accepts the network's packets in another program's `FORWARD` chain that drops
    /// them.
    pub(crate) accept_forward: bool,
    pub(crate) isolation: Isolation,
    /// Drops the container's frames that have another hardware address as source.
    pub(crate) mac_spoof_check: bool,
    /// True if the container's end stays down and gets no addresses.
    pub(crate) disable_container_interface: bool,
    pub(crate) detect_duplicates: bool,
    pub(crate) ingress: IngressPolicy,
    pub(crate) mtu: Option<u32>,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) vlans: Vlans,
    pub(crate) ports: Vec<PortMapping>,
    pub(crate) ipam: Ipam,
    pub(crate) dns: Option<Value>,
    pub(crate) previous: Option<NetworkResult>,
    /// The container and interface of each attachment that GC must keep.
    pub(crate) valid: Vec<(String, String)>,
    /// The directory of the records. It has a subdirectory for each network.
    pub(crate) data: PathBuf,
    /// The original configuration, for delegated plugins.
    pub(crate) document: Value,
}

impl Config {
    pub(crate) fn read(text: &str, call: &Call) -> Result<Self, Failure> {
        let document: Value = serde_json::from_str(text).map_err(|error| {
            let problem = format!("the network configuration is not JSON: {error}");
            Failure::new(Code::Decode, problem)
        })?;
        let fields = Fields::of(&document)?;
        let version = version(&fields, call.command)?;
        let network = fields.text("name")?.unwrap_or_default();
        if !is_identifier(network) {
            let expected = "letters, digits, `_`, `.` and `-` after a letter or digit";
            return Err(fields.refuse("name", expected));
        }
        let named = Self { version, network: network.to_owned(), ..Self::default() };
        let config = match call.command {
            Command::Del => named.of_del(&fields),
            _ => named.of_any(&fields, call)?,
        };
        Ok(Self { document, ..config })
    }

    /// Reads only the fields that DEL needs. DEL must succeed even if ADD was refused because of
    /// the other fields.
    fn of_del(self, fields: &Fields<'_>) -> Self {
        let ipam = Ipam::of_del(fields);
        let data = ipam.directory(fields).unwrap_or_else(|_| ipam.default_directory().into());
        let bridge = bridge(fields).unwrap_or_else(|_| BRIDGE.to_owned());
        Self { bridge, ipam, data, ..self }
    }

    fn of_any(self, fields: &Fields<'_>, call: &Call) -> Result<Self, Failure> {
        let ipam = Ipam::read(fields, call)?;
        refuse_bandwidth(fields)?;
        port_mapping::check_network(fields)?;
        let config = Self {
            bridge: bridge(fields)?,
            is_gateway: fields.flag("isGateway")?.unwrap_or(false),
            is_default_gateway: fields.flag("isDefaultGateway")?.unwrap_or(false),
            force_address: fields.flag("forceAddress")?.unwrap_or(false),
            masquerade: fields.flag("ipMasq")?.unwrap_or(false),
            masquerade_all: fields.flag("masqAll")?.unwrap_or(false),
            hairpin: fields.flag("hairpinMode")?.unwrap_or(false),
            promiscuous: fields.flag("promiscMode")?.unwrap_or(false),
            accept_forward: fields.flag("acceptForward")?.unwrap_or(true),
            isolation: Isolation::of(
                fields.flag("portIsolation")?.unwrap_or(false),
                ingress(fields)?,
            ),
            mac_spoof_check: fields.flag("macspoofchk")?.unwrap_or(false),
            disable_container_interface: fields.flag("disableContainerInterface")?.unwrap_or(false),
            detect_duplicates: fields.flag("enabledad")?.unwrap_or(false),
            ingress: ingress(fields)?,
            mtu: mtu(fields)?,
            mac: mac(fields, call)?,
            vlans: Vlans::read(fields)?,
            ports: ports(fields)?,
            dns: dns::read(fields)?,
            previous: fields
                .object("prevResult")?
                .map(|previous| NetworkResult::read(&previous))
                .transpose()?,
            valid: valid(fields, call.command)?,
            data: ipam.directory(fields)?,
            ipam,
            ..self
        };
        config.check(fields)?;
        Ok(config)
    }

    /// Returns the attachment that a call is about.
    pub(crate) fn attachment(&self, call: &Call) -> Attachment {
        Attachment {
            network: self.network.clone(),
            container: call.container.clone(),
            ifname: call.ifname.clone(),
        }
    }

    /// Returns whether the host is the network's gateway.
    pub(crate) fn routes(&self) -> bool {
        self.is_gateway || self.is_default_gateway
    }

    /// Refuses fields that contradict each other.
    fn check(&self, fields: &Fields<'_>) -> Result<(), Failure> {
        gateway::check_name(self)?;
        if self.hairpin && self.promiscuous {
            return Err(fields.refuse("promiscMode", "possible together with hairpinMode"));
        }
        if self.disable_container_interface && !matches!(self.ipam, Ipam::None) {
            let expected = "possible together with ipam";
            return Err(fields.refuse("disableContainerInterface", expected));
        }
        Ok(())
    }
}

fn version(fields: &Fields<'_>, command: Command) -> Result<Version, Failure> {
    let said = fields.text("cniVersion")?.unwrap_or("0.1.0");
    let spoken = Version::ALL.map(Version::name).join(", ");
    let version: Version = said.parse().map_err(|()| {
        let problem = format!("cniVersion `{said}` is not supported");
        Failure::new(Code::IncompatibleVersion, problem).details(format!("supported: {spoken}"))
    })?;
    let since = match command {
        Command::Check => Version::V0_4_0,
        Command::Gc | Command::Status => Version::V1_1_0,
        _ => return Ok(version),
    };
    if version < since {
        let name = command.name();
        let problem = format!("cniVersion {version} has no {name}: it came with {since}");
        return Err(Failure::new(Code::IncompatibleVersion, problem));
    }
    Ok(version)
}

fn bridge(fields: &Fields<'_>) -> Result<String, Failure> {
    let name = fields.text("bridge")?.filter(|name| !name.is_empty()).unwrap_or(BRIDGE);
    let bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if name.len() > 15 || matches!(name, "." | "..") || name.contains(bad) {
        return Err(fields.refuse("bridge", "a name for a link"));
    }
    Ok(name.to_owned())
}

/// Reads the MTU. A value of 0 means none, as in the reference plugin.
fn mtu(fields: &Fields<'_>) -> Result<Option<u32>, Failure> {
    let mtu = fields.number("mtu", 0..=65_535)?.filter(|mtu| *mtu != 0);
    if mtu.is_some_and(|mtu| mtu < 68) {
        return Err(fields.refuse("mtu", "a number from 68 to 65535"));
    }
    Ok(mtu)
}

fn ingress(fields: &Fields<'_>) -> Result<IngressPolicy, Failure> {
    match fields.text("ingressPolicy")?.unwrap_or_default() {
        "" | "open" => Ok(IngressPolicy::Open),
        "same-bridge" => Ok(IngressPolicy::SameBridge),
        "isolated" => Ok(IngressPolicy::Isolated),
        _ => Err(fields.refuse("ingressPolicy", "open, same-bridge or isolated")),
    }
}

/// Reads the hardware address from the runtime's capabilities, `args`, `CNI_ARGS` or the
/// configuration, in this order.
fn mac(fields: &Fields<'_>, call: &Call) -> Result<Option<MacAddr>, Failure> {
    const EXPECTED: &str = "a MAC address of one station";
    let args = fields.object("args")?;
    let cni = args.as_ref().map(|args| args.object("cni")).transpose()?.flatten();
    for place in [fields.object("runtimeConfig")?, cni].into_iter().flatten() {
        if let Some(mac) = place.parsed::<MacAddr>("mac", EXPECTED)? {
            return unicast(mac).ok_or_else(|| place.refuse("mac", EXPECTED)).map(Some);
        }
    }
    if let Some(text) = call.arg("MAC") {
        let mac = text.parse().ok().and_then(unicast);
        let problem = format!("CNI_ARGS: MAC `{text}` is not {EXPECTED}");
        return mac.ok_or_else(|| Failure::new(Code::InvalidEnvironment, problem)).map(Some);
    }
    let Some(mac) = fields.parsed::<MacAddr>("mac", EXPECTED)? else { return Ok(None) };
    unicast(mac).ok_or_else(|| fields.refuse("mac", EXPECTED)).map(Some)
}

fn unicast(mac: MacAddr) -> Option<MacAddr> {
    mac.is_unicast().then_some(mac)
}

/// Refuses the capability `bandwidth`, unless its rates are 0, which means no limit.
fn refuse_bandwidth(fields: &Fields<'_>) -> Result<(), Failure> {
    let runtime = fields.object("runtimeConfig")?;
    let Some(runtime) = runtime.filter(|runtime| runtime.value(BANDWIDTH).is_some()) else {
        return Ok(());
    };
    let Some(limits) = runtime.object(BANDWIDTH)? else { return Ok(()) };
    for name in ["ingressRate", "egressRate"] {
        if limits.value(name).is_some_and(|rate| rate.as_u64() != Some(0)) {
            return Err(limits.unsupported(name).details(
                "no traffic is shaped: add the reference plugin `bandwidth` to the list after this \
                 one, and give that plugin the capability",
            ));
        }
    }
    Ok(())
}

fn ports(fields: &Fields<'_>) -> Result<Vec<PortMapping>, Failure> {
    let args = fields.object("args")?;
    let cni = args.as_ref().map(|args| args.object("cni")).transpose()?.flatten();
    let mut ports = Vec::new();
    for place in [fields.object("runtimeConfig")?, cni].into_iter().flatten() {
        for mapping in place.objects("portMappings")? {
            ports.push(PortMapping::read(&mapping)?);
        }
    }
    Ok(ports)
}

/// Reads the attachments that GC must keep. The field is required, possibly as `null`, because GC
/// deletes all others. Runtimes written before the final specification use the second name.
fn valid(fields: &Fields<'_>, command: Command) -> Result<Vec<(String, String)>, Failure> {
    const NAME: &str = "cni.dev/valid-attachments";
    let said = [NAME, "cni.dev/attachments"].into_iter().find(|name| fields.has(name));
    if said.is_none() && command == Command::Gc {
        return Err(fields.refuse(NAME, "the list of attachments that GC has to keep"));
    }
    let text = |fields: &Fields<'_>, name: &str| -> Result<String, Failure> {
        let text = fields.text(name)?.ok_or_else(|| fields.refuse(name, "a name"))?;
        Ok(text.to_owned())
    };
    let all = fields.objects(said.unwrap_or(NAME))?;
    all.iter().map(|one| Ok((text(one, "containerID")?, text(one, "ifname")?))).collect()
}

/// Returns the addresses requested by `args`, or by `CNI_ARGS` if `args` names none, and those of
/// the capability `ips`.
pub(crate) fn requested(fields: &Fields<'_>, call: &Call) -> Result<Vec<IpAddr>, Failure> {
    let mut requested = Vec::new();
    let args = fields.object("args")?;
    let cni = args.as_ref().map(|args| args.object("cni")).transpose()?.flatten();
    let mut list = |place: Option<Fields<'_>>| -> Result<bool, Failure> {
        let Some(place) = place else { return Ok(false) };
        for (path, value) in place.list("ips")? {
            let address = value.as_str().and_then(address);
            let refused = || crate::fields::wrong(&path, value, "an address");
            requested.push(address.ok_or_else(refused)?);
        }
        Ok(!requested.is_empty())
    };
    let is_in_args = list(cni)?;
    list(fields.object("runtimeConfig")?)?;
    if let Some(text) = call.arg("IP").filter(|_| !is_in_args) {
        let problem = format!("CNI_ARGS: IP `{text}` is not an address");
        let address = address(text);
        requested.push(address.ok_or_else(|| Failure::new(Code::InvalidEnvironment, problem))?);
    }
    requested.sort_unstable();
    requested.dedup();
    Ok(requested)
}

/// Parses an address, with or without a prefix length.
fn address(text: &str) -> Option<IpAddr> {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    length.parse::<u8>().ok()?;
    address.parse().ok()
}
