-- What the dashboard shows is counted when it changes, and people are found by whom they are shown to.

-- People in sync: live links whose record is present (see `store/sql/in_sync.rs`).
CREATE TABLE in_sync (
    account TEXT PRIMARY KEY,
    people BIGINT NOT NULL
) /*sqlite: WITHOUT ROWID */;
INSERT INTO in_sync (account, people) SELECT l.account, COUNT(*) FROM links l
    JOIN seen s ON s.account = l.account AND s.remote = l.remote
    WHERE l.rank = 0 AND l.state = 'live' AND s.kind = 'present' GROUP BY l.account;

-- An owner's people in use, or in the trash, in order, with what is asked of each before it is read.
DROP INDEX persons_by_owner;
CREATE INDEX persons_of_owner ON persons (owner, state, id, visible_to);
CREATE INDEX persons_of_company ON persons (state, id) WHERE visible_to = 'company';
CREATE INDEX followers_by_follower ON followers (follower, person);
CREATE INDEX users_by_role ON users (role) WHERE role IS NOT NULL;

-- What operations counted in an hour, of all accounts together, once nobody counts in it any more; and until when that was
-- done (one row, or none). Not counted along with each operation, since all who sync at once would wait for one row.
CREATE TABLE hours (
    hour BIGINT NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (hour, side, kind)
) /*sqlite: WITHOUT ROWID */;
CREATE TABLE hours_until (
    one BIGINT PRIMARY KEY,
    until BIGINT NOT NULL
);
CREATE INDEX tallies_by_time ON tallies (at, side, kind, n);
