//! What was reached, and what must have been: a counter at zero is a failure.

use super::cover::Counts;

/// The rules, and what shows that a history came to each.
const RULES: &[(&str, &[&str])] = &[
    ("rule 1, 3, 4: both sides changed", &["plan: UpdateLocal", "plan: UpdateRemote"]),
    (
        "rule 5: conflicts",
        &[
            "plan: conflict stands ours",
            "plan: conflict stands theirs",
            "plan: conflict stands undecided",
            "rule 5: a conflict resolved",
        ],
    ),
    ("rule 6: edit beats delete", &["plan: RestoreLocal"]),
    ("rule 7: deletes", &["plan: TrashLocal", "plan: DeleteRemote", "plan: Tag", "plan: link unlinked"]),
    ("rule 8: leaving and coming back", &["plan: link left", "plan: link live"]),
    ("rule 9: proof", &["fault: empty listing", "fault: fetch answers nothing", "fault: group cards left out"]),
    ("rule 10: guard", &["plan: waits held", "rule 10: confirmed", "rule 10: rejected"]),
    ("rule 11: one-way", &["plan: waits oneway"]),
    ("rule 12: push", &["plan: CreateRemote", "plan: waits notpushed"]),
    (
        "rule 13: first meeting",
        &[
            "plan: Match",
            "plan: CreateLocal",
            "plan: waits ambiguous",
            "rule 13: a possible duplicate merged",
            "rule 13: a possible duplicate dismissed",
        ],
    ),
    ("rule 14: exactly once", &["fault: answer lost", "fault: create met its own record", "plan: waits openintent"]),
    ("rule 15: added again", &["rule 15: account added again", "rule 15: backup restored"]),
    (
        "rule 16, 17: pages and cursors",
        &["fault: page token refused", "fault: cursor expired", "fault: listing cut short"],
    ),
    ("rule 18: a foreign syncer", &["fault: a foreign syncer copied a change"]),
    ("rule 19: undo", &["rule 19: undone", "rule 19: an undo undone", "two people merged"]),
    ("rule 20, 22: settings", &["step: settings", "step: direction", "step: mapping", "step: sync group"]),
    ("rule 21: what fails", &["fault: write refused", "fault: create refused"]),
    ("rule 22: access", &["plan: waits frozen", "plan: link frozen", "rule 22: written where somebody may not look"]),
];

/// Everything else that must have been reached.
const REACHED: &[&str] = &[
    "fault: a daemon died in the middle of a run",
    "fault: changes fail",
    "fault: cursors expire by age",
    "fault: a picture came too late",
    "fault: a write came twice",
    "fault: a picture was not taken",
    "fault: a record that cannot be read",
    "fault: overwritten unseen",
    "fault: reads lag",
    "fault: server away",
    "fault: sign-in revoked",
    "fault: stopped after a send",
    "fault: stopped before a send",
    "fault: too late to send",
    "fault: write lost",
    "plan: Rebase",
    "plan: ask about deletion local",
    "plan: ask about deletion remote",
    "plan: link deleted",
    "plan: link redundant",
    "plan: waits asked",
    "plan: waits hidden",
    "plan: waits left",
    "plan: waits outside",
    "plan: waits purged",
    "plan: waits unreadable",
    "step: a record cannot be read",
    "step: fetches answer nothing for long",
    "step: refuse a picture",
    "step: a write comes twice",
    "rule 15: account removed",
    "rule 22: account paused",
    "rule 22: account resumed",
    "rule 22: written by somebody who may not look",
    "step: a run begins and is left",
    "step: a run goes on",
    "step: a run goes on to its end",
    "step: a daemon dies anywhere",
    "step: the second daemon syncs",
    "step: account",
    "step: owner",
    "step: visible to",
    "step: follower",
    "step: role",
    "step: rights",
    "step: follows a user",
    "step: tree of roles",
    "step: purge",
    "step: backup",
    "step: restore",
    "step: lag",
    "step: a version without a change",
    "step: merge there",
    "step: many deleted there",
    "step: a foreign syncer",
    "step: an answer to a held deletion",
    "step: the clock is set back",
    "step: refuse a create",
    "step: cut a listing",
    "step: revoke the sign-in",
    "step: the server is away",
    "fault: a search missed what is there",
    "fault: a daemon stalled past its lease",
    "verified: the same",
    "verified: repaired",
    "step: hide group cards",
    "step: a search misses",
    "step: a daemon stalls",
    "step: both write at once",
    "step: a device brings back what was deleted",
    "a record came back",
    "step: a person is written down there too",
    "step: undo",
    "step: merge here",
    "step: resolve a conflict",
    "step: a possible duplicate",
    "step: verify",
    "step: resume",
    "step: create here",
    "step: edit here",
    "step: trash here",
    "step: trash by a colleague",
    "step: restore here",
    "step: create there",
    "step: twin",
    "step: edit there",
    "step: delete there",
    "step: rename there",
    "step: member",
    "step: sync",
    "step: sync stopped at a commit",
    "step: sync stopped in a send",
    "step: lose a write",
    "step: lose an answer",
    "step: expire cursors",
    "step: empty listing",
    "step: fetch answers nothing",
    "step: changes fail",
    "step: refuse a page",
    "step: refuse a write",
    "step: time passes",
];

/// Prints what was reached how often; says whether all was.
pub fn tell(counts: &Counts) -> bool {
    for (name, n) in counts {
        println!("{n:>10}  {name}");
    }
    let mut all = true;
    // Decisions are counted only where the feature is built in.
    let judged = |name: &&str| cfg!(feature = "mutations") || !name.starts_with("plan:");
    let reached = |name: &str| counts.get(name).is_some_and(|n| *n > 0);
    for (rule, by) in RULES {
        let missing: Vec<_> = by.iter().copied().filter(judged).filter(|name| !reached(name)).collect();
        if !missing.is_empty() {
            all = false;
            println!("NOT REACHED  {rule}: {}", missing.join(", "));
        }
    }
    for name in REACHED.iter().copied().filter(judged).filter(|name| !reached(name)) {
        all = false;
        println!("NOT REACHED  {name}");
    }
    all
}
