//! What to do about one subject: one remote record and its person, in one account.
//!
//! Owns: rules 6 to 9, 11, 12 and 22 as decisions, and rule 5's choice of a winner. Pure: the same subject and facts give
//! the same decision, in any order, at any time. Start reading at [`reconcile`].

use crate::card::Card;
use crate::card::field::{Field, FieldSet, FieldValue, Shape};
use crate::crm::person::PersonState;
use crate::ids::UserId;
use crate::mutant;
use crate::sync::caps::Capabilities;
use crate::sync::echo;
use crate::sync::merge::{self, Judged, Rules};
use crate::sync::plan::{About, Clash, Decision, Deletion, Outgoing, Side, Step, Waits};
use crate::sync::settings::{ConflictPolicy, DeletePolicy, Direction, OnLeave, Push, Settings};
use crate::sync::view::{
    Answer, Base, Elsewhere, Link, LinkState, Origin, PersonFacts, RemoteRecord, Seen, Standing, StoredSeen, Subject,
};

/// What the rules ask about the account: a snapshot for the length of a run (rule 22).
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whose account it is.
    pub user: UserId,
    /// What the user chose.
    pub settings: &'a Settings,
    /// What the provider can do.
    pub caps: &'a Capabilities,
    /// Whether the account's first listing is complete (rule 13).
    pub complete: bool,
    /// Whether a record is listed that is not shown or can't be read: any that is gone may be part of that one.
    pub hides: bool,
    /// Whether such a record is nobody's: any that is gone may be that one, under a new name.
    pub strange: bool,
}

impl Facts<'_> {
    fn two_way(&self) -> bool {
        self.settings.direction == Direction::TwoWay
    }
    /// Fields that may flow into the CRM.
    pub fn incoming(&self) -> FieldSet {
        self.settings.mapping.incoming().and(self.caps.reads)
    }
    /// Fields that may flow to the provider.
    pub fn outgoing(&self) -> FieldSet {
        if self.two_way() || mutant::on("reconcile.write_in_one_way") {
            self.settings.mapping.outgoing().and(self.caps.writes)
        } else {
            FieldSet::NONE
        }
    }
}

/// What pairing found for a record that no link speaks for, or for a person without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Nobody else could be the same.
    Alone,
    /// The subject's person and record are the same.
    Same,
    /// Several could be.
    InQuestion,
    /// The record may be one that can't be read at present, under a new name.
    Hidden,
}

/// What to do about a subject.
pub fn reconcile(subject: &Subject, meeting: Meeting, facts: &Facts<'_>) -> Decision {
    if subject.blocked {
        return waits(Waits::OpenIntent);
    }
    let decision = match (&subject.link, &subject.seen, &subject.person) {
        (Some(link), seen, Some(person)) => linked(subject, link, seen.as_ref(), person, facts),
        (None, Some(seen), person) => unlinked(subject, seen, person.as_ref(), meeting, facts),
        (None, None, Some(person)) => push(person, meeting, facts),
        _ => Decision::default(),
    };
    // A deletion that waits for an answer is not done; if it is no longer called for, the rest goes on.
    if subject.held == Some(None)
        && decision.steps.iter().any(|s| deletion_of(s).is_some() || matches!(s, Step::AskDeletion(_)))
    {
        return waits(Waits::Held);
    }
    decision
}

/// Which side would lose something by that step.
pub fn deletion_of(step: &Step) -> Option<Deletion> {
    match step {
        Step::TrashLocal => Some(Deletion::Local),
        Step::DeleteRemote => Some(Deletion::Remote),
        _ => None,
    }
}

fn waits(why: Waits) -> Decision {
    Decision { steps: Vec::new(), waits: Some(why) }
}

fn steps(steps: Vec<Step>) -> Decision {
    Decision { steps, waits: None }
}

fn linked(
    subject: &Subject,
    link: &Link,
    seen: Option<&StoredSeen>,
    person: &PersonFacts,
    facts: &Facts<'_>,
) -> Decision {
    let Some(StoredSeen { seen, .. }) = seen else {
        // A link whose record was never seen, with no intent open: the send was given up, or the account lost its rows.
        return ended_or_push(link, person, facts);
    };
    if matches!(person.person.state, PersonState::Purged { .. }) && matches!(seen, Seen::Present(_)) {
        // Of whom was removed for good nothing is remembered, however the link stands.
        return Decision { steps: vec![Step::Forget], waits: Some(Waits::Purged) };
    }
    let rests = matches!(link.state, LinkState::Left | LinkState::Redundant | LinkState::Unlinked | LinkState::Undone);
    if rests && facts.strange && matches!(seen, Seen::Gone(_)) {
        // It must be known again then.
        return waits(Waits::Hidden);
    }
    match link.state {
        LinkState::Paused => return waits(Waits::Paused),
        LinkState::Redundant => return redundant(subject, link, seen, person, facts),
        LinkState::Unlinked => return waits(Waits::Ended(link.state)),
        LinkState::Undone => return undone(subject, link, seen, person, facts),
        LinkState::Deleted => return deleted(subject, link, seen, person, facts),
        LinkState::Live | LinkState::Left | LinkState::Frozen => {}
    }
    if matches!(person.person.state, PersonState::Purged { .. }) {
        return match seen {
            Seen::Gone(_) => steps(vec![Step::State(LinkState::Deleted)]),
            _ => waits(Waits::Purged),
        };
    }
    if !person.access && !mutant::on("reconcile.ignore_access") {
        // What is gone must be known again, if it is what can't be read.
        let hidden = facts.strange && matches!(seen, Seen::Gone(_));
        let mut decision = waits(if hidden { Waits::Hidden } else { Waits::Frozen });
        // Over a link that left the sync group nothing flows either way; that it left must not be forgotten.
        if link.state == LinkState::Live {
            decision.steps.push(Step::State(LinkState::Frozen));
        }
        return decision;
    }
    match (seen, link.state) {
        (Seen::Roster(_), _) => waits(Waits::Unreadable),
        (Seen::Unreadable(..), _) => waits(Waits::Unreadable),
        (Seen::Outside { .. }, LinkState::Left) => waits(Waits::Left),
        (Seen::Gone(_), LinkState::Left) => {
            steps(vec![Step::State(if person.person.is_live() { LinkState::Unlinked } else { LinkState::Deleted })])
        }
        (Seen::Outside { .. }, _) if mutant::on("reconcile.leaving_is_deletion") => gone(subject, link, person, facts),
        (Seen::Outside { .. }, _) => left(subject, link, person, facts),
        (Seen::Gone(_), _) => gone(subject, link, person, facts),
        (Seen::Present(record), _) => present(subject, link, record, person, facts),
    }
}

/// The record is there and takes part; the person is live or in the trash.
fn present(subject: &Subject, link: &Link, record: &RemoteRecord, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let mut decision = Decision::default();
    if link.state != LinkState::Live {
        decision.steps.push(Step::State(LinkState::Live));
    }
    if person.person.is_live() {
        return settle_present(subject, &link.base, record, person, facts, decision, Step::Rebase);
    }
    let by = match person.person.state {
        PersonState::Trashed { by, .. } => by,
        PersonState::Live | PersonState::Purged { .. } => None,
    };
    // Back in the sync group, or back from a deletion.
    let back = matches!(link.state, LinkState::Left | LinkState::Deleted);
    let disputed = subject.open.iter().any(|s| replaced(&s.clash, &s.clash.theirs, &link.base, &record.body));
    let edited = disputed || echo::edited_there(&link.base, &record.body, facts.incoming());
    let clash = |stands| {
        let (theirs_at, ours_at) = (record.modified, trashed_at(person));
        Clash { about: About::TrashedHere, ours: empty(), theirs: shown(&record.body), stands, ours_at, theirs_at }
    };
    if !facts.two_way() {
        // One-way: whom a user has put into the trash stays there; an edit shows, and changes nothing (R7). Whom the provider
        // took away, it brings back.
        if back && by.is_none() {
            decision.steps.push(Step::RestoreLocal);
            return settle_present(subject, &link.base, record, person, facts, decision, Step::Rebase);
        }
        if edited {
            decision.steps.extend(anew(subject, clash(Side::Ours)));
        }
        decision.waits = Some(Waits::OneWay);
        return decision;
    }
    // Edit beats delete; coming back into the group is an edit; so is a no to the deletion.
    let rejected = subject.held == Some(Some(Answer::Rejected));
    if edited || back || rejected {
        decision.steps.push(Step::RestoreLocal);
        if edited {
            decision.steps.extend(anew(subject, clash(Side::Theirs)));
        }
        return settle_present(subject, &link.base, record, person, facts, decision, Step::Rebase);
    }
    let own = person.person.owner == facts.user;
    let entitled = mutant::on("reconcile.delete_without_authority")
        || link.origin == Origin::Ours
        || by == Some(facts.user)
        || (own && (by.is_none() || person.trashed_with_authority));
    if !entitled {
        decision.steps.push(Step::State(LinkState::Unlinked));
        return decision;
    }
    match facts.settings.deletes {
        DeletePolicy::Unlink => decision.steps.push(Step::State(LinkState::Unlinked)),
        DeletePolicy::Ask if subject.held != Some(Some(Answer::Confirmed)) => {
            decision.steps.push(Step::AskDeletion(Deletion::Remote));
            decision.waits = Some(Waits::Held);
        }
        DeletePolicy::Propagate | DeletePolicy::Tag | DeletePolicy::Ask => decision.steps.push(Step::DeleteRemote),
    }
    decision
}

/// Both are there: merge, and say what follows. `agreed` makes the step that stores what both agree on.
fn settle_present(
    subject: &Subject,
    base: &Base,
    record: &RemoteRecord,
    person: &PersonFacts,
    facts: &Facts<'_>,
    mut decision: Decision,
    agreed: fn(Base) -> Step,
) -> Decision {
    let winner = |field| judge(field, subject, person, facts);
    let (incoming, outgoing) = (facts.incoming(), facts.outgoing());
    let rules = Rules { incoming, outgoing, asked: subject.asked(), caps: facts.caps, winner: &winner };
    let matched = matches!(agreed(Base::default()), Step::Match(_));
    let waiting = subject.open.iter().filter(|s| s.clash.stands == Side::Undecided);
    if !matched && waiting.clone().next().is_none() && merge::quiet(base, &person.person.card, &record.body, &rules) {
        return decision;
    }
    let merged = merge::merge(base, &person.person.card, &record.body, &rules);
    if matched || merged.base != *base {
        decision.steps.push(agreed(merged.base));
    }
    if !merged.take.is_empty() {
        decision.steps.push(Step::UpdateLocal { card: merged.ours.clone(), fields: merged.take });
    }
    if merged.clashes.iter().any(|c| c.stands == Side::Undecided) {
        decision.waits = Some(Waits::Asked);
    }
    // Later edits replace their side of what waits; where both sides came to agree, nothing waits any more.
    let moot = waiting.filter(|s| !merged.clashes.iter().any(|c| c.is_same(&s.clash)));
    decision.steps.extend(moot.map(|s| Step::Moot(s.id)));
    decision.steps.extend(merged.clashes.into_iter().filter_map(|clash| anew(subject, clash)));
    if !merged.send.is_empty() {
        decision.steps.push(Step::UpdateRemote(Outgoing {
            ours: merged.ours,
            sent: merged.theirs,
            mask: merged.send,
            pairs: merged.pairs,
        }));
    } else if !facts.two_way() && decision.waits.is_none() && echo::edited_here(base, &person.person.card, incoming) {
        decision.waits = Some(Waits::OneWay);
    }
    decision
}

/// The step that notes a clash, unless it is noted as it is.
fn anew(subject: &Subject, clash: Clash) -> Option<Step> {
    let noted = |s: &Standing| s.clash.is_same(&clash) && s.clash.stands == clash.stands;
    (!subject.open.iter().any(noted)).then_some(Step::Conflict(clash))
}

/// Who wins a clash over a field (rule 5): a total order, so that no circle can arise.
fn judge(field: Field, subject: &Subject, person: &PersonFacts, facts: &Facts<'_>) -> Judged {
    let ours_at = person.person.times.get(&field).copied();
    let theirs_at = subject.seen.as_ref().and_then(|s| s.times.get(&field).copied());
    let side = match facts.settings.conflicts {
        ConflictPolicy::Provider => Side::Theirs,
        ConflictPolicy::Crm => Side::Ours,
        ConflictPolicy::Ask => Side::Undecided,
        ConflictPolicy::Latest => match (ours_at, theirs_at) {
            (Some(ours), Some(theirs)) if ours > theirs => Side::Ours,
            _ => Side::Theirs,
        },
    };
    Judged { side, ours_at, theirs_at }
}

/// The record is gone, with proof (rule 9); the link was live or frozen, and access is given.
fn gone(subject: &Subject, link: &Link, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    if facts.hides && subject.held != Some(Some(Answer::Confirmed)) {
        return waits(Waits::Hidden);
    }
    if !person.person.is_live() {
        return steps(vec![Step::State(LinkState::Deleted)]);
    }
    // What was linked by hand, and gone before anything was agreed on, says nothing about its person.
    let never_met = link.base.mapped.is_empty();
    let disputed = subject.open.iter().any(|s| replaced(&s.clash, &s.clash.ours, &link.base, &person.person.card));
    let edited = !mutant::on("reconcile.delete_beats_edit")
        && (never_met || disputed || echo::edited_here(&link.base, &person.person.card, facts.outgoing()));
    let rejected = subject.held == Some(Some(Answer::Rejected));
    if facts.two_way() && (edited || rejected) {
        let mut decision = steps(vec![Step::State(LinkState::Deleted)]);
        if edited {
            decision.steps.push(deleted_there(person));
        }
        let created = create(person, facts);
        decision.steps.extend(created.steps);
        decision.waits = created.waits;
        return decision;
    }
    if rejected || never_met {
        return steps(vec![Step::State(LinkState::Unlinked)]);
    }
    delete_here(subject, person, facts, LinkState::Deleted)
}

/// Whether a side that both were never agreed on, and that waits for a person's answer, says something else by now: that is
/// an edit, though the base knows nothing of the field.
fn replaced(clash: &Clash, was: &FieldValue, base: &Base, card: &Card) -> bool {
    let About::Field(field) = clash.about else { return false };
    if base.mapped.contains(field) {
        return false;
    }
    let (was, now) = (was.clone().into_elements(), card.get(field).into_elements());
    match field.shape() {
        Shape::One => was != now,
        Shape::Many => !was.iter().all(|element| now.contains(element)),
    }
}

/// The person was edited, and the record deleted: the edit stands (R6).
fn deleted_there(person: &PersonFacts) -> Step {
    Step::Conflict(Clash {
        about: About::DeletedThere,
        ours: shown(&person.person.card),
        theirs: empty(),
        stands: Side::Ours,
        ours_at: Some(person.person.updated),
        theirs_at: None,
    })
}

/// The person has another link here since two people became one: what is edited in this record still comes in, nothing
/// goes out, and its end is the end of this link alone.
fn redundant(subject: &Subject, link: &Link, seen: &Seen, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let ended = Some(Waits::Ended(LinkState::Redundant));
    match seen {
        Seen::Gone(_) => steps(vec![Step::State(LinkState::Unlinked)]),
        Seen::Present(record) if person.access && person.person.is_live() => {
            let one_way = Settings { direction: Direction::OneWay, ..facts.settings.clone() };
            let facts = Facts { settings: &one_way, ..*facts };
            let mut decision =
                settle_present(subject, &link.base, record, person, &facts, Decision::default(), Step::Rebase);
            decision.waits = ended;
            decision
        }
        Seen::Present(_) | Seen::Outside { .. } | Seen::Unreadable(..) | Seen::Roster(_) => {
            Decision { steps: Vec::new(), waits: ended }
        }
    }
}

/// What made the link was undone: nothing flows, and the record is not imported again. One that we had created, and that
/// nobody has edited since, is deleted, under the policy and the guard (rule 19).
fn undone(subject: &Subject, link: &Link, seen: &Seen, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let ended = waits(Waits::Ended(LinkState::Undone));
    let Seen::Present(record) = seen else { return ended };
    let ours = link.origin == Origin::Ours && facts.two_way() && person.access;
    if !ours || echo::edited_there(&link.base, &record.body, facts.incoming()) {
        return ended;
    }
    if subject.held == Some(Some(Answer::Rejected)) {
        return steps(vec![Step::State(LinkState::Unlinked)]);
    }
    match facts.settings.deletes {
        DeletePolicy::Unlink => ended,
        DeletePolicy::Ask if subject.held != Some(Some(Answer::Confirmed)) => {
            Decision { steps: vec![Step::AskDeletion(Deletion::Remote)], waits: Some(Waits::Held) }
        }
        DeletePolicy::Propagate | DeletePolicy::Tag | DeletePolicy::Ask => steps(vec![Step::DeleteRemote]),
    }
}

/// The record left the sync group.
fn left(subject: &Subject, link: &Link, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let edited = facts.two_way() && echo::edited_here(&link.base, &person.person.card, facts.outgoing());
    let rejected = subject.held == Some(Some(Answer::Rejected));
    if facts.settings.on_leave == OnLeave::Keep || edited || rejected || !person.person.is_live() {
        let mut decision = Decision { steps: vec![Step::State(LinkState::Left)], waits: Some(Waits::Left) };
        if facts.settings.on_leave == OnLeave::Delete && edited && person.person.is_live() {
            decision.steps.push(deleted_there(person));
        }
        return decision;
    }
    delete_here(subject, person, facts, LinkState::Left)
}

/// A deletion at the provider reaches the CRM, as the account's policy has it (rule 7).
fn delete_here(subject: &Subject, person: &PersonFacts, facts: &Facts<'_>, end: LinkState) -> Decision {
    let survives = if end == LinkState::Deleted { LinkState::Unlinked } else { end };
    match facts.settings.deletes {
        DeletePolicy::Unlink => return steps(vec![Step::State(survives)]),
        DeletePolicy::Tag => return steps(vec![Step::Tag, Step::State(survives)]),
        DeletePolicy::Ask if subject.held != Some(Some(Answer::Confirmed)) => {
            return Decision { steps: vec![Step::AskDeletion(Deletion::Local)], waits: Some(Waits::Held) };
        }
        DeletePolicy::Propagate | DeletePolicy::Ask => {}
    }
    // Only the owner's own accounts may trash a person, and only while nobody else's shows it.
    let theirs_alone = mutant::on("reconcile.trash_a_colleagues_person")
        || person.person.owner == facts.user
            && person.elsewhere.iter().all(|l| l.user == facts.user || !l.state.is_open());
    if theirs_alone { steps(vec![Step::TrashLocal, Step::State(end)]) } else { steps(vec![Step::State(survives)]) }
}

/// The link ended with its record. The record may be back (a device brought it again, the server was rolled back): then it
/// is the same person. Or the person was restored.
fn deleted(subject: &Subject, link: &Link, seen: &Seen, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    // Its place may have been taken: an edit beat the deletion, and another record was made for the person.
    let replaced = person.elsewhere.iter().any(|l| l.account == link.account && l.state.is_open());
    match seen {
        Seen::Present(_) if replaced && person.access => steps(vec![Step::State(LinkState::Redundant)]),
        _ if replaced => waits(Waits::Ended(LinkState::Deleted)),
        Seen::Present(record) if person.access => present(subject, link, record, person, facts),
        // Made anew, it would stand there twice.
        Seen::Gone(_) if facts.strange && person.person.is_live() => waits(Waits::Hidden),
        Seen::Gone(_) | Seen::Present(_) => ended_or_push(link, person, facts),
        Seen::Outside { .. } | Seen::Unreadable(..) | Seen::Roster(_) => waits(Waits::Ended(LinkState::Deleted)),
    }
}

/// A link without a record: only a person who came back from the trash is created anew (R6), and nobody who has another
/// record in the account that was unlinked: it would stand there twice.
fn ended_or_push(link: &Link, person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let rests = |other: &Elsewhere| {
        other.account == link.account && matches!(other.state, LinkState::Unlinked | LinkState::Undone)
    };
    match link.state {
        LinkState::Deleted if person.elsewhere.iter().any(rests) => waits(Waits::Ended(LinkState::Deleted)),
        LinkState::Deleted if person.person.is_live() && person.access && facts.two_way() => {
            // Whom another user owns comes back only where we had made the record (rule 12).
            if person.person.owner == facts.user || link.origin == Origin::Ours {
                create(person, facts)
            } else {
                waits(Waits::NotPushed)
            }
        }
        // Its create was refused or not tried: again, over the same link and with the same token (rule 14).
        LinkState::Live if link.remote.is_none() => match person.person.is_live() {
            true if person.access && facts.two_way() => create(person, facts),
            true => waits(if person.access { Waits::OneWay } else { Waits::Frozen }),
            false => steps(vec![Step::State(LinkState::Deleted)]),
        },
        LinkState::Live | LinkState::Left | LinkState::Frozen => waits(Waits::OpenIntent),
        state => waits(Waits::Ended(state)),
    }
}

/// A record that no link speaks for.
fn unlinked(
    subject: &Subject,
    seen: &StoredSeen,
    person: Option<&PersonFacts>,
    meeting: Meeting,
    facts: &Facts<'_>,
) -> Decision {
    let record = match &seen.seen {
        Seen::Present(record) => record,
        Seen::Outside { .. } => return waits(Waits::Outside),
        Seen::Unreadable(..) => return waits(Waits::Unreadable),
        Seen::Gone(_) | Seen::Roster(_) => return Decision::default(),
    };
    if !facts.complete {
        return waits(Waits::FirstListing);
    }
    if let Some((_, state, _)) = subject.token_of {
        // Ours by its token, but the link speaks for another record, or has ended: never a new person.
        return waits(if state == LinkState::Live { Waits::Ambiguous } else { Waits::Ended(state) });
    }
    match (meeting, person) {
        (Meeting::Hidden, _) => waits(Waits::Hidden),
        (Meeting::InQuestion, _) => waits(Waits::Ambiguous),
        // Who was trashed or hidden since pairing is no candidate any more; whether the record is new is asked again.
        (Meeting::Same, Some(person)) if !person.access || !person.person.is_live() => waits(Waits::Ambiguous),
        (Meeting::Same, Some(person)) => {
            settle_present(subject, &Base::default(), record, person, facts, Decision::default(), Step::Match)
        }
        (Meeting::Alone | Meeting::Same, _) => {
            let winner = |_| Judged { side: Side::Theirs, ours_at: None, theirs_at: None };
            let rules = Rules {
                incoming: facts.incoming(),
                outgoing: FieldSet::NONE,
                asked: FieldSet::NONE,
                caps: facts.caps,
                winner: &winner,
            };
            let merged = merge::merge(&Base::default(), &Card::default(), &record.body, &rules);
            steps(vec![Step::CreateLocal { card: merged.ours, base: merged.base }])
        }
    }
}

/// A person without a record in this account (rule 12).
fn push(person: &PersonFacts, meeting: Meeting, facts: &Facts<'_>) -> Decision {
    if !person.person.is_live() {
        return Decision::default();
    }
    if !facts.two_way() {
        return waits(Waits::OneWay);
    }
    if facts.settings.push == Push::Linked || person.person.owner != facts.user || !person.access {
        return waits(Waits::NotPushed);
    }
    if !facts.complete {
        return waits(Waits::FirstListing);
    }
    if meeting == Meeting::InQuestion && !mutant::on("reconcile.push_in_question") {
        return waits(Waits::Ambiguous);
    }
    create(person, facts)
}

/// A new record, unless nothing would stand in it: an entry without anything helps nobody, and could be anybody.
fn create(person: &PersonFacts, facts: &Facts<'_>) -> Decision {
    let winner = |_| Judged { side: Side::Ours, ours_at: None, theirs_at: None };
    let outgoing = facts.outgoing();
    let rules = Rules { incoming: FieldSet::NONE, outgoing, asked: FieldSet::NONE, caps: facts.caps, winner: &winner };
    let merged = merge::merge(&Base::default(), &person.person.card, &Card::default(), &rules);
    if !outgoing.iter().any(|field| merged.theirs.has(field)) {
        return waits(Waits::NotPushed);
    }
    let out = Outgoing { ours: merged.ours, sent: merged.theirs, mask: outgoing, pairs: merged.pairs };
    steps(vec![Step::CreateRemote(out)])
}

fn trashed_at(person: &PersonFacts) -> Option<crate::ids::Timestamp> {
    match person.person.state {
        PersonState::Trashed { at, .. } => Some(at),
        PersonState::Live | PersonState::Purged { .. } => None,
    }
}

/// What a conflict between an edit and a deletion shows of the side that still has something: its name.
fn shown(card: &Card) -> FieldValue {
    card.get(Field::Display)
}

fn empty() -> FieldValue {
    FieldValue::One(None)
}
