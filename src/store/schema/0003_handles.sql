-- What people decided by hand.

-- Records that are none of these people, as somebody has said: no candidates for each other any more.
CREATE TABLE dismissed (
    account TEXT NOT NULL,
    remote TEXT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (account, remote, person)
) /*sqlite: WITHOUT ROWID */;
