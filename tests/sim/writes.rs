//! How the fake takes writes: what it refuses, loses, leaves out or stores, and what no write of ours may do.

use std::collections::BTreeSet;

use contactd::card::Card;
use contactd::card::field::{Field, Shape};
use contactd::provider::{Outcome, Write, WriteKind};
use contactd::sync::caps::{Membership, TokenPlace};
use contactd::sync::merge::{Judged, three_way};
use contactd::sync::plan::Side;
use contactd::sync::view::RemoteRef;
use mock_providers::book::Condition;

use super::cover::hit;
use super::fake::{GARBLED, Server};
use super::oracle::marks;

impl Server {
    /// One write, with whatever goes wrong with it.
    pub fn write(&mut self, write: &Write) -> Outcome {
        if self.crashed {
            return Outcome::Unknown;
        }
        if self.now > write.by.0.max(0) as u64 {
            hit("fault: too late to send");
            return Outcome::NotTried;
        }
        if self.forbid_writes {
            self.violations.push(format!("a write in one-way: {:?}", write.what));
        }
        if self.faults.refuse_create > 0 && matches!(write.what, WriteKind::Create { .. }) {
            self.faults.refuse_create -= 1;
            hit("fault: create refused");
            return Outcome::Refused("nothing may be added to this book".to_owned());
        }
        if self.faults.refuse_write > 0 {
            self.faults.refuse_write -= 1;
            hit("fault: write refused");
            return Outcome::Refused("a fault of the test".to_owned());
        }
        if self.faults.lose_before > 0 {
            self.faults.lose_before -= 1;
            hit("fault: write lost");
            return Outcome::Unknown;
        }
        if let Some((left, stored)) = &mut self.faults.crash_at_send {
            if *left == 0 {
                let stored = *stored;
                hit(if stored { "fault: stopped after a send" } else { "fault: stopped before a send" });
                self.faults.crash_at_send = None;
                if stored {
                    self.take(write);
                }
                self.crashed = true;
                return Outcome::Unknown;
            }
            *left -= 1;
        }
        self.repeat(write);
        let outcome = match self.refused_picture(write) {
            Some(late) => self.take_without(write, late),
            None => self.take(write),
        };
        if self.faults.lose_after > 0 {
            self.faults.lose_after -= 1;
            hit("fault: answer lost");
            if matches!(outcome, Outcome::Stale) {
                self.note_doubtful_picture(write);
            }
            return Outcome::Unknown;
        }
        if let Outcome::Landed(RemoteRef { id, etag: None, .. }) = &outcome {
            self.unlooked.insert(id.to_string());
        }
        outcome
    }

    /// Where nobody knows that a picture was not stored, the one in its place looks like it, stored as another.
    fn note_doubtful_picture(&mut self, write: &Write) {
        let WriteKind::Update { mask, .. } = &write.what else { return };
        let Some(before) = write.before.as_ref().filter(|_| mask.contains(Field::Photo)) else { return };
        if let Some(entry) = self.book.get(before.at.id.as_str()) {
            let photo = Self::card(entry).photo;
            self.blind.extend(marks(&Card { photo, ..Card::default() }));
        }
    }

    /// The request comes once before, and nobody has that answer.
    fn repeat(&mut self, write: &Write) {
        // What would be made twice is not repeated by anybody.
        let makes = matches!(write.what, WriteKind::Create { .. }) && self.caps.token != TokenPlace::Name;
        if self.faults.repeat > 0 && !makes {
            self.faults.repeat -= 1;
            hit("fault: a write came twice");
            self.take(write);
        }
    }

    /// Whether the picture of this write is to be left out; only where the answer shows what is stored. True: for now.
    fn refused_picture(&mut self, write: &Write) -> Option<bool> {
        let (WriteKind::Create { card, .. } | WriteKind::Update { card, .. }) = &write.what else { return None };
        let sent = match &write.what {
            WriteKind::Update { mask, .. } => mask.contains(Field::Photo),
            _ => true,
        };
        (self.manner.echoes && sent && card.photo.is_some()).then(|| self.faults.refuse_picture.take()).flatten()
    }

    /// Everything but the picture is taken: that comes too late, or is none that anybody here can make use of.
    fn take_without(&mut self, write: &Write, late: bool) -> Outcome {
        let mut less = write.clone();
        match &mut less.what {
            WriteKind::Create { card, .. } => card.photo = None,
            WriteKind::Update { mask, .. } => mask.remove(Field::Photo),
            _ => {}
        }
        let fields = [Field::Photo].into_iter().collect();
        match self.take(&less) {
            Outcome::Stored(record) if late => {
                hit("fault: a picture came too late");
                Outcome::Partly { record, lacks: fields, why: None }
            }
            Outcome::Stored(record) => {
                hit("fault: a picture was not taken");
                Outcome::Without { record, fields, why: "it is no picture".to_owned() }
            }
            other => other,
        }
    }

    /// A value that the account's user may not see must not come here (I10).
    fn check_forbidden(&mut self, card: &Card) {
        let all = marks(card);
        self.check_marks(&all);
    }

    fn check_marks(&mut self, marks: &BTreeSet<String>) {
        if let Some(secret) = marks.iter().find(|m| self.forbidden.contains(*m)) {
            self.violations.push(format!("I10: {secret} came to a user from whom it is hidden"));
        }
    }

    /// Whoever may not be seen is not sent (rule 22).
    fn check_person(&mut self, card: &Card) {
        if let Some(name) = marks(card).into_iter().find(|mark| self.hidden_people.contains(mark)) {
            self.violations.push(format!("rule 22: {name} was sent to a user who may not see who that is"));
        }
    }

    fn check_picture(&mut self, card: &Card, write: &Write) {
        if card.photo.is_some() && write.photo.is_none() {
            self.violations.push("a picture was to be written without its bytes".to_owned());
        }
    }

    fn stored(&self, id: &str, write: &Write) -> Outcome {
        let record = self.record(self.book.get(id).unwrap());
        // An answer has no pictures with it: one that somebody else has put there is to be read.
        let known = match &write.what {
            WriteKind::Create { .. } => true,
            WriteKind::Update { mask, .. } if mask.contains(Field::Photo) => true,
            _ => write.before.as_ref().is_some_and(|before| before.body.photo == record.body.photo),
        };
        if self.manner.echoes && (record.body.photo.is_none() || known) {
            return Outcome::Stored(record);
        }
        // Who makes something else of what was sent names no version in the answer (RFC 6352 section 6.3.2.3).
        let exact = !self.manner.rewrites && !self.manner.recodes;
        Outcome::Landed(RemoteRef { etag: record.at.etag.filter(|_| exact), ..record.at })
    }

    fn take(&mut self, write: &Write) -> Outcome {
        let now = self.now;
        match &write.what {
            WriteKind::Create { card, groups } => {
                let by_name = self.caps.token == TokenPlace::Name;
                let id = if by_name { write.token.to_string() } else { self.book.mint("r") };
                if self.book.get(&id).is_some() {
                    hit("fault: create met its own record");
                    return self.stored(&id, write); // 412: adopt what is there
                }
                let twin = self.live().find(|e| Self::token(e) == Some(write.token)).map(|e| e.id.clone());
                if let Some(twin) = twin {
                    self.violations.push(format!("rule 14: created again beside {twin}"));
                }
                self.check_picture(card, write);
                self.check_person(card);
                let image = self.image(card);
                self.check_forbidden(&image);
                self.store(&id, &image, Some(write.token));
                let groups = groups.iter().map(|g| g.0.clone()).collect();
                self.book.edit(&id, Condition::None, now, |e| e.groups = groups).unwrap();
                self.writes += 1;
                *self.creates.entry(write.token).or_default() += 1;
                self.stored(&id, write)
            }
            WriteKind::Update { card, mask } => {
                let before = write.before.as_ref().expect("an update names what it changes");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Missing };
                if entry.marks.contains_key(GARBLED) {
                    return Outcome::Refused("what is stored there is no contact".to_owned());
                }
                if self.caps.guards_update && before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag) {
                    return Outcome::Stale;
                }
                let was_there = Self::card(entry);
                let mut now_there = was_there.clone();
                // Without a guard an adapter reads right before it writes, and merges into the lists that it replaces (R4).
                let moved = before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag);
                let image = self.image(card);
                for field in mask.iter().filter(|f| self.caps.writes.contains(*f)) {
                    if moved && field.shape() == Shape::Many {
                        let (mut sent, there) = (before.body.clone(), now_there.clone());
                        sent.set(field, card.get(field));
                        let ours = |_| Judged { side: Side::Ours, ours_at: None, theirs_at: None };
                        let (merged, _) = three_way(&before.body, &sent, &there, &ours);
                        now_there.set(field, self.image(&merged).get(field));
                    } else {
                        now_there.set(field, image.get(field));
                    }
                }
                if mask.contains(Field::Photo) {
                    self.check_picture(card, write);
                }
                // What nobody of ours can have seen, and no guard kept us from.
                let (seen, after) = (marks(&before.body), marks(&now_there));
                let unseen = |mark: &String| !seen.contains(mark) && !after.contains(mark);
                let lost: Vec<String> = marks(&was_there).into_iter().filter(unseen).collect();
                if !lost.is_empty() {
                    hit("fault: overwritten unseen");
                    self.blind.extend(lost);
                }
                if !self.hidden_people.is_empty() {
                    self.check_person(card);
                }
                let new: BTreeSet<String> = after.difference(&marks(&was_there)).cloned().collect();
                self.check_marks(&new);
                self.store(&id, &now_there, None);
                self.writes += 1;
                self.stored(&id, write)
            }
            WriteKind::Delete => {
                let before = write.before.as_ref().expect("a delete names what it deletes");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Deleted };
                if self.caps.guards_delete && before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag) {
                    return Outcome::Stale;
                }
                let (there, seen) = (marks(&Self::card(entry)), marks(&before.body));
                if entry.marks.contains_key(GARBLED) {
                    self.violations.push(format!("R7: {id} was deleted, and it could not be read"));
                }
                if !self.caps.guards_delete && self.looked.get(&id) != Some(&self.run) {
                    self.violations.push(format!("R7: {id} was deleted without a guard and without a look"));
                }
                self.blind.extend(there.difference(&seen).cloned());
                self.book.delete(&id, Condition::None, now).unwrap();
                self.writes += 1;
                self.deletes.push(now);
                Outcome::Deleted
            }
            WriteKind::Join(group) | WriteKind::Leave(group) => {
                let joins = matches!(write.what, WriteKind::Join(_));
                let before = write.before.as_ref().expect("joining names the member");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Missing };
                if self.caps.membership == Membership::Roster {
                    let uid = Self::uid(entry);
                    let Some((card, roster)) = self.rosters.iter_mut().find(|(_, r)| r.group == *group) else {
                        return Outcome::Refused("no such group".into());
                    };
                    let changed = if joins { roster.members.insert(uid) } else { roster.members.remove(&uid) };
                    if changed {
                        let card = card.clone();
                        self.book.touch(&card, now).unwrap();
                        self.writes += 1;
                    }
                } else if entry.marks.contains_key(GARBLED) {
                    return Outcome::Refused("what is stored there is no contact".to_owned());
                } else if entry.groups.contains(&group.0) != joins {
                    self.writes += 1;
                    self.book
                        .edit(&id, Condition::None, now, |e| {
                            if joins {
                                e.groups.insert(group.0.clone())
                            } else {
                                e.groups.remove(&group.0)
                            };
                        })
                        .unwrap();
                }
                self.stored(&id, write)
            }
        }
    }
}
