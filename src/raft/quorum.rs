//! Majorities: the only arithmetic Raft needs.
//!
//! Any two majorities of a cluster share a server. Every safety argument in Raft leans on that one
//! fact: a new leader has met someone who holds each committed entry (§5.4.3), and a read has met
//! someone who would know a newer leader (thesis §6.4).
//!
//! While the members change, a decision needs a majority of the old servers and one of the new
//! (§6), so that it shares a server with every decision made before the change and with every one
//! made after it.

use std::collections::BTreeSet;

use super::{Configuration, NodeId};

/// Returns the highest value that a quorum has reached: everyone in some majority has this value or
/// a higher one. During a change of members it is the lower of what both majorities have reached.
///
/// Elections ask it of votes (`true` is higher than `false`), check-quorum of who was heard from,
/// the commit rule of match indexes, and reads of the rounds that were answered.
pub(super) fn quorum_reached<T: Ord + Copy>(
    configuration: &Configuration,
    value: impl Fn(NodeId) -> T,
) -> T {
    let reached = |servers: &BTreeSet<NodeId>| {
        let mut values: Vec<T> = servers.iter().map(|id| value(*id)).collect();
        (!values.is_empty()).then(|| majority_reached(&mut values))
    };
    let halves = [reached(&configuration.voters), reached(&configuration.outgoing)];
    halves.into_iter().flatten().min().expect("only a voter asks, so there is at least one")
}

/// Returns the highest value that a majority of these has reached.
fn majority_reached<T: Ord + Copy>(values: &mut [T]) -> T {
    assert!(!values.is_empty(), "a majority of nobody decides nothing");
    let majority = values.len() / 2 + 1;
    // From high to low, the value in this place has been reached by its owner and by all before it.
    *values.select_nth_unstable_by(majority - 1, |a, b| b.cmp(a)).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        assert_eq!(majority_reached(&mut [7]), 7);
        assert_eq!(majority_reached(&mut [7, 3]), 3);
        assert_eq!(majority_reached(&mut [7, 1, 3]), 3);
        assert_eq!(majority_reached(&mut [7, 1, 3, 9]), 3);
        assert_eq!(majority_reached(&mut [9, 1, 7, 3, 5]), 5);
    }

    #[test]
    fn a_joint_quorum_is_the_lower_of_two_majorities() {
        let id = |name: &str| name.parse::<NodeId>().unwrap();
        let mut configuration = Configuration::bootstrap(["a", "b", "c"].map(id));
        configuration.learners.insert(id("z"));
        let reached = |configuration: &Configuration| {
            quorum_reached(configuration, |server| match server.as_str() {
                "a" | "b" => 8,
                "c" => 1,
                "d" => 6,
                "e" => 2,
                other => panic!("{other} does not vote and must not be asked"),
            })
        };
        assert_eq!(reached(&configuration), 8);
        configuration.outgoing = ["c", "d", "e"].map(id).into();
        assert_eq!(reached(&configuration), 2);
        configuration.outgoing = ["a", "d"].map(id).into();
        assert_eq!(reached(&configuration), 6);
    }
}
