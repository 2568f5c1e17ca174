//! A disk that hangs: it fails nothing and finishes nothing.

use std::time::{Duration, Instant};

use crate::lab::{Lab, Machines};
use crate::process::load::{Load, Mix};
use crate::process::{PATIENCE, wait_for};

const MIX: Mix =
    Mix { resp: 3, http: 1, pipeline: 8, ballast: 4 << 10, pause: Duration::from_millis(4) };
/// A leader notices after 3 s; an election, and a slow machine, come on top.
const TAKE_OVER_MAX: Duration = Duration::from_secs(12);

/// The leader's disk hangs: it gives up leading, another takes over, and it comes back in the end.
pub(crate) fn leader(lab: &Lab) {
    let mut machines = Machines::start(lab, 512 << 20);
    let load = Load::start(&machines.cluster, MIX);
    load.wait_for_progress();
    let hung = machines.cluster.leader();
    machines.disks[hung].freeze();
    let frozen = Instant::now();
    let leader = wait_for("another leader", || {
        (0..3).filter(|at| *at != hung).find(|at| {
            let status = machines.cluster.nodes[*at].status();
            status.is_some_and(|status| status["role"] == "leader")
        })
    });
    let took = frozen.elapsed();
    assert!(took < TAKE_OVER_MAX, "it took {took:?} until another led");
    println!("hung disk: another node led after {:.1} s", took.as_secs_f64());
    for _ in 0..10 {
        load.wait_for_progress();
    }
    // What does not need its disk, it goes on doing.
    let status = machines.cluster.nodes[hung].status().expect("it answers");
    assert_eq!(status["role"], "follower", "{status}");
    let redirect = machines.cluster.nodes[hung].resp().call(&["GET", "k"]).unwrap();
    assert_eq!(redirect.moved_to(), Some(machines.cluster.nodes[leader].resp), "{redirect:?}");
    assert!(machines.cluster.nodes[hung].log().contains("the disk hangs"));
    assert!(frozen.elapsed() < PATIENCE, "the disk was frozen all the time");

    machines.disks[hung].thaw();
    load.wait_for_progress();
    let ledger = load.stop();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
}
