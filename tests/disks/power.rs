//! Power cuts: the disk of one machine, of two, or of all at the same moment, under load.
//!
//! A cycle lets clients write, cuts the power, kills what is left, mounts the disks again, starts
//! the nodes, lets the clients go on, and checks: every write that was acknowledged is there, none
//! that was refused, the counter was counted right, and the three replicas are equal. At the end
//! all of it is checked once more.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Machines};
use crate::process::load::{Load, Mix};
use crate::random::Random;
use crate::shutdown::shut_down;

/// Large enough for what a hundred cycles write; what is not written takes no memory.
const DISK_BYTES: u64 = 1 << 30;
/// Clients that always have something under way, and do not fill the disks.
const MIX: Mix =
    Mix { resp: 6, http: 2, pipeline: 16, ballast: 16 << 10, pause: Duration::from_millis(8) };
/// How long the clients write before a cut, at the most.
const WRITING_MS_MAX: u64 = 300;
const PROGRESS: Duration = Duration::from_secs(10);

/// Cuts so often, as the seed says.
pub(crate) fn cut(lab: &Lab, cycles: u64, seed: u64) {
    println!("power cuts: seed {seed}");
    let mut random = Random::for_part(seed, "power");
    let mut machines = Machines::start(lab, DISK_BYTES);
    let load = Load::start(&machines.cluster, MIX);
    let mut cuts = [0; 3];
    let mut checked = load.ledger().position();
    let mut said = Instant::now();
    for cycle in 1..=cycles {
        let victims = draw_victims(&mut random);
        let _told = Cycle { cycle, victims: victims.clone() };
        cuts[victims.len() - 1] += 1;
        load.wait_for_progress();
        std::thread::sleep(Duration::from_millis(random.below(WRITING_MS_MAX)));
        cut_at_once(&machines, &victims, random.one_in(4));
        // Power that is gone takes the process with it; a disk that is gone, it has to notice.
        let notices = random.one_in(2);
        for at in &victims {
            if notices {
                let why = machines.end_of(*at);
                let known = ["; the node stops", "(SIGBUS)", "were not made durable"];
                assert!(known.iter().any(|known| why.contains(known)), "{why}");
            } else {
                machines.cluster.nodes[*at].kill();
            }
        }
        if victims.len() == 1 && random.one_in(2) {
            load.wait_for_progress();
        }
        for at in &victims {
            machines.remount(*at);
            machines.cluster.nodes[*at].start();
        }
        load.wait_for_progress();
        let pause = load.pause();
        let ledger = load.ledger();
        ledger.check_after(&machines.cluster, &checked);
        machines.cluster.assert_converged();
        checked = ledger.position();
        drop(pause);
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            let acknowledged = ledger.acknowledged();
            println!("... {cycle} of {cycles} cycles, {acknowledged} acknowledged writes");
        }
    }
    let ledger = load.stop();
    ledger.check(&machines.cluster);
    machines.cluster.assert_converged();
    let [one, two, all] = cuts;
    println!(
        "power cuts: {cycles} cycles ({one} of one machine, {two} of two, {all} of all), \
         {} acknowledged writes, none missing",
        ledger.acknowledged()
    );
}

/// Says in which cycle it was, when one fails.
struct Cycle {
    cycle: u64,
    victims: Vec<usize>,
}

impl Drop for Cycle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this was cycle {}, with a cut of machines {:?}", self.cycle, self.victims);
        }
    }
}

/// Draws one machine, two, or all.
fn draw_victims(random: &mut Random) -> Vec<usize> {
    let mut victims = vec![0, 1, 2];
    for _ in 0..random.below(3) {
        victims.remove(usize::try_from(random.below(victims.len() as u64)).unwrap());
    }
    victims
}

/// Cuts the power of these machines in the same moment.
fn cut_at_once(machines: &Machines, victims: &[usize], flush_log: bool) {
    let moment = Barrier::new(victims.len());
    std::thread::scope(|scope| {
        for at in victims {
            let disk = machines.disks[*at].open();
            let moment = &moment;
            scope.spawn(move || {
                moment.wait();
                shut_down(&disk, flush_log);
            });
        }
    });
}
