//! A small proxy for each link, in this process: bytes wait, come late, or find their connection
//! closed.
//!
//! A direction that is cut holds back what passes in it, as TCP does with what it has to send again
//! and again; so is lost what is lost by chance: it comes later, as after one retransmission.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::{Links, Map};
use crate::process::{End, Port};
use crate::random::Random;

/// When what was lost is sent again, as TCP does at first.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// What is carried at once.
const CHUNK_BYTES: usize = 64 << 10;

/// All proxies, which run on a thread of their own until this is dropped.
pub(crate) struct Proxies {
    weather: watch::Sender<Map>,
    routes: BTreeMap<(End, usize, Port), SocketAddr>,
    /// Dropped, it ends the thread.
    _running: oneshot::Sender<()>,
}

/// A way through a proxy.
#[derive(Clone, Debug)]
struct Link {
    from: End,
    to: End,
    target: SocketAddr,
    weather: watch::Receiver<Map>,
}

impl Proxies {
    /// Starts a proxy between every two nodes, and two between the clients and each node.
    pub(crate) fn new(addresses: &[[SocketAddr; 3]]) -> Self {
        let (weather, seen) = watch::channel(Map::new());
        let mut routes = BTreeMap::new();
        let mut listeners = Vec::new();
        for (to, targets) in addresses.iter().enumerate() {
            let nodes = (0..addresses.len()).map(|from| (End::Node(from), Port::Grpc));
            let clients = [Port::Http, Port::Resp].map(|port| (End::Clients, port));
            for (from, port) in nodes.chain(clients) {
                if from == End::Node(to) {
                    // Where a node believes to be is where it listens.
                    routes.insert((from, to, port), targets[port as usize]);
                    continue;
                }
                let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                listener.set_nonblocking(true).unwrap();
                routes.insert((from, to, port), listener.local_addr().unwrap());
                let target = targets[port as usize];
                let link = Link { from, to: End::Node(to), target, weather: seen.clone() };
                listeners.push((listener, link));
            }
        }
        let (running, end) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                for (listener, link) in listeners {
                    let listener = TcpListener::from_std(listener).unwrap();
                    tokio::spawn(serve(listener, link));
                }
                let _: Result<(), _> = end.await;
            });
        });
        Self { weather, routes, _running: running }
    }
}

impl Links for Proxies {
    fn describe(&self) -> &'static str {
        "a proxy for each link"
    }

    fn route(&self, from: End, to: usize, port: Port) -> SocketAddr {
        self.routes[&(from, to, port)]
    }

    fn set(&mut self, weather: &Map) {
        self.weather.send_replace(weather.clone());
    }
}

async fn serve(listener: TcpListener, link: Link) {
    loop {
        // Out of file descriptors, mostly: whoever connects tries again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(carry(stream, link.clone()));
    }
}

/// Carries one connection, until an end closes it or the weather resets it.
async fn carry(near: TcpStream, link: Link) -> io::Result<()> {
    let (mut reset, mut open) = (link.weather.clone(), link.weather.clone());
    let is_reset = |map: &Map| {
        [(link.from, link.to), (link.to, link.from)]
            .iter()
            .any(|way| map.get(way).is_some_and(|weather| weather.is_reset))
    };
    let is_open = |map: &Map| {
        [(link.from, link.to), (link.to, link.from)]
            .iter()
            .all(|way| map.get(way).is_none_or(|weather| !weather.is_cut))
    };
    let conversation = async {
        // To connect takes both directions.
        let _ = open.wait_for(is_open).await;
        let far = TcpStream::connect(link.target).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        let there = pump(near_read, far_write, (link.from, link.to), link.weather.clone());
        let back = pump(far_read, near_write, (link.to, link.from), link.weather.clone());
        tokio::select! {
            ended = there => ended,
            ended = back => ended,
        }
    };
    tokio::select! {
        ended = conversation => ended,
        _ = reset.wait_for(is_reset) => Ok(()),
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: (End, End),
    mut weather: watch::Receiver<Map>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut random = Random::for_part(u64::from(from.peer_addr()?.port()), "loss");
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        let of = |map: &Map| map.get(&way).copied().unwrap_or_default();
        let mut now = of(&weather.borrow_and_update());
        if now.is_cut {
            let Ok(map) = weather.wait_for(|map| !of(map).is_cut).await else { return Ok(()) };
            now = of(&map);
        }
        tokio::time::sleep(now.delay).await;
        while random.below(100) < u64::from(now.loss) {
            tokio::time::sleep(RETRANSMISSION).await;
            now = of(&weather.borrow());
        }
        to.write_all(&chunk[..read]).await?;
    }
}
