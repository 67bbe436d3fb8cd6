//! Two people become one (reconciliation C, "Merging people").
//!
//! Owns: what the survivor says afterwards, and which link speaks for it in each account. Must not: delete anything: a
//! record that has become redundant stays, and what is edited in it still flows into the survivor.

use std::collections::BTreeMap;

use crate::card::Card;
use crate::card::field::{Element, Field, FieldValue};
use crate::crm::followers;
use crate::crm::person::Person;
use crate::crm::users::Directory;
use crate::ids::{AccountId, LinkId, UserId};
use crate::sync::elements;
use crate::sync::merge::{self, Judged};
use crate::sync::plan::{Clash, Side};
use crate::sync::view::{Base, Link, LinkState, Pairs, Withheld};

/// The survivor afterwards, and what of the other one has no place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct United {
    /// The survivor; its revision and time are the caller's business.
    pub survivor: Person,
    /// Values of both that differ: the survivor's stand.
    pub clashes: Vec<Clash>,
    /// The other's own fields that the survivor has with other values.
    pub custom: Vec<(String, String)>,
    /// Followers for whom there was no room.
    pub dropped: Vec<UserId>,
}

/// Puts one person into another: lists unite, what only one says is taken, and where both say something else the survivor
/// stands. Owner and visible-to are the survivor's.
pub fn unite(survivor: &Person, other: &Person, directory: &Directory) -> United {
    let stands = |_| Judged { side: Side::Ours, ours_at: None, theirs_at: None };
    let nothing = Card::default();
    let (card, clashes) = merge::three_way(&nothing, &survivor.card, &other.card, &stands);
    let kept = followers::merge(survivor.into(), &[other.into()], directory);
    let mut united = Person { card, followers: kept.followers, ..survivor.clone() };
    for field in Field::ALL.iter().copied().filter(|f| !united.card.same(&survivor.card, *f)) {
        // As old as the newer of the two, where both have a share in it.
        let times = [survivor.times.get(&field), other.times.get(&field)];
        match times.into_iter().flatten().max() {
            Some(time) => united.times.insert(field, *time),
            None => united.times.remove(&field),
        };
    }
    let mut custom = Vec::new();
    for (name, value) in &other.custom {
        match united.custom.get(name) {
            None => drop(united.custom.insert(name.clone(), value.clone())),
            Some(own) if own != value => custom.push((name.clone(), value.clone())),
            Some(_) => {}
        }
    }
    United { survivor: united, clashes, custom, dropped: kept.dropped }
}

/// Which links change, and to which state: those of the other one go to the survivor; of several that are open in one
/// account one speaks for it, and the others are redundant. A live one goes before one that rests, the survivor's before
/// the other's. Those that end nothing in the way of another come first.
pub fn links(survivor: &[Link], other: &[Link]) -> Vec<(LinkId, LinkState)> {
    let speaks = |link: &&Link| link.state.speaks();
    let own: BTreeMap<AccountId, &Link> = survivor.iter().filter(speaks).map(|l| (l.account, l)).collect();
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for link in other {
        if !link.state.speaks() {
            first.push((link.id, link.state));
            continue;
        }
        match own.get(&link.account) {
            Some(own) if own.state != LinkState::Live && link.state == LinkState::Live => {
                first.push((own.id, LinkState::Redundant));
                then.push((link.id, link.state));
            }
            Some(_) => first.push((link.id, LinkState::Redundant)),
            None => then.push((link.id, link.state)),
        }
    }
    first.extend(then);
    first
}

/// Takes what the person says now as agreed with what the record shows: only what is edited from now on is news. What has no
/// partner there stays here.
#[must_use]
pub fn taken_as_agreed(base: &Base, card: &Card) -> Base {
    let mut agreed = Base { ours: card.clone(), pairs: Pairs::default(), ..base.clone() };
    for field in base.mapped.iter() {
        if let (FieldValue::Many(before), FieldValue::Many(ours), FieldValue::Many(theirs)) =
            (base.ours.get(field), agreed.ours.get(field), agreed.theirs.get(field))
        {
            let known = base.pairs.both.get(&field).map_or(&[][..], Vec::as_slice);
            let (both, alone) = pairs(field, &before, known, &ours, &theirs);
            agreed.pairs.set(field, both, alone.into_iter().map(|o| (o, Withheld::Refused)).collect());
        }
    }
    agreed
}

/// Which element of ours is which of theirs now: where it was paired, as long as it is still said here, else by key. Never
/// by place or label: the two lists are not of one contact. And which of ours have no partner.
fn pairs(
    field: Field,
    before: &[Element],
    known: &[(u16, u16)],
    ours: &[Element],
    theirs: &[Element],
) -> (Vec<(u16, u16)>, Vec<u16>) {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let all = |list: &[Element]| (0..list.len()).map(number).collect::<Vec<u16>>();
    let still = elements::meet(field, &before.iter().collect::<Vec<_>>(), &ours.iter().collect::<Vec<_>>());
    let place = |o: u16| still.to.get(usize::from(o)).copied().flatten().map(number);
    let mut both: Vec<(u16, u16)> = known.iter().filter_map(|(o, t)| Some((place(*o)?, *t))).collect();
    let mut free_ours = all(ours);
    free_ours.retain(|o| both.iter().all(|(taken, _)| taken != o));
    let mut free_theirs = all(theirs);
    free_theirs.retain(|t| both.iter().all(|(_, taken)| taken != t));
    let left: Vec<&Element> = free_ours.iter().map(|o| &ours[usize::from(*o)]).collect();
    let right: Vec<&Element> = free_theirs.iter().map(|t| &theirs[usize::from(*t)]).collect();
    let met = elements::meet(field, &left, &right);
    both.extend(met.to.iter().enumerate().filter_map(|(o, t)| Some((free_ours[o], free_theirs[(*t)?]))));
    let alone = met.to.iter().enumerate().filter(|(_, t)| t.is_none()).map(|(o, _)| free_ours[o]).collect();
    (both, alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::field::FieldSet;
    use crate::ids::Timestamp;
    use crate::sync::tests::{emails, link, named, person};
    use uuid::Uuid;

    #[test]
    fn lists_unite_and_the_survivor_stands() {
        let mut one = person(Card { note: Some("one".into()), ..emails(&["a@x.org", "b@x.org"]) }).person;
        let mut two =
            person(Card { note: Some("two".into()), family: Some("Lee".into()), ..emails(&["B@x.org", "c@x.org"]) })
                .person;
        one.custom.insert("tier".into(), "gold".into());
        two.custom.extend([("tier".into(), "silver".into()), ("source".into(), "fair".into())]);
        two.times.insert(Field::Family, Timestamp(4));
        two.owner = UserId(Uuid::from_u128(77));
        let united = unite(&one, &two, &Directory::default());
        let list: Vec<_> = united.survivor.card.emails.iter().map(|e| e.value.as_str()).collect();
        assert_eq!(list, ["a@x.org", "b@x.org", "c@x.org"]);
        assert_eq!(united.survivor.card.note.as_deref(), Some("one"));
        assert_eq!(united.survivor.card.family.as_deref(), Some("Lee"));
        assert_eq!(united.survivor.times.get(&Field::Family), Some(&Timestamp(4)));
        assert_eq!(united.clashes.len(), 1);
        assert_eq!(united.survivor.custom["tier"], "gold");
        assert_eq!(united.survivor.custom["source"], "fair");
        assert_eq!(united.custom, [("tier".to_owned(), "silver".to_owned())]);
        assert_eq!(united.survivor.followers, [two.owner], "whose it was keeps sight of it");
    }

    #[test]
    fn a_number_there_is_none_of_the_survivors_only_since_both_have_one() {
        let phones = |list: &[&str]| Card {
            phones: list.iter().map(|p| crate::card::Item::new((*p).to_owned())).collect(),
            ..Card::default()
        };
        let base = Base::shared(&phones(&["+1 212 555 0009", "+1 212 555 0010"]), FieldSet::all());
        // The survivor has one of its own, and one of the other's came to it.
        let agreed = taken_as_agreed(&base, &phones(&["+1 212 555 0003", "+1 212 555 0010"]));
        assert_eq!(agreed.pairs.both[&Field::Phones], [(1, 1)]);
        assert_eq!(agreed.pairs.withheld[&Field::Phones].keys().copied().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn one_link_per_account_speaks() {
        let made = |n: u128, account: u128, state| Link {
            id: LinkId(Uuid::from_u128(n)),
            account: AccountId(Uuid::from_u128(account)),
            state,
            ..link(Base::shared(&named("Ann"), FieldSet::all()))
        };
        let told = |own: &[Link], other: &[Link]| -> Vec<(u128, LinkState)> {
            links(own, other).into_iter().map(|(id, state)| (id.0.as_u128(), state)).collect()
        };
        use LinkState::{Deleted, Left, Live, Redundant};
        let one = |state| vec![made(1, 9, state)];
        assert_eq!(told(&one(Live), &[made(2, 9, Live)]), [(2, Redundant)]);
        assert_eq!(told(&one(Left), &[made(2, 9, Live)]), [(1, Redundant), (2, Live)]);
        assert_eq!(told(&one(Live), &[made(2, 9, Left)]), [(2, Redundant)]);
        assert_eq!(told(&one(Deleted), &[made(2, 9, Live)]), [(2, Live)]);
        assert_eq!(told(&one(Live), &[made(2, 8, Live), made(3, 9, Deleted)]), [(3, Deleted), (2, Live)]);
    }
}
