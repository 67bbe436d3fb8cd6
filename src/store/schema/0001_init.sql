-- The first schema, for SQLite and PostgreSQL alike. Statements end with a semicolon at the end of a line.
-- Times are milliseconds since 1970 in BIGINT; ids and JSON documents are TEXT. In PostgreSQL the database has the
-- collation C. What stands in a comment that begins with "sqlite:" is for SQLite alone: tables of short rows are kept in
-- the order of their key there, as one tree instead of two. What is looked up or counted has a column; all else stands in a document.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    role TEXT,
    admin BOOLEAN NOT NULL,
    restricted BOOLEAN NOT NULL,
    sees_followed BOOLEAN NOT NULL,
    active BOOLEAN NOT NULL,
    doc TEXT NOT NULL
);

-- Who follows whom.
CREATE TABLE user_follows (
    follower TEXT NOT NULL,
    followed TEXT NOT NULL,
    PRIMARY KEY (follower, followed)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE roles (
    id TEXT PRIMARY KEY,
    parent TEXT,
    doc TEXT NOT NULL
);

CREATE TABLE persons (
    id TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    owner TEXT NOT NULL,
    visible_to TEXT NOT NULL,
    state TEXT NOT NULL,
    doc TEXT NOT NULL
);
CREATE INDEX persons_by_owner ON persons (owner, id);
CREATE INDEX persons_in_trash ON persons (id) WHERE state = 'trashed';

CREATE TABLE followers (
    person TEXT NOT NULL,
    follower TEXT NOT NULL,
    PRIMARY KEY (person, follower)
) /*sqlite: WITHOUT ROWID */;

-- The words by which a person is found.
CREATE TABLE words (
    word TEXT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (word, person)
) /*sqlite: WITHOUT ROWID */;

-- The keys by which a person in use may be taken for a record's.
CREATE TABLE person_keys (
    hash BIGINT NOT NULL,
    strength BIGINT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (hash, strength, person)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE blobs (
    hash TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    bytes BYTEA NOT NULL
);

CREATE TABLE photo_aliases (
    address TEXT PRIMARY KEY,
    hash TEXT NOT NULL
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    address TEXT NOT NULL,
    state_word TEXT NOT NULL,
    state TEXT NOT NULL,
    settings TEXT NOT NULL,
    connection TEXT NOT NULL,
    created BIGINT NOT NULL,
    synced BIGINT
);
CREATE INDEX accounts_by_user ON accounts (user_id);
-- The same mailbox is live only once (rule 15).
CREATE UNIQUE INDEX accounts_once ON accounts (provider, tenant, subject) WHERE state_word <> 'removed';

CREATE TABLE secrets (
    account TEXT PRIMARY KEY,
    sealed BYTEA NOT NULL
);

-- Who may run an account, and until when.
CREATE TABLE leases (
    account TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence BIGINT NOT NULL,
    until BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE collections (
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    writable BOOLEAN NOT NULL,
    cursor_text TEXT,
    generation BIGINT NOT NULL,
    listing_since BIGINT,
    listing_page TEXT,
    listed BOOLEAN NOT NULL,
    doubted BIGINT,
    PRIMARY KEY (account, id)
);

-- What providers showed. `digest` is over all whose change matters, `body_hash` over the content alone.
CREATE TABLE seen (
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    remote TEXT NOT NULL,
    collection TEXT NOT NULL,
    kind TEXT NOT NULL,
    etag TEXT,
    generation BIGINT NOT NULL,
    written BIGINT,
    version BIGINT NOT NULL,
    unsettled BOOLEAN NOT NULL,
    digest BIGINT NOT NULL,
    body_hash BIGINT,
    token TEXT,
    uid TEXT,
    modified BIGINT,
    body TEXT,
    times TEXT,
    groups_in TEXT,
    formerly TEXT,
    detail TEXT,
    raw BYTEA,
    PRIMARY KEY (account, remote)
);
CREATE INDEX seen_unsettled ON seen (account, remote) WHERE unsettled;
CREATE INDEX seen_rosters ON seen (account, remote) WHERE kind = 'roster';
-- Clients write UIDs in both cases.
CREATE INDEX seen_by_uid ON seen (account, lower(uid)) WHERE uid IS NOT NULL;
CREATE INDEX seen_by_token ON seen (account, token) WHERE token IS NOT NULL;
CREATE INDEX seen_by_body ON seen (account, body_hash) WHERE body_hash IS NOT NULL;

-- The keys by which a present record may be taken for a person's.
CREATE TABLE seen_keys (
    account TEXT NOT NULL,
    hash BIGINT NOT NULL,
    strength BIGINT NOT NULL,
    remote TEXT NOT NULL,
    PRIMARY KEY (account, remote, hash, strength)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX seen_keys_by_hash ON seen_keys (account, hash, strength);

-- People who are to be looked at again in an account. `revision` is the person's when it was marked; a mark that was made
-- from outside while `fence` held the account is not lifted by that run (see `Change::SettlePerson`).
CREATE TABLE dirty (
    account TEXT NOT NULL,
    person TEXT NOT NULL,
    revision BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    PRIMARY KEY (account, person)
) /*sqlite: WITHOUT ROWID */;

-- `rank`: 0 open, 1 redundant, 2 ended. `base_theirs` is null where it equals `base_ours`. `mapped` has a bit per field.
CREATE TABLE links (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    person TEXT NOT NULL REFERENCES persons (id) DEFERRABLE INITIALLY DEFERRED,
    remote TEXT,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    rank BIGINT NOT NULL,
    token TEXT,
    revision BIGINT NOT NULL,
    converter BIGINT NOT NULL,
    mapped BIGINT NOT NULL,
    pairs TEXT NOT NULL,
    base_ours TEXT NOT NULL,
    base_theirs TEXT
);
-- One open link per record, and one per person and account (rule 13).
CREATE UNIQUE INDEX links_remote_once ON links (account, remote) WHERE rank < 2;
CREATE UNIQUE INDEX links_person_once ON links (account, person) WHERE rank = 0;
CREATE INDEX links_ended ON links (account, remote) WHERE rank = 2;
CREATE INDEX links_by_person ON links (person, account);

-- Tokens of ours, for ever.
CREATE TABLE tokens (
    token TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    link TEXT NOT NULL
) /*sqlite: WITHOUT ROWID */;

-- Open intents only.
CREATE TABLE intents (
    id TEXT PRIMARY KEY,
    link TEXT NOT NULL REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    person TEXT NOT NULL,
    token TEXT NOT NULL,
    creates BOOLEAN NOT NULL,
    opened BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    doc TEXT NOT NULL,
    raw BYTEA
);
CREATE INDEX intents_by_person ON intents (account, person);
-- One create at a time per person and account (rule 14).
CREATE UNIQUE INDEX intents_create_once ON intents (account, person) WHERE creates;

-- `same` is a hash over what makes two conflicts of a link the same one.
CREATE TABLE conflicts (
    id TEXT PRIMARY KEY,
    link TEXT NOT NULL REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    person TEXT NOT NULL,
    at BIGINT NOT NULL,
    same BIGINT NOT NULL,
    stands TEXT NOT NULL,
    resolved BOOLEAN NOT NULL,
    clash TEXT NOT NULL
);
CREATE UNIQUE INDEX conflicts_once ON conflicts (link, same);
CREATE INDEX conflicts_open ON conflicts (account, id) WHERE NOT resolved;

CREATE TABLE held (
    id TEXT PRIMARY KEY,
    link TEXT NOT NULL REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    person TEXT NOT NULL,
    side TEXT NOT NULL,
    revision BIGINT NOT NULL,
    etag TEXT,
    at BIGINT NOT NULL,
    why TEXT NOT NULL,
    answer TEXT
);
CREATE UNIQUE INDEX held_once ON held (link, side);
CREATE INDEX held_by_account ON held (account, id);

-- `what` is `record` or `person`.
CREATE TABLE failures (
    account TEXT NOT NULL,
    what TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    retry_at BIGINT NOT NULL,
    PRIMARY KEY (account, what, id)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE duplicates (
    account TEXT NOT NULL,
    remote TEXT NOT NULL,
    persons TEXT NOT NULL,
    PRIMARY KEY (account, remote)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    cause TEXT NOT NULL,
    tally TEXT NOT NULL,
    error TEXT
);
CREATE INDEX runs_by_account ON runs (account, id);

CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    run TEXT,
    why TEXT NOT NULL
);
CREATE INDEX operations_by_run ON operations (run, id) WHERE run IS NOT NULL;

-- The effects of an operation, one row per person, each effect with its place in the operation.
CREATE TABLE effects (
    op TEXT NOT NULL,
    person TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (op, person)
);
CREATE INDEX effects_by_person ON effects (person, op);

-- What the operations count, per account, side (`local`, `remote`) and kind (`added`, `updated`, `deleted`).
CREATE TABLE tallies (
    account TEXT NOT NULL,
    at BIGINT NOT NULL,
    op TEXT NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    confirmed BOOLEAN NOT NULL,
    n BIGINT NOT NULL,
    run TEXT,
    PRIMARY KEY (account, at, op, side, kind, confirmed)
) /*sqlite: WITHOUT ROWID */;

-- The way in which words and keys were derived (see `store/sql/derive.rs`); none while they are being derived anew.
CREATE TABLE derived_version (
    version BIGINT NOT NULL
);
