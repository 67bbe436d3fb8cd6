//! How many people are in sync per account, counted along with what changes it: live links whose record is present.
//!
//! A commit takes out what the links that it changes have counted before, and puts in what they count afterwards; where a
//! record comes or goes, a link that the commit does not touch counts with it. All of that is in the commit's own batch,
//! so that nothing can come in between. [`super::check`] recounts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::StoreError;
use super::super::driver::{Row, Rows, Stmt, Value};
use super::words::rank;
use crate::ids::{AccountId, LinkId, RemoteId};
use crate::sync::view::{Link, LinkState};

/// How many ids a statement takes. Those that are too few are filled up with what no id is.
const MANY: usize = 32;
const NO_ID: &str = "";

macro_rules! many {
    () => {
        "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, \
         $26, $27, $28, $29, $30, $31, $32, $33"
    };
}
macro_rules! added {
    () => {
        " ON CONFLICT (account) DO UPDATE SET people = in_sync.people + excluded.people"
    };
}
/// `$1` is there for the sake of one form of arguments.
const KNOWN: &str = concat!("SELECT l.id FROM links l WHERE CAST($1 AS TEXT) IS NOT NULL AND l.id IN (", many!(), ")");
const LINKS_OUT: &str = concat!(
    "INSERT INTO in_sync (account, people) SELECT l.account, -COUNT(*) FROM links l \
     JOIN seen s ON s.account = l.account AND s.remote = l.remote WHERE CAST($1 AS TEXT) IS NOT NULL AND l.id IN (",
    many!(),
    ") AND l.rank = 0 AND l.state = 'live' AND s.kind = 'present' GROUP BY l.account",
    added!()
);
const LINKS_IN: &str = concat!(
    "INSERT INTO in_sync (account, people) SELECT CAST($1 AS TEXT), COUNT(*) FROM seen s WHERE s.account = $1 \
     AND s.kind = 'present' AND s.remote IN (",
    many!(),
    ")",
    added!()
);
const CAME: &str = concat!(
    "INSERT INTO in_sync (account, people) SELECT CAST($1 AS TEXT), COUNT(*) FROM links l WHERE l.account = $1 \
     AND l.rank < 2 AND l.rank = 0 AND l.state = 'live' AND l.remote IN (",
    many!(),
    ")",
    added!()
);
const WENT: &str = concat!(
    "INSERT INTO in_sync (account, people) SELECT CAST($1 AS TEXT), -COUNT(*) FROM links l WHERE l.account = $1 \
     AND l.rank < 2 AND l.rank = 0 AND l.state = 'live' AND l.remote IN (",
    many!(),
    ")",
    added!()
);

/// One statement per so many ids.
fn in_many(sql: &'static str, first: &str, ids: &[&str]) -> impl Iterator<Item = Stmt> {
    ids.chunks(MANY).map(move |some| {
        let ids = some.iter().copied().chain(std::iter::repeat(NO_ID)).take(MANY);
        Stmt::new(sql, std::iter::once(first).chain(ids).map(Value::from).collect())
    })
}

/// Reads which of these links there are.
pub(super) fn known(links: &BTreeSet<LinkId>) -> Vec<Stmt> {
    let ids: Vec<String> = links.iter().map(ToString::to_string).collect();
    in_many(KNOWN, NO_ID, &ids.iter().map(String::as_str).collect::<Vec<_>>()).collect()
}

/// What a commit does to the number of people in sync.
#[derive(Default)]
pub(super) struct InSync {
    /// Links that were there before.
    known: BTreeSet<LinkId>,
    /// As they are put, each for the last time.
    put: HashMap<LinkId, (AccountId, Option<RemoteId>, LinkState)>,
    /// Whether a record was present before this commit, and whether it is after it.
    records: BTreeMap<AccountId, BTreeMap<RemoteId, (bool, bool)>>,
}

impl InSync {
    /// Reads the answer to a statement of [`known`].
    pub(super) fn read(&mut self, rows: &Rows) -> Result<(), StoreError> {
        for mut row in rows.iter() {
            self.known.insert(Row::id(&mut row)?);
        }
        Ok(())
    }

    /// The link is put.
    pub(super) fn link(&mut self, link: &Link) {
        self.put.insert(link.id, (link.account, link.remote.clone(), link.state));
    }

    /// The record is present, or not, where it was so before.
    pub(super) fn record(&mut self, account: AccountId, remote: &RemoteId, was: bool, is: bool) {
        let records = self.records.entry(account).or_default();
        match records.get_mut(remote) {
            Some(known) => known.1 = is,
            None if was == is => {}
            None => drop(records.insert(remote.clone(), (was, is))),
        }
    }

    /// Before anything else: what the links counted until now.
    pub(super) fn before(&self) -> Vec<Stmt> {
        let ids: Vec<String> = self.known.iter().map(ToString::to_string).collect();
        in_many(LINKS_OUT, NO_ID, &ids.iter().map(String::as_str).collect::<Vec<_>>()).collect()
    }

    /// After everything else: what the links count now, and what the records do that came or went below other links. Of
    /// those that this commit put, an open one is the only one of its record, whose coming or going counts with it.
    pub(super) fn after(self) -> Vec<Stmt> {
        let mut live: BTreeMap<AccountId, BTreeSet<RemoteId>> = BTreeMap::new();
        let mut open: BTreeMap<AccountId, BTreeSet<RemoteId>> = BTreeMap::new();
        for (account, remote, state) in self.put.into_values() {
            let Some(remote) = remote else { continue };
            if state == LinkState::Live {
                live.entry(account).or_default().insert(remote.clone());
            }
            if rank(state) < 2 {
                open.entry(account).or_default().insert(remote);
            }
        }
        let mut stmts = Vec::new();
        for (account, remotes) in live {
            let ids: Vec<&str> = remotes.iter().map(RemoteId::as_str).collect();
            stmts.extend(in_many(LINKS_IN, &account.to_string(), &ids));
        }
        for (account, records) in self.records {
            let spoken = open.remove(&account).unwrap_or_default();
            for (sql, came) in [(CAME, true), (WENT, false)] {
                let changed = |(was, is): &(bool, bool)| was != is && *is == came;
                let ids = records.iter().filter(|(id, of)| changed(of) && !spoken.contains(*id));
                let ids: Vec<&str> = ids.map(|(id, _)| id.as_str()).collect();
                stmts.extend(in_many(sql, &account.to_string(), &ids));
            }
        }
        stmts
    }
}
