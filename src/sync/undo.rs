//! Undo as a merge: the inverted diff of what is to be undone meets what a person says now, so that later edits survive.
//!
//! Owns: what undoing makes of one person ([`undo`]), and how two versions of a person differ as changes ([`changes`]).
//! Must not: know links or accounts; who may be put into the trash for it is told by [`Facts`].

use crate::card::Card;
use crate::card::field::Field;
use crate::crm::followers;
use crate::crm::person::{Person, PersonState};
use crate::ids::{Timestamp, UserId};
use crate::sync::diff::Diff;
use crate::sync::merge::{self, Judged};
use crate::sync::operation::{self, FieldDiff, PersonChange};
use crate::sync::plan::{Clash, Side};

/// What is known besides the person.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When it is undone.
    pub now: Timestamp,
    /// In whose name somebody goes into the trash.
    pub by: UserId,
    /// Somebody else has edited the person since it came to be: an edit beats the undoing of its creation.
    pub edited_since: bool,
    /// Another address book has a record of its own for the person, which is not undone with it.
    pub known_elsewhere: bool,
    /// The person went into the trash by a merge, which is not undone with it: what is left of it comes back with that alone.
    pub merged_away: bool,
    /// A sync put the person into the trash since it is what two were, for a record that is not its own any more.
    pub trashed_as_both: bool,
    /// Undo only this field.
    pub only: Option<Field>,
}

/// Why something stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stays {
    /// The value was changed again since.
    ChangedSince,
    /// The person was edited since, and is kept.
    EditedSince,
    /// Another address book has the person too.
    KnownElsewhere,
    /// It became part of another person since.
    MergedAway,
    /// Its content was removed for good.
    Purged,
    /// There is no room for that many followers.
    Followers,
}

impl Stays {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::ChangedSince => "a value was changed again since, and stays as it is now",
            Self::EditedSince => "it was edited by somebody else since, and is kept; delete it by hand if it should go",
            Self::KnownElsewhere => "it is kept, since it is in another address book too",
            Self::MergedAway => "it was merged with another person since; undo that merge to have it back",
            Self::Purged => "its content was removed for good and can't be brought back",
            Self::Followers => "there is no room for all who followed it",
        }
    }
}

/// What undoing makes of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// The person afterwards; its revision and time are the caller's business.
    pub person: Person,
    /// Values that were changed again since: what is there now stands.
    pub clashes: Vec<Clash>,
    /// What stays as it is, and why; sorted, each once.
    pub stays: Vec<Stays>,
}

/// Undoes these changes of a person, the newest first.
pub fn undo<'a>(person: &Person, newest_first: impl IntoIterator<Item = &'a PersonChange>, facts: &Facts) -> Undone {
    let mut undone = Undone { person: person.clone(), clashes: Vec::new(), stays: Vec::new() };
    if matches!(person.state, PersonState::Purged { .. }) {
        undone.stays.push(Stays::Purged);
        return undone;
    }
    for change in newest_first {
        one(&mut undone, change, facts);
    }
    for field in Field::ALL.iter().copied().filter(|f| !undone.person.card.same(&person.card, *f)) {
        // It is an edit of now, by whoever undoes.
        undone.person.times.insert(field, facts.now);
    }
    undone.stays.sort_unstable();
    undone.stays.dedup();
    undone
}

fn one(undone: &mut Undone, change: &PersonChange, facts: &Facts) {
    let Undone { person, clashes, stays } = undone;
    let trash = PersonState::Trashed { at: facts.now, by: Some(facts.by) };
    if facts.only.is_some() && !matches!(change, PersonChange::Edited(_)) {
        return;
    }
    match change {
        PersonChange::Edited(diffs) => {
            let wanted = |d: &&FieldDiff| facts.only.is_none_or(|only| only == d.field);
            let diffs: Vec<FieldDiff> = diffs.iter().filter(wanted).cloned().collect();
            let (card, over) = inverted(&person.card, &diffs);
            if !over.is_empty() {
                stays.push(Stays::ChangedSince);
            }
            clashes.extend(over);
            person.card = card;
        }
        PersonChange::Created(_) if !person.is_live() => {}
        PersonChange::Created(_) if facts.known_elsewhere => stays.push(Stays::KnownElsewhere),
        PersonChange::Created(_) if facts.edited_since => stays.push(Stays::EditedSince),
        PersonChange::Created(_) => person.state = trash,
        PersonChange::Trashed if !person.is_live() && facts.merged_away => stays.push(Stays::MergedAway),
        PersonChange::Trashed | PersonChange::MergedInto(_) if !person.is_live() => person.state = PersonState::Live,
        PersonChange::Absorbed(_) if !person.is_live() && facts.trashed_as_both => person.state = PersonState::Live,
        PersonChange::Restored if person.is_live() => person.state = trash,
        PersonChange::Trashed | PersonChange::Restored | PersonChange::MergedInto(_) | PersonChange::Absorbed(_) => {}
        PersonChange::Purged => stays.push(Stays::Purged),
        PersonChange::Owner(diff) => back(&mut person.owner, diff, stays),
        PersonChange::VisibleTo(diff) => back(&mut person.visible_to, diff, stays),
        PersonChange::Followers(Diff { before, after }) => {
            person.followers.retain(|user| before.contains(user) || !after.contains(user));
            for user in before {
                if person.followers.contains(user) || after.contains(user) || person.owner == *user {
                    continue;
                }
                if person.followers.len() >= followers::MOST {
                    stays.push(Stays::Followers);
                } else {
                    person.followers.push(*user);
                }
            }
        }
        PersonChange::Custom { name, value } => {
            let mut now = person.custom.remove(name);
            back(&mut now, value, stays);
            person.custom.extend(now.map(|value| (name.clone(), value)));
        }
    }
}

/// Back to what it was before, unless it is something else by now.
fn back<T: Clone + PartialEq>(now: &mut T, diff: &Diff<T>, stays: &mut Vec<Stays>) {
    if *now == diff.after {
        now.clone_from(&diff.before);
    } else if *now != diff.before {
        stays.push(Stays::ChangedSince);
    }
}

/// The card with the diffs taken back, where nothing else was made of their values since.
pub fn inverted(card: &Card, diffs: &[FieldDiff]) -> (Card, Vec<Clash>) {
    let (mut base, mut theirs) = (card.clone(), card.clone());
    for diff in diffs {
        base.set(diff.field, diff.value.after.clone());
        theirs.set(diff.field, diff.value.before.clone());
    }
    merge::three_way(&base, card, &theirs, &now_stands)
}

/// The diffs done to another card, where nothing else was made of their values there.
pub fn repeated(card: &Card, diffs: &[FieldDiff]) -> Card {
    let turned = |diff: &FieldDiff| FieldDiff { field: diff.field, value: diff.value.clone().invert() };
    inverted(card, &diffs.iter().map(turned).collect::<Vec<_>>()).0
}

/// Later edits survive.
fn now_stands(_: Field) -> Judged {
    Judged { side: Side::Ours, ours_at: None, theirs_at: None }
}

/// What changed from one version of a person to the next, as it is logged.
pub fn changes(before: &Person, after: &Person) -> Vec<PersonChange> {
    let mut all = Vec::new();
    let edited = operation::diff(&before.card, &after.card);
    if !edited.is_empty() {
        all.push(PersonChange::Edited(edited));
    }
    let names: std::collections::BTreeSet<&String> = before.custom.keys().chain(after.custom.keys()).collect();
    for name in names {
        let value = Diff::new(before.custom.get(name).cloned(), after.custom.get(name).cloned());
        if value.is_changed() {
            all.push(PersonChange::Custom { name: name.clone(), value });
        }
    }
    if before.owner != after.owner {
        all.push(PersonChange::Owner(Diff::new(before.owner, after.owner)));
    }
    if before.visible_to != after.visible_to {
        all.push(PersonChange::VisibleTo(Diff::new(before.visible_to, after.visible_to)));
    }
    if before.followers != after.followers {
        all.push(PersonChange::Followers(Diff::new(before.followers.clone(), after.followers.clone())));
    }
    match (before.is_live(), after.is_live()) {
        (true, false) => all.push(PersonChange::Trashed),
        (false, true) => all.push(PersonChange::Restored),
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Item;
    use crate::sync::tests::{ALICE, BOB, emails, named, person, trashed};

    fn facts() -> Facts {
        Facts {
            now: Timestamp(50),
            by: BOB,
            edited_since: false,
            known_elsewhere: false,
            merged_away: false,
            trashed_as_both: false,
            only: None,
        }
    }

    fn edit(before: &Card, after: &Card) -> PersonChange {
        PersonChange::Edited(operation::diff(before, after))
    }

    #[test]
    fn rule_19_later_edits_survive() {
        let (one, mut two) = (emails(&["a@x.org"]), emails(&["a@x.org", "b@x.org"]));
        two.note = Some("wrong".into());
        let change = edit(&one, &two);
        // Since then: another e-mail, and a family name.
        let mut now = two;
        now.emails.push(Item::<String>::new("c@x.org"));
        now.family = Some("Lee".into());
        let undone = undo(&person(now).person, [&change], &facts());
        let list: Vec<_> = undone.person.card.emails.iter().map(|e| e.value.as_str()).collect();
        assert_eq!(list, ["a@x.org", "c@x.org"]);
        assert_eq!((undone.person.card.note, undone.person.card.family.as_deref()), (None, Some("Lee")));
        assert_eq!(undone.person.times.get(&Field::Note), Some(&Timestamp(50)));
        assert_eq!(undone.person.times.get(&Field::Family), None);
        assert_eq!((undone.stays, undone.clashes.len()), (Vec::new(), 0));
    }

    #[test]
    fn rule_19_what_was_changed_again_stays_and_is_told() {
        let with = |note: &str| Card { note: Some(note.into()), ..named("Ann") };
        let change = edit(&with("old"), &with("wrong"));
        let undone = undo(&person(with("mended")).person, [&change], &facts());
        assert_eq!(undone.person.card.note.as_deref(), Some("mended"));
        assert_eq!((undone.stays, undone.clashes.len()), (vec![Stays::ChangedSince], 1));
    }

    #[test]
    fn rule_19_undo_of_an_undo_is_redo() {
        let mut before = person(emails(&["a@x.org"])).person;
        before.custom.insert("tier".into(), "gold".into());
        let mut after = before.clone();
        after.card = Card { note: Some("n".into()), ..emails(&["b@x.org"]) };
        after.custom.clear();
        after.owner = ALICE;
        after.followers = vec![BOB];
        after.state = trashed(Some(BOB));
        let there = changes(&before, &after);
        let undone = undo(&after, there.iter().rev(), &facts()).person;
        assert_eq!((&undone.card, &undone.custom, undone.owner), (&before.card, &before.custom, before.owner));
        assert!(undone.is_live() && undone.followers.is_empty());
        let back = changes(&after, &undone);
        let redone = undo(&undone, back.iter().rev(), &facts()).person;
        assert_eq!((&redone.card, &redone.custom, redone.owner), (&after.card, &after.custom, after.owner));
        assert!(!redone.is_live());
    }

    #[test]
    fn rule_19_a_creation_is_undone_unless_somebody_holds_on_to_it() {
        let who = person(named("Ann")).person;
        let change = PersonChange::Created(named("Ann"));
        let told = |facts: Facts| undo(&who, [&change], &facts);
        assert!(!told(facts()).person.is_live());
        let edited = told(Facts { edited_since: true, ..facts() });
        assert!(edited.person.is_live() && edited.stays == [Stays::EditedSince]);
        let trashed = person(Card::default());
        let trashed = Person { state: PersonState::Trashed { at: Timestamp(9), by: Some(BOB) }, ..trashed.person };
        let merged = undo(&trashed, [&PersonChange::Trashed], &Facts { merged_away: true, ..facts() });
        assert_eq!((merged.person.is_live(), merged.stays), (false, vec![Stays::MergedAway]));
        let both = Facts { trashed_as_both: true, ..facts() };
        let absorbed = PersonChange::Absorbed(who.id);
        assert!(!undo(&trashed, [&absorbed], &facts()).person.is_live());
        assert!(undo(&trashed, [&absorbed], &both).person.is_live());
        let known = told(Facts { known_elsewhere: true, ..facts() });
        assert!(known.person.is_live() && known.stays == [Stays::KnownElsewhere]);
        let purged = Person { state: PersonState::Purged { at: Timestamp(1) }, ..who };
        assert_eq!(undo(&purged, [&change], &facts()).person, purged);
    }

    #[test]
    fn rule_19_one_field_alone() {
        let (one, two) = (named("Ann"), Card { note: Some("n".into()), ..named("Anna") });
        let change = edit(&one, &two);
        let undone = undo(&person(two).person, [&change], &Facts { only: Some(Field::Given), ..facts() });
        assert_eq!((undone.person.card.given.as_deref(), undone.person.card.note.as_deref()), (Some("Ann"), Some("n")));
    }
}
