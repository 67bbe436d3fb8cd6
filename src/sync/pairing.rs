//! First meeting: which unlinked record is which person (rule 13).
//!
//! Owns: [`pair`]. Looks at the whole set, so that the result is the same in any order; takes only pairs that are the only
//! candidate in both directions; everything else in reach of an ambiguous one waits.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{PersonId, RemoteId};

/// A record and a person who share a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The record.
    pub remote: RemoteId,
    /// The person.
    pub person: PersonId,
    /// How strong the key is; lower is stronger.
    pub strength: u8,
    /// Whether the person is visible to no more people than the account's default; a wider one is only proposed.
    pub narrow: bool,
}

/// What becomes of the records that have candidates. A record that is in neither map has none and is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// Records that are a person.
    pub same: BTreeMap<RemoteId, PersonId>,
    /// Records that wait, with the people who could be the same.
    pub in_question: BTreeMap<RemoteId, BTreeSet<PersonId>>,
}

impl Pairing {
    /// People who could be a waiting record: not pushed meanwhile.
    pub fn people_in_question(&self) -> BTreeSet<PersonId> {
        self.in_question.values().flatten().copied().collect()
    }
}

/// Pairs records and people, strongest keys first. What is ambiguous by a strong key is not decided by a weaker one.
pub fn pair(candidates: &[Candidate]) -> Pairing {
    let mut result = Pairing::default();
    let mut taken: BTreeSet<PersonId> = BTreeSet::new();
    let mut waiting: BTreeSet<PersonId> = BTreeSet::new();
    let strengths: BTreeSet<u8> = candidates.iter().map(|c| c.strength).collect();
    for strength in strengths {
        let mut people: BTreeMap<&RemoteId, BTreeMap<PersonId, bool>> = BTreeMap::new();
        let mut records: BTreeMap<PersonId, BTreeSet<&RemoteId>> = BTreeMap::new();
        let undecided = |c: &&Candidate| {
            c.strength == strength && !result.same.contains_key(&c.remote) && !taken.contains(&c.person)
        };
        for c in candidates.iter().filter(undecided) {
            people.entry(&c.remote).or_default().insert(c.person, c.narrow);
            records.entry(c.person).or_default().insert(&c.remote);
        }
        let mut new = Vec::new();
        for (remote, of) in &people {
            let already = result.in_question.contains_key(*remote) || of.keys().any(|p| waiting.contains(p));
            let only = of.len() == 1 && of.keys().all(|p| records.get(p).is_some_and(|r| r.len() == 1));
            match of.iter().next() {
                Some((person, true)) if only && !already => new.push(((*remote).clone(), *person)),
                _ => {
                    result.in_question.entry((*remote).clone()).or_default().extend(of.keys().copied());
                }
            }
        }
        waiting.extend(result.people_in_question());
        for (remote, person) in new {
            taken.insert(person);
            result.same.insert(remote, person);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn p(n: u128) -> PersonId {
        PersonId(Uuid::from_u128(n))
    }
    fn c(remote: &str, person: u128, strength: u8) -> Candidate {
        Candidate { remote: remote.into(), person: p(person), strength, narrow: true }
    }

    #[test]
    fn only_pairs_that_are_alone_in_both_directions() {
        let check = |candidates: &[Candidate], same: &[(&str, u128)], waits: &[&str]| {
            let mut turned: Vec<_> = candidates.to_vec();
            turned.reverse();
            for order in [candidates, &turned] {
                let got = pair(order);
                assert_eq!(
                    got.same.iter().map(|(r, x)| (r.as_str(), *x)).collect::<Vec<_>>(),
                    same.iter().map(|(r, x)| (*r, p(*x))).collect::<Vec<_>>()
                );
                assert_eq!(got.in_question.keys().map(RemoteId::as_str).collect::<Vec<_>>(), waits);
            }
        };
        check(&[c("r1", 1, 1)], &[("r1", 1)], &[]);
        // One record, two people; two records, one person.
        check(&[c("r1", 1, 1), c("r1", 2, 1)], &[], &["r1"]);
        check(&[c("r1", 1, 1), c("r2", 1, 1)], &[], &["r1", "r2"]);
        // A stronger key decides; what it took is no candidate for a weaker one.
        check(&[c("r1", 1, 1), c("r2", 1, 0), c("r2", 1, 1)], &[("r2", 1)], &[]);
        // What is ambiguous by a strong key is not decided by a weak one, and neither is what it touches.
        check(&[c("r1", 1, 0), c("r2", 1, 0), c("r2", 2, 1), c("r3", 1, 1)], &[], &["r1", "r2", "r3"]);
    }

    #[test]
    fn a_person_more_widely_visible_is_only_proposed() {
        let wide = Candidate { narrow: false, ..c("r1", 1, 0) };
        let got = pair(&[wide]);
        assert!(got.same.is_empty());
        assert_eq!(got.people_in_question(), BTreeSet::from([p(1)]));
    }
}
