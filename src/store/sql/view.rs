//! What reconcile looks at: subjects, put together in few statements for a page of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::driver::{Driver, Row, Rows, Stmt};
use super::super::{StoreError, SubjectKey};
use super::people::directory_of;
use super::rows::{intent, intent_columns, link as read_link, link_columns, maybe_link, seen, seen_columns};
use super::words::Word;
use super::{SqlStore, args, at_most};
use crate::crm::access::{Item, decide};
use crate::crm::person::{Person, PersonState};
use crate::crm::users::Directory;
use crate::ids::{AccountId, LinkId, PersonId, RemoteId, Timestamp, Token, UserId};
use crate::sync::view::{Answer, Elsewhere, Intent, Link, PersonFacts, Standing, Subject};

/// The head of a query for subjects. The account is `$1`; `k` names the key, in its columns `what` and `id`.
macro_rules! subject_head {
    () => {
        concat!(
            "SELECT k.id, ",
            seen_columns!(),
            ", ",
            link_columns!(),
            ", p.doc, EXISTS (SELECT 1 FROM intents i WHERE i.account = $1 AND i.person = COALESCE(l.person, tl.person)), \
             EXISTS (SELECT 1 FROM conflicts c WHERE c.link = l.id AND NOT c.resolved), \
             (SELECT COALESCE(h.answer, 'waits') FROM held h WHERE h.link = l.id ORDER BY h.at DESC, h.id DESC LIMIT 1), \
             tl.id, tl.state, tl.person FROM "
        )
    };
}

/// The last of the tail: the link that a token was made for.
macro_rules! token_tail {
    () => {
        " LEFT JOIN tokens t ON t.token = s.token AND t.account = $1 LEFT JOIN links tl ON tl.id = t.link ORDER BY k.id"
    };
}

/// The tail: what hangs on `s` and `l`.
macro_rules! subject_tail {
    () => {
        concat!(" LEFT JOIN persons p ON p.id = l.person", token_tail!())
    };
}

/// From keys that are records: the row, and the open link that names it, else the latest ended one.
macro_rules! of_records {
    ($keys:expr) => {
        concat!(
            subject_head!(),
            "(",
            $keys,
            ") k LEFT JOIN seen s ON s.account = $1 AND s.remote = k.id LEFT JOIN links l ON l.id = COALESCE(\
             (SELECT x.id FROM links x WHERE x.account = $1 AND x.remote = k.id AND x.rank < 2), \
             (SELECT x.id FROM links x WHERE x.account = $1 AND x.remote = k.id AND x.rank = 2 \
             ORDER BY x.id DESC LIMIT 1))",
            subject_tail!()
        )
    };
}

/// From keys that are people: the open link of the person, else the latest ended one, and the row that it names, unless
/// another link speaks for that now.
macro_rules! of_people {
    ($keys:expr) => {
        concat!(
            subject_head!(),
            "(",
            $keys,
            ") k LEFT JOIN links l ON l.id = (SELECT x.id FROM links x WHERE x.person = k.id AND x.account = $1 \
             ORDER BY x.rank, x.id DESC LIMIT 1) LEFT JOIN seen s ON s.account = l.account AND s.remote = l.remote \
             AND (l.rank < 2 OR NOT EXISTS (SELECT 1 FROM links o WHERE o.account = $1 AND o.remote = l.remote \
             AND o.rank < 2)) LEFT JOIN persons p ON p.id = k.id",
            token_tail!()
        )
    };
}

const UNSETTLED_RECORDS: &str = of_records!(
    "SELECT q.remote AS id FROM seen q WHERE q.account = $1 AND q.unsettled AND q.remote > $2 AND NOT EXISTS \
     (SELECT 1 FROM failures f WHERE f.account = $1 AND f.what = 'record' AND f.id = q.remote AND f.retry_at > $3) \
     ORDER BY q.remote LIMIT $4"
);
/// People whose own record is unsettled come with that.
const UNSETTLED_PEOPLE: &str = of_people!(
    "SELECT d.person AS id FROM dirty d WHERE d.account = $1 AND d.person > $2 AND NOT EXISTS \
     (SELECT 1 FROM failures f WHERE f.account = $1 AND f.what = 'person' AND f.id = d.person AND f.retry_at > $3) \
     AND NOT EXISTS (SELECT 1 FROM links y JOIN seen z ON z.account = y.account AND z.remote = y.remote \
     WHERE y.person = d.person AND y.account = $1 AND y.rank = 0 AND z.unsettled) ORDER BY d.person LIMIT $4"
);
const ONE_RECORD: &str = of_records!("SELECT CAST($2 AS TEXT) AS id");
const ONE_PERSON: &str = of_people!("SELECT CAST($2 AS TEXT) AS id");
const ONE_LINK: &str = concat!(
    subject_head!(),
    "(SELECT CAST($2 AS TEXT) AS id) k JOIN links l ON l.id = k.id AND l.account = $1 \
     LEFT JOIN seen s ON s.account = l.account AND s.remote = l.remote",
    subject_tail!()
);

/// What is unsettled.
pub(super) async fn unsettled(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    now: Timestamp,
    after: Option<&SubjectKey>,
    limit: usize,
) -> Result<Vec<(SubjectKey, Subject)>, StoreError> {
    let (record, person) = match after {
        None => (Some(String::new()), String::new()),
        Some(SubjectKey::Record(id)) => (Some(id.0.clone()), String::new()),
        Some(SubjectKey::Person(id)) => (None, id.to_string()),
    };
    let mut drafts = Drafts::default();
    if let Some(after) = record {
        let rows = store.one(Stmt::new(UNSETTLED_RECORDS, args![account, after, now, at_most(limit)])).await?;
        drafts.read(&rows, |id, _| Ok(SubjectKey::Record(RemoteId::from(id))))?;
    }
    let left = limit.saturating_sub(drafts.0.len());
    if left > 0 {
        let rows = store.one(Stmt::new(UNSETTLED_PEOPLE, args![account, person, now, at_most(left)])).await?;
        drafts.read(&rows, person_key)?;
    }
    drafts.finish(store, account).await
}

fn person_key(id: &str, _: &Subject) -> Result<SubjectKey, StoreError> {
    id.parse().map(SubjectKey::Person).map_err(|_| StoreError::Broken("a person's id".to_owned()))
}

/// These subjects.
pub(super) async fn subjects(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    keys: &[SubjectKey],
) -> Result<Vec<Subject>, StoreError> {
    let stmt = |key: &SubjectKey| match key {
        SubjectKey::Record(id) => Stmt::new(ONE_RECORD, args![account, id]),
        SubjectKey::Person(id) => Stmt::new(ONE_PERSON, args![account, *id]),
    };
    let answers = store.run(keys.iter().map(stmt).collect()).await?;
    let mut drafts = Drafts::default();
    for (key, rows) in keys.iter().zip(&answers) {
        drafts.read(rows, |_, _| Ok(key.clone()))?;
    }
    Ok(drafts.finish(store, account).await?.into_iter().map(|(_, subject)| subject).collect())
}

/// The subjects of these links; a link of another account, or none, has none.
pub(super) async fn subjects_of_links(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    links: &[LinkId],
) -> Result<Vec<(SubjectKey, Subject)>, StoreError> {
    let answers = store.run(links.iter().map(|id| Stmt::new(ONE_LINK, args![account, *id])).collect()).await?;
    let mut drafts = Drafts::default();
    for rows in &answers {
        drafts.read(rows, |_, subject| match &subject.link {
            Some(Link { remote: Some(id), .. }) => Ok(SubjectKey::Record(id.clone())),
            Some(Link { person, .. }) => Ok(SubjectKey::Person(*person)),
            None => Err(StoreError::Broken("a link's subject without its link".to_owned())),
        })?;
    }
    drafts.finish(store, account).await
}

/// Subjects in the making.
#[derive(Default)]
struct Drafts(Vec<Draft>);

struct Draft {
    key: SubjectKey,
    subject: Subject,
    person: Option<Person>,
    asks: bool,
}

impl Drafts {
    fn read(
        &mut self,
        rows: &Rows,
        key: impl Fn(&str, &Subject) -> Result<SubjectKey, StoreError>,
    ) -> Result<(), StoreError> {
        for mut row in rows.iter() {
            let id = row.text()?;
            let mut subject = Subject { seen: seen(&mut row)?, link: maybe_link(&mut row)?, ..Subject::default() };
            let person = row.maybe_json()?;
            subject.blocked = row.bool()?;
            let asks = row.bool()?;
            subject.held = match row.maybe_text()? {
                None => None,
                Some("waits") => Some(None),
                Some(answer) => Some(Some(Answer::of(answer)?)),
            };
            if !row.is_null() {
                subject.token_of = Some((row.id()?, Word::of(row.text()?)?, row.id()?));
            }
            self.0.push(Draft { key: key(id, &subject)?, subject, person, asks });
        }
        Ok(())
    }

    /// Adds what takes more than a row: the facts of people, and what was asked.
    async fn finish(
        self,
        store: &SqlStore<impl Driver>,
        account: AccountId,
    ) -> Result<Vec<(SubjectKey, Subject)>, StoreError> {
        const USER: &str = "SELECT u.doc FROM users u WHERE u.id = $1";
        const OWNER: &str = "SELECT a.user_id FROM accounts a WHERE a.id = $1";
        const THE_OWNER: &str = "SELECT u.doc FROM accounts a JOIN users u ON u.id = a.user_id WHERE a.id = $1";
        const ITS_ROLES: &str = "WITH RECURSIVE above(id) AS (SELECT m.role FROM accounts a \
             JOIN users m ON m.id = a.user_id WHERE a.id = $1 AND m.role IS NOT NULL UNION SELECT r.parent FROM roles r \
             JOIN above b ON r.id = b.id WHERE r.parent IS NOT NULL) SELECT r.doc FROM above b JOIN roles r ON r.id = b.id";
        const ELSEWHERE: &str = "SELECT l.id, l.account, a.user_id, l.state, l.origin FROM links l \
             JOIN accounts a ON a.id = l.account WHERE l.person = $1 AND (l.account <> $2 OR l.rank < 2 \
             OR l.state IN ('unlinked', 'undone') AND EXISTS (SELECT 1 FROM seen s WHERE s.account = l.account \
             AND s.remote = l.remote AND s.kind <> 'gone')) ORDER BY l.account, l.id";
        const OPEN: &str = "SELECT c.id, c.clash FROM conflicts c WHERE c.link = $1 AND NOT c.resolved ORDER BY c.id";
        let people: BTreeSet<PersonId> = self.0.iter().filter_map(|draft| Some(draft.person.as_ref()?.id)).collect();
        let asking = |draft: &Draft| draft.subject.link.as_ref().filter(|_| draft.asks).map(|link| link.id);
        let links: BTreeSet<LinkId> = self.0.iter().filter_map(asking).collect();
        if people.is_empty() && links.is_empty() {
            return Ok(self.0.into_iter().map(|draft| (draft.key, draft.subject)).collect());
        }
        // Only those of all users and roles whom the facts are decided from: a page's cost must not grow with the company.
        let of = |person: &Person| match person.state {
            PersonState::Trashed { by, .. } => [Some(person.owner), by],
            PersonState::Live | PersonState::Purged { .. } => [Some(person.owner), None],
        };
        let users: BTreeSet<UserId> =
            self.0.iter().filter_map(|draft| draft.person.as_ref()).flat_map(of).flatten().collect();
        let mut batch = [OWNER, THE_OWNER, ITS_ROLES].map(|sql| Stmt::new(sql, args![account])).to_vec();
        batch.extend(users.iter().map(|user| Stmt::new(USER, args![*user])));
        batch.extend(people.iter().map(|person| Stmt::new(ELSEWHERE, args![*person, account])));
        batch.extend(links.iter().map(|link| Stmt::new(OPEN, args![*link])));
        let answers = store.run(batch).await?;
        let [owner, the_owner, roles, rest @ ..] = answers.as_slice() else {
            return Err(StoreError::Broken("fewer answers than statements".to_owned()));
        };
        let Some((found, rest)) = rest.split_at_checked(users.len()) else {
            return Err(StoreError::Broken("fewer answers than statements".to_owned()));
        };
        let directory = directory_of(std::iter::once(the_owner).chain(found), [roles])?;
        let facts = Facts { directory, user: owner.first().map(|mut row| row.id()).transpose()? };
        let mut elsewhere: HashMap<PersonId, Vec<(LinkId, Elsewhere)>> = HashMap::new();
        for (person, rows) in people.iter().zip(rest) {
            let all = rows.iter().map(|mut row| read_elsewhere(&mut row)).collect::<Result<Vec<_>, _>>()?;
            elsewhere.insert(*person, all);
        }
        let mut open: BTreeMap<LinkId, Vec<Standing>> = BTreeMap::new();
        for (link, rows) in links.iter().zip(rest.iter().skip(people.len())) {
            let read = |mut row: Row<'_>| Ok(Standing { id: row.id()?, clash: row.json()? });
            open.insert(*link, rows.iter().map(read).collect::<Result<_, StoreError>>()?);
        }
        let complete = |draft: Draft| {
            let Draft { key, mut subject, person, asks: _ } = draft;
            subject.open = subject.link.as_ref().and_then(|link| open.get(&link.id)).cloned().unwrap_or_default();
            subject.person = person.map(|person| {
                // Its other links in this account that are open or rest count too; the subject's own does not.
                let own = subject.link.as_ref().map(|link| link.id);
                let others = elsewhere.get(&person.id).into_iter().flatten().filter(|(id, _)| Some(*id) != own);
                let elsewhere = others.map(|(_, there)| *there).collect();
                facts.of(person, elsewhere)
            });
            (key, subject)
        };
        Ok(self.0.into_iter().map(complete).collect())
    }
}

fn read_elsewhere(row: &mut Row<'_>) -> Result<(LinkId, Elsewhere), StoreError> {
    let id = row.id()?;
    let there = Elsewhere {
        account: row.id()?,
        user: row.id()?,
        state: Word::of(row.text()?)?,
        origin: Word::of(row.text()?)?,
    };
    Ok((id, there))
}

/// What facts about people are decided from: the account's user with the roles above, and the users that they name.
struct Facts {
    directory: Directory,
    user: Option<UserId>,
}

impl Facts {
    fn of(&self, person: Person, elsewhere: Vec<Elsewhere>) -> PersonFacts {
        let item = Item { owner: person.owner, visible_to: person.visible_to, followers: &person.followers };
        let access = self.user.is_some_and(|user| decide(user, item, &self.directory).allows());
        let admin = |user: UserId| self.directory.users.get(&user).is_some_and(|user| user.admin);
        let trashed_with_authority = match person.state {
            PersonState::Trashed { by: Some(user), .. } => user == person.owner || admin(user),
            PersonState::Trashed { by: None, .. } | PersonState::Live | PersonState::Purged { .. } => false,
        };
        PersonFacts { person, access, trashed_with_authority, elsewhere }
    }
}

/// Open intents, oldest first.
pub(super) async fn intents(store: &SqlStore<impl Driver>, account: AccountId) -> Result<Vec<Intent>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", intent_columns!(), " FROM intents i WHERE i.account = $1 ORDER BY i.opened, i.id");
    let rows = store.one(Stmt::new(SQL, args![account])).await?;
    rows.iter().map(|mut row| intent(&mut row)).collect()
}

/// Which of these tokens are ours.
pub(super) async fn tokens(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    tokens: &[Token],
) -> Result<Vec<(Token, LinkId)>, StoreError> {
    const SQL: &str = "SELECT t.link FROM tokens t WHERE t.token = $1 AND t.account = $2";
    let answers = store.run(tokens.iter().map(|token| Stmt::new(SQL, args![*token, account])).collect()).await?;
    let mut ours = Vec::new();
    for (token, rows) in tokens.iter().zip(&answers) {
        if let Some(mut row) = rows.first() {
            ours.push((*token, row.id()?));
        }
    }
    Ok(ours)
}

/// Open links whose record is gone and unsettled.
pub(super) async fn lost(store: &SqlStore<impl Driver>, account: AccountId) -> Result<Vec<Link>, StoreError> {
    // An index each: there is one over open links and one over those that ended. Asked for both at once, a database reads all
    // links of all accounts, in every run. What was not settled is few; SQLite takes what stands left of CROSS JOIN first.
    macro_rules! gone {
        ($links:literal) => {
            concat!(
                "SELECT ",
                link_columns!(),
                " FROM seen s CROSS JOIN links l WHERE s.account = $1 AND s.unsettled AND s.kind = 'gone' \
                 AND l.account = s.account AND l.remote = s.remote AND ",
                $links,
                " ORDER BY l.id"
            )
        };
    }
    const OPEN: &str = gone!("l.rank < 2");
    const ENDED: &str = gone!("l.rank = 2 AND l.state IN ('unlinked', 'undone', 'deleted')");
    const UNNAMED: &str = concat!(
        "SELECT ",
        link_columns!(),
        " FROM seen s JOIN tokens t ON t.account = s.account AND t.token = s.token JOIN links l ON l.id = t.link \
         WHERE s.account = $1 AND s.unsettled AND s.token IS NOT NULL AND s.kind = 'present' AND l.remote IS NULL \
         AND l.rank < 2 AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.link = l.id) ORDER BY l.id"
    );
    let batch = [OPEN, ENDED, UNNAMED].map(|sql| Stmt::new(sql, args![account])).to_vec();
    let (mut links, mut known) = (Vec::new(), BTreeSet::new());
    for rows in &store.run(batch).await? {
        for mut row in rows.iter() {
            let link = read_link(&mut row)?;
            if known.insert(link.id) {
                links.push(link);
            }
        }
    }
    Ok(links)
}

/// A link.
pub(super) async fn link(store: &SqlStore<impl Driver>, id: LinkId) -> Result<Option<Link>, StoreError> {
    const SQL: &str = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.id = $1");
    let rows = store.one(Stmt::new(SQL, args![id])).await?;
    rows.first().map(|mut row| read_link(&mut row)).transpose()
}
