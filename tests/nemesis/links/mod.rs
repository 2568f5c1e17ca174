//! The network between nodes, and between clients and nodes: one trait, two ways to spoil it.
//!
//! [`netns`] gives every node a machine of its own, as far as the network goes, and the kernel's
//! packet filter between them; it needs root. [`proxy`] carries every connection through this
//! process, and works everywhere.

pub(crate) mod netns;
pub(crate) mod proxy;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::process::{Cluster, End, Host, Port};

/// What is wrong with one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Nothing arrives.
    pub(crate) is_cut: bool,
    /// Connections are reset, old ones and new ones.
    pub(crate) is_reset: bool,
    /// So many of a hundred packets are lost.
    pub(crate) loss: u8,
    /// How much later everything arrives, at least where there is much of it.
    pub(crate) delay: Duration,
}

impl Weather {
    /// Returns what both together are.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            is_cut: self.is_cut || other.is_cut,
            is_reset: self.is_reset || other.is_reset,
            loss: self.loss.max(other.loss),
            delay: self.delay.max(other.delay),
        }
    }
}

/// The weather of the whole network, by direction; what is not in it is fair.
pub(crate) type Map = BTreeMap<(End, End), Weather>;

/// A network whose weather can be made.
pub(crate) trait Links {
    /// Says which it is, for people.
    fn describe(&self) -> &'static str;

    /// Returns where a node is reached, from whom and for what.
    fn route(&self, from: End, to: usize, port: Port) -> SocketAddr;

    /// Makes the weather, and ends whatever was before.
    fn set(&mut self, weather: &Map);
}

/// Which network is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Netns,
    Proxy,
    /// Namespaces if the machine allows them.
    Auto,
}

/// Returns a cluster of nodes that do not run yet, and the network between them.
///
/// # Errors
///
/// If namespaces are wanted, and there can be none.
pub(crate) fn build(
    wanted: Wanted,
    variables: Vec<Vec<(String, String)>>,
) -> Result<(Cluster, Box<dyn Links>), String> {
    let nodes = variables.len();
    let namespaces = match wanted {
        Wanted::Proxy => None,
        Wanted::Netns => Some(netns::Netns::new(nodes)?),
        Wanted::Auto => netns::Netns::new(nodes)
            .inspect_err(|reason| {
                println!("no network namespaces here ({reason}): proxies carry every link");
            })
            .ok(),
    };
    let host = |(at, variables)| match &namespaces {
        Some(namespaces) => namespaces.host(at, variables),
        None => Host { variables, ..Host::default() },
    };
    let hosts = variables.into_iter().enumerate().map(host).collect();
    let cluster = Cluster::on(hosts, tempfile::tempdir().map_err(|error| error.to_string())?);
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.addresses()).collect();
    let links: Box<dyn Links> = match namespaces {
        Some(namespaces) => Box::new(namespaces.leading_to(addresses)),
        None => Box::new(proxy::Proxies::new(&addresses)),
    };
    Ok((cluster, links))
}
