//! The result of ADD, as each version of the specification formats it. A plugin prints the result.
//! The next plugin of a chain, CHECK and DEL read it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::fields::Fields;
use crate::version::Version;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NetworkResult {
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) ips: Vec<Ip>,
    pub(crate) routes: Vec<Route>,
    /// The `dns` field, passed on unchanged.
    pub(crate) dns: Option<Value>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) mac: Option<String>,
    pub(crate) mtu: Option<u32>,
    /// The path of the container's namespace; `None` for an interface on the host.
    pub(crate) sandbox: Option<String>,
    /// Fields that this plugin does not interpret (`socketPath`, `pciID`).
    other: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ip {
    pub(crate) address: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    /// The position of the address's interface in the list of interfaces.
    pub(crate) interface: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(crate) dst: IpNet,
    pub(crate) gw: Option<IpAddr>,
    pub(crate) mtu: Option<u32>,
    pub(crate) priority: Option<u32>,
    pub(crate) table: Option<u32>,
    pub(crate) advmss: Option<u32>,
    /// The scope: 0 universe, 253 link, 254 host. IPv6 routes have none.
    pub(crate) scope: Option<u8>,
}

impl NetworkResult {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        let read = |list: &str| fields.objects(list);
        let mut result = Self {
            interfaces: read("interfaces")?
                .iter()
                .map(Interface::read)
                .collect::<Result<_, _>>()?,
            ips: read("ips")?.iter().map(Ip::read).collect::<Result<_, _>>()?,
            routes: read("routes")?.iter().map(Route::read).collect::<Result<_, _>>()?,
            dns: fields.value("dns").cloned(),
        };
        // Before version 0.3.0, a result had one object for each family.
        for family in ["ip4", "ip6"] {
            let Some(fields) = fields.object(family)? else { continue };
            result.ips.push(Ip::read_as(&fields, "ip")?);
            for route in fields.objects("routes")? {
                result.routes.push(Route::read(&route)?);
            }
        }
        Ok(result)
    }

    pub(crate) fn to_json(&self, version: Version) -> Value {
        if version < Version::V0_3_0 {
            return self.to_json_of_families(version);
        }
        let interfaces: Vec<_> = self.interfaces.iter().map(|one| one.to_json(version)).collect();
        let ips: Vec<_> = self.ips.iter().map(|one| one.to_json(version)).collect();
        let routes: Vec<_> = self.routes.iter().map(|one| one.to_json(version)).collect();
        let mut result = json!({ "cniVersion": version.name() });
        if !interfaces.is_empty() {
            result["interfaces"] = json!(interfaces);
        }
        if !ips.is_empty() {
            result["ips"] = json!(ips);
        }
        if !routes.is_empty() {
            result["routes"] = json!(routes);
        }
        result["dns"] = self.dns.clone().unwrap_or_else(|| json!({}));
        result
    }

    /// Formats the result as versions before 0.3.0 do: the first address of each family.
    fn to_json_of_families(&self, version: Version) -> Value {
        let mut result = json!({ "cniVersion": version.name() });
        for (family, is_ipv4) in [("ip4", true), ("ip6", false)] {
            let mut ips = self.ips.iter();
            let Some(ip) = ips.find(|ip| ip.address.addr().is_ipv4() == is_ipv4) else { continue };
            let mut object = json!({ "ip": ip.address.to_string() });
            if let Some(gateway) = ip.gateway {
                object["gateway"] = json!(gateway.to_string());
            }
            let routes = self.routes.iter().filter(|one| one.dst.addr().is_ipv4() == is_ipv4);
            let routes: Vec<_> = routes.map(|route| route.to_json(version)).collect();
            if !routes.is_empty() {
                object["routes"] = json!(routes);
            }
            result[family] = object;
        }
        result["dns"] = self.dns.clone().unwrap_or_else(|| json!({}));
        result
    }

    /// Appends this plugin's result to the result of the plugins before it in a chain.
    #[must_use]
    pub(crate) fn after(mut self, previous: Option<Self>) -> Self {
        let Some(mut all) = previous else { return self };
        let offset = all.interfaces.len();
        for ip in &mut self.ips {
            ip.interface = ip.interface.map(|index| index + offset);
        }
        all.interfaces.extend(self.interfaces);
        all.ips.extend(self.ips);
        all.routes.extend(self.routes);
        all.dns = self.dns.or(all.dns);
        all
    }
}

impl Interface {
    pub(crate) fn new(name: &str, mac: Option<String>, mtu: u32, sandbox: Option<String>) -> Self {
        Self { name: name.to_owned(), mac, mtu: Some(mtu), sandbox, other: Map::new() }
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        let name = fields.text("name")?.ok_or_else(|| fields.refuse("name", "a name"))?;
        let text = |name: &str| -> Result<Option<String>, Failure> {
            Ok(fields.text(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let mut other = Map::new();
        for name in ["socketPath", "pciID"] {
            other.extend(fields.value(name).map(|value| (name.to_owned(), value.clone())));
        }
        Ok(Self {
            name: name.to_owned(),
            mac: text("mac")?,
            mtu: fields.number("mtu", 0..=u32::MAX)?,
            sandbox: text("sandbox")?,
            other,
        })
    }

    fn to_json(&self, version: Version) -> Value {
        let mut object = json!({ "name": self.name });
        if let Some(mac) = &self.mac {
            object["mac"] = json!(mac);
        }
        if version >= Version::V1_1_0 {
            if let Some(mtu) = self.mtu.filter(|mtu| *mtu > 0) {
                object["mtu"] = json!(mtu);
            }
            for (name, value) in &self.other {
                object[name] = value.clone();
            }
        }
        if let Some(sandbox) = &self.sandbox {
            object["sandbox"] = json!(sandbox);
        }
        object
    }
}

impl Ip {
    fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        Self::read_as(fields, "address")
    }

    /// Reads an entry whose address is in the field `name`.
    fn read_as(fields: &Fields<'_>, name: &str) -> Result<Self, Failure> {
        const EXPECTED: &str = "an address with the length of its prefix";
        let address = fields.parsed(name, EXPECTED)?;
        let interface = fields.number("interface", 0..=u32::MAX)?;
        Ok(Self {
            address: address.ok_or_else(|| fields.refuse(name, EXPECTED))?,
            gateway: fields.parsed("gateway", "an address")?,
            interface: interface.and_then(|index| index.try_into().ok()),
        })
    }

    fn to_json(&self, version: Version) -> Value {
        let mut object = json!({ "address": self.address.to_string() });
        if version < Version::V1_0_0 {
            object["version"] = json!(if self.address.addr().is_ipv4() { "4" } else { "6" });
        }
        if let Some(gateway) = self.gateway {
            object["gateway"] = json!(gateway.to_string());
        }
        if let Some(interface) = self.interface {
            object["interface"] = json!(interface);
        }
        object
    }
}

impl Route {
    /// Returns a default route through this gateway.
    pub(crate) fn default_by(gateway: IpAddr) -> Self {
        let any = if gateway.is_ipv4() { "0.0.0.0/0".parse() } else { "::/0".parse() };
        let dst = any.unwrap_or_else(|_| IpNet::from(gateway));
        Self {
            dst,
            gw: Some(gateway),
            mtu: None,
            priority: None,
            table: None,
            advmss: None,
            scope: None,
        }
    }

    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        const EXPECTED: &str = "a network, as 10.0.0.0/8";
        let dst: Option<IpNet> = fields.parsed("dst", EXPECTED)?;
        let dst = dst.ok_or_else(|| fields.refuse("dst", EXPECTED))?;
        let gw: Option<IpAddr> = fields.parsed("gw", "an address")?;
        if gw.is_some_and(|gw| gw.is_ipv4() != dst.addr().is_ipv4()) {
            return Err(fields.refuse("gw", format_args!("of the family of {dst}")));
        }
        Ok(Self {
            dst: dst.trunc(),
            gw,
            mtu: fields.number("mtu", 0..=u32::MAX)?.filter(|mtu| *mtu > 0),
            priority: fields.number("priority", 0..=u32::MAX)?.filter(|priority| *priority > 0),
            table: fields.number("table", 0..=u32::MAX)?,
            advmss: fields.number("advmss", 0..=u32::MAX)?.filter(|advmss| *advmss > 0),
            scope: fields.number("scope", 0..=255)?.and_then(|scope| scope.try_into().ok()),
        })
    }

    /// Returns whether the destination is on the link itself, so that the route has no gateway.
    pub(crate) fn is_near(&self) -> bool {
        self.dst.addr().is_ipv4() && self.scope.is_some_and(|scope| scope >= 253)
    }

    fn to_json(&self, version: Version) -> Value {
        let mut object = json!({ "dst": self.dst.to_string() });
        if let Some(gw) = self.gw {
            object["gw"] = json!(gw.to_string());
        }
        if version >= Version::V1_1_0 {
            let numbers = [
                ("mtu", self.mtu),
                ("advmss", self.advmss),
                ("priority", self.priority),
                ("table", self.table),
                ("scope", self.scope.map(u32::from)),
            ];
            for (name, number) in numbers {
                if let Some(number) = number {
                    object[name] = json!(number);
                }
            }
        }
        object
    }
}
