//! The SQL that SQLite and PostgreSQL read alike.
//!
//! Owns: the table of what they don't. Must not: know what a statement is for.

/// What one of them reads otherwise or not at all, and what to write instead. A word matches as a whole word in any
/// case; blanks match any white space.
const REFUSED: &[(&str, &str)] = &[
    ("INSERT OR", "ON CONFLICT (key) DO …"),
    ("REPLACE INTO", "ON CONFLICT (key) DO UPDATE"),
    ("AUTOINCREMENT", "ids are made by us"),
    ("SERIAL", "ids are made by us"),
    ("BIGSERIAL", "ids are made by us"),
    ("IDENTITY", "ids are made by us"),
    ("ROWID", "ids are made by us"),
    ("INTEGER", "BIGINT"),
    ("INT", "BIGINT"),
    ("BLOB", "BYTEA"),
    ("JSON", "TEXT"),
    ("JSONB", "TEXT"),
    ("DATETIME", "BIGINT, milliseconds"),
    ("TIMESTAMP", "BIGINT, milliseconds"),
    ("TIMESTAMPTZ", "BIGINT, milliseconds"),
    ("ARRAY", "a row for each"),
    ("UNNEST", "a placeholder for each"),
    ("NOW(", "time as an argument"),
    ("CURRENT_TIMESTAMP", "time as an argument"),
    ("STRFTIME(", "time as an argument"),
    ("RANDOM(", "randomness as an argument"),
    ("GREATEST(", "CASE"),
    ("LEAST(", "CASE"),
    ("IFNULL(", "coalesce"),
    ("IIF(", "CASE"),
    ("GROUP_CONCAT(", "put together in Rust"),
    ("STRING_AGG(", "put together in Rust"),
    ("ANY(", "IN with a placeholder for each"),
    ("ANY (", "IN with a placeholder for each"),
    ("LIKE", "a normalised search column"),
    ("ILIKE", "a normalised search column"),
    ("GLOB", "a normalised search column"),
    ("COLLATE", "sort in Rust"),
    ("FOR UPDATE", "compare and set"),
    ("SKIP LOCKED", "compare and set"),
    ("PRAGMA", "the driver's business"),
    ("WITHOUT ROWID", "one dialect"),
];

/// The two drivers, which speak to one database alone.
const DRIVERS: &[&str] = &["src/store/sqlite", "src/store/postgres"];

/// What makes a string SQL: it starts with one of these…
const VERBS: &[&str] =
    &["SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "WITH", "PRAGMA", "BEGIN"];
/// …or, being a part of a statement, has one of these in capitals.
const PARTS: &[&str] = &["FROM", "WHERE", "VALUES", "RETURNING", "JOIN", "AND", "OR", "ORDER BY", "SET", "LIMIT", "IN"];

/// Whether the string is SQL or a part of it. Prose may start with `update`, but not in capitals.
pub(crate) fn is_sql(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let lower_verb = VERBS.iter().any(|verb| verb.to_lowercase() == first) && has(&text.to_uppercase(), "FROM");
    VERBS.contains(&first) || lower_verb || PARTS.iter().any(|part| has(text, part))
}

/// What is wrong with a statement, or a part of one.
pub(crate) fn faults(text: &str, path: &str) -> Vec<String> {
    let text = without_quotes(text);
    let mut found = placeholders(&text);
    if !DRIVERS.iter().any(|driver| path.starts_with(driver)) {
        let upper = text.to_uppercase();
        let refused = REFUSED.iter().filter(|(word, _)| has(&upper, word));
        found.extend(refused.map(|(word, instead)| format!("{word} (instead: {instead})")));
    }
    found
}

/// The statements of an SQL file, with the line on which each starts.
pub(crate) fn statements(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    let (mut all, mut open, mut start) = (Vec::new(), String::new(), 0);
    for (number, line) in (1..).zip(lines) {
        for (n, part) in line.split(';').enumerate() {
            if n > 0 {
                all.push((start, std::mem::take(&mut open)));
            }
            if open.trim().is_empty() {
                start = number;
            }
            open.push_str(part);
            open.push('\n');
        }
    }
    all.push((start, open));
    all.retain(|(_, statement)| !statement.trim().is_empty());
    all
}

/// `$1`, `$2`, … in the order in which they first appear, where a statement stands whole: SQLite counts by appearance. Of
/// statements put together from parts the driver sees the whole, and refuses them in debug builds.
fn placeholders(text: &str) -> Vec<String> {
    let mut met: Vec<u32> = Vec::new();
    for (at, _) in text.match_indices('$') {
        let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse()
            && !met.contains(&number)
        {
            met.push(number);
        }
    }
    let whole = VERBS.contains(&text.split_whitespace().next().unwrap_or_default());
    let mut found = Vec::new();
    if whole && met.contains(&1) && met.iter().zip(1..).any(|(number, expected)| *number != expected) {
        let order: Vec<_> = met.iter().map(|number| format!("${number}")).collect();
        found.push(format!("placeholders appear as {}, not from $1 upwards", order.join(", ")));
    }
    if text.contains('?') {
        found.push("? as a placeholder (instead: $1, $2, …)".to_owned());
    }
    found
}

/// The text without what stands in quotes, and without comments.
fn without_quotes(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut text = lines.join("\n");
    while let Some((before, rest)) = text.split_once("/*") {
        let after = rest.split_once("*/").map_or("", |(_, after)| after);
        text = format!("{before} {after}");
    }
    text.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// Whether the text has the word, not as part of a longer one.
fn has(text: &str, word: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_word) && (word.ends_with('(') || !after.is_some_and(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_told_from_prose() {
        let table = [
            ("SELECT id FROM people", true),
            ("select id from people", true),
            ("\n  UPDATE people SET x = $1", true),
            (" AND owner = $2", true),
            ("ORDER BY id", true),
            ("update the account first, then try again", false),
            ("someone else was first: {0}", false),
            ("the database is busy", false),
            ("INFORMATION", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_sql(text), expected, "{text}");
        }
    }

    #[test]
    fn what_both_do_not_read_alike_is_refused() {
        // (statement, part of the complaint; empty = fine).
        let table = [
            ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING b", ""),
            ("UPDATE t SET rev = $1 WHERE id = $2 AND rev = $3 RETURNING rev", ""),
            ("SELECT coalesce(a, $1) FROM t WHERE a IS NOT DISTINCT FROM $1 AND b = $2", ""),
            ("SELECT a FROM t WHERE kind = 'LIKE NOW() ?' AND likely = 1 -- like this", ""),
            (" AND owner = $4 AND x = $5 OR y = $4", ""),
            ("CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT NOT NULL, ok BOOLEAN, body BYTEA)", ""),
            ("SELECT $2, $1", "appear as $2, $1, not from $1"),
            ("SELECT a FROM t WHERE a = $2", ""),
            ("CREATE TABLE t (a TEXT) /* sqlite: WITHOUT ROWID */", ""),
            ("SELECT a FROM t WHERE a = $1 AND b = $3", "appear as $1, $3"),
            (" AND a = $4 AND b = $3", ""),
            ("SELECT a FROM t WHERE a = ?1", "? as a placeholder"),
            ("insert or ignore into t values ($1)", "INSERT OR"),
            ("INSERT\n  OR REPLACE INTO t VALUES ($1)", "INSERT OR"),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "AUTOINCREMENT"),
            ("CREATE TABLE t (a JSONB)", "JSONB"),
            ("CREATE TABLE t (a BLOB)", "BLOB"),
            ("UPDATE t SET a = now()", "NOW("),
            ("UPDATE t SET a = greatest(a, $1)", "GREATEST("),
            ("SELECT a FROM t WHERE a = ANY($1)", "ANY("),
            ("SELECT a FROM t WHERE a = any ($1)", "ANY ("),
            ("SELECT a FROM t WHERE a like $1", "LIKE"),
            ("SELECT a FROM t FOR UPDATE SKIP LOCKED", "FOR UPDATE"),
        ];
        for (text, part) in table {
            let found = faults(text, "src/store/sql.rs").join("; ");
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{text}: {found}");
        }
        assert!(faults("PRAGMA journal_mode = WAL", "src/store/sqlite.rs").is_empty());
        assert!(!faults("SELECT $2, $1", "src/store/sqlite.rs").is_empty());
    }

    #[test]
    fn a_file_falls_into_statements() {
        let text = "-- people; all\nCREATE TABLE a (x TEXT);\n\nCREATE TABLE b (\n  y TEXT\n); DROP TABLE a;\n";
        let lines: Vec<_> = statements(text).into_iter().map(|(line, text)| (line, text.trim().to_owned())).collect();
        let expected = [(2, "CREATE TABLE a (x TEXT)"), (4, "CREATE TABLE b (\n  y TEXT\n)"), (6, "DROP TABLE a")];
        assert_eq!(lines, expected.map(|(line, text)| (line, text.to_owned())));
    }
}
