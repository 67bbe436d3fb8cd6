//! Tables of what is allowed, what is said otherwise, and the promise that every key is documented.

use super::*;

const EXAMPLE: &str = include_str!("../../config/example.toml");

/// No environment.
const NONE: [(&str, &str); 0] = [];

/// A directory with `contactd.toml` of that content.
fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("contactd.toml");
    fs::write(&path, content).unwrap();
    (dir, path)
}

#[test]
fn the_defaults_load_and_are_what_the_design_says() {
    let config = load(None, NONE).unwrap();
    assert_eq!(config.sync.interval, Period(std::time::Duration::from_secs(300)));
    assert_eq!(config.guard, crate::sync::settings::GuardSettings::default());
    assert_eq!(config.crm.trash_days, 30);
    assert!(config.http.listen.is_empty() && !config.net.allow_private);
    assert_eq!(config.net.user_agent(), format!("contactd/{}", env!("CARGO_PKG_VERSION")));
    assert!(config.values.values().all(|(_, origin)| *origin == Origin::Default));
}

#[test]
fn every_key_has_a_rule_that_its_default_fits() {
    let defaults = flatten(&parse(DEFAULT, &Origin::Default).unwrap());
    for (key, kind) in &defaults {
        assert_eq!(check(key, kind, &defaults), Ok(()), "{key}");
    }
    assert_eq!(RULES.len(), defaults.len(), "a rule without a key");
}

#[test]
fn every_key_is_documented_by_a_sentence_above_it() {
    let mut above = String::new();
    for line in DEFAULT.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            above += comment;
        } else {
            let key = line.split('=').next().unwrap_or_default().trim();
            if !key.is_empty() && !key.starts_with('[') {
                let capital = above.trim_start().starts_with(|c: char| c.is_uppercase());
                assert!(capital && above.trim_end().ends_with('.') && above.len() > 20, "{key}: {above:?}");
            }
            above.clear();
        }
    }
}

#[test]
fn the_example_loads() {
    let (_dir, path) = file(EXAMPLE);
    let config = load(Some(&path), NONE).unwrap();
    assert_eq!(config.http.listen.len(), 2);
    assert_eq!(config.origin("crm.edition"), Some(&Origin::File(path)));
    assert_eq!(config.origin("net.max_body"), Some(&Origin::Default));
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let (_dir, path) = file("[sync]\ninterval = '10m'\nconcurrency = 3\n[guard]\non = false\n");
    let env = [
        ("CONTACTD__SYNC__INTERVAL", "1h"),
        ("CONTACTD__SYNC__PAGE_SIZE", "100"),
        ("CONTACTD__GUARD__ON", "true"),
        ("CONTACTD__HTTP__LISTEN", "127.0.0.1:1, [::1]:2"),
        ("CONTACTD_CONFIG", "/elsewhere"),
        ("PATH", "/bin"),
    ];
    let config = load(Some(&path), env).unwrap();
    assert_eq!(config.sync.interval.0.as_secs(), 3600);
    assert_eq!((config.sync.concurrency, config.sync.page_size), (3, 100));
    assert!(config.guard.on);
    assert_eq!(config.http.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.origin("sync.interval").unwrap().to_string(), "environment variable CONTACTD__SYNC__INTERVAL");
    assert_eq!(config.origin("sync.concurrency"), Some(&Origin::File(path)));
    assert!(load(None, [("CONTACTD__HTTP__LISTEN", "")]).unwrap().http.listen.is_empty());
}

#[test]
fn a_variable_that_is_almost_one_of_ours_is_told() {
    let said = |name: &str| load(None, [(name, "5m")]).err().map(|error| error.to_string());
    for name in ["CONTACTD_SYNC_INTERVAL", "CONTACTD_SYNC__INTERVAL"] {
        assert!(said(name).unwrap().contains("write CONTACTD__SYNC__INTERVAL"), "{name}");
    }
    assert!(said("CONTACTD_SYNC_PAGE_SIZE").unwrap().contains("write CONTACTD__SYNC__PAGE_SIZE"));
    for name in ["CONTACTD_CONFIG", "CONTACTD_SOCKET", "CONTACTD_SIM_SEEDS", "SYNC_INTERVAL"] {
        assert_eq!(said(name), None, "{name}");
    }
}

#[test]
fn bad_settings_are_told_with_key_source_and_what_is_allowed() {
    // (key, value as TOML, parts of what is said).
    let table: &[(&str, &str, &[&str])] = &[
        ("sync.interval", "'5 parsecs'", &["\"5 parsecs\" can't be", "\"30s\" to \"24h\""]),
        ("sync.interval", "'1s'", &["too small", "30s"]),
        ("sync.interval", "'25h'", &["too large"]),
        ("sync.interval", "300", &["300 can't be", "not a text"]),
        ("sync.jitter", "'6m'", &["longer than sync.interval"]),
        ("sync.after_edit", "'2h'", &["too large", "(never)"]),
        ("sync.concurrency", "0", &["from 1 to 256"]),
        ("sync.concurrency", "'8'", &["whole number"]),
        ("sync.concurrency", "8.5", &["8.5 can't be", "whole number"]),
        ("sync.page_size", "true", &["whole number"]),
        ("guard.percent", "101", &["0 to 100"]),
        ("guard.percent", "-1", &["too small"]),
        ("guard.on", "1", &["true or false"]),
        ("guard.on", "'yes'", &["true or false"]),
        ("crm.edition", "'bronze'", &["\"bronze\" can't be", "\"silver\", \"gold\" or \"platinum\""]),
        ("crm.trash_days", "1979-05-27", &["whole number"]),
        ("store.url", "'postgresql://ann:geheim@db'", &["no database", "ann:(hidden)@db", "sqlite:"]),
        ("store.url", "'contactd.db'", &["scheme is not known"]),
        ("control.socket", "'run/x'", &["absolute path"]),
        ("http.listen", "'127.0.0.1:1'", &["not a list"]),
        ("http.listen", "['localhost:1']", &["no address with a port", "127.0.0.1:8080"]),
        ("http.listen", "[1]", &["not a text"]),
        ("net.max_body", "'16 MB'", &["unit is not known", "64 KiB"]),
        ("net.user_agent", "'a\tb'", &["visible ASCII"]),
        ("net.user_agent", "''", &["at least one"]),
        ("log.format", "'xml'", &["\"auto\", \"text\" or \"json\""]),
        ("log.filter", "''", &["it is empty"]),
        (
            "sync.intervall",
            "'5m'",
            &["no such setting; [sync] has after_edit, concurrency, interval, jitter, lease, page_size"],
        ),
        ("sync.interval.max", "'5m'", &["no such setting"]),
        ("syncs.interval", "'5m'", &["no section [syncs]", "guard, http"]),
        ("sync", "'5m'", &["it is a section"]),
        ("syncs", "{}", &["no section [syncs]"]),
        ("verbose", "true", &["no section [verbose]"]),
    ];
    for (key, value, parts) in table {
        let (_dir, path) = file(&format!("{key} = {value}\n"));
        let said = load(Some(&path), NONE).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{key} ({}): ", path.display())), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{key} = {value}: {said}");
        assert!(!said.contains("geheim"), "{said}");
    }
}

#[test]
fn bad_variables_are_named() {
    let table = [
        ("CONTACTD__SYNC__INTERVAL", "soon", "sync.interval (environment variable CONTACTD__SYNC__INTERVAL): \"soon\""),
        (
            "CONTACTD__SYNC__CONCURRENCY",
            "many",
            "\"many\" can't be: it is not a whole number; it must be a number from 1",
        ),
        ("CONTACTD__GUARD__ON", "", "true or false"),
        ("CONTACTD__SYNC__SPEED", "5", "there is no such setting"),
        ("CONTACTD__SYNC_INTERVAL", "5m", "there is no section [sync_interval]"),
        ("CONTACTD__", "5m", "there is no section []"),
    ];
    for (name, value, part) in table {
        let said = load(None, [(name, value)]).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains(part), "{said}");
    }
    use std::os::unix::ffi::OsStringExt;
    let broken = [(OsString::from("CONTACTD__LOG__FILTER"), OsString::from_vec(vec![0xff]))];
    assert!(load(None, broken).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn all_problems_are_told_at_once() {
    let (_dir, path) = file("[sync]\ninterval = 'x'\n[guard]\npercent = 200\n");
    let error = load(Some(&path), [("CONTACTD__LOG__FORMAT", "xml")]).unwrap_err();
    let ConfigError::Settings(problems) = error else { panic!("{error}") };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["guard.percent", "sync.interval", "log.format"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let (_dir, path) = file("[store]\nurl = \"postgresql://ann:geheim@db/crm\n");
    let said = load(Some(&path), NONE).unwrap_err().to_string();
    assert!(said.contains("contactd.toml is not valid TOML") && said.contains("line 2"), "{said}");
    assert!(!said.contains("geheim"), "{said}");
    let (_dir, path) = file("a = 1\na = 2\n");
    assert!(load(Some(&path), NONE).unwrap_err().to_string().contains("duplicate key"));
    let gone = load(Some(Path::new("/nowhere/contactd.toml")), NONE).unwrap_err().to_string();
    assert!(gone.contains("can't read the configuration file /nowhere/contactd.toml"), "{gone}");
}

#[test]
fn what_is_shown_names_sources_and_loads_again() {
    let config = load(None, [("CONTACTD__HTTP__LISTEN", "127.0.0.1:1"), ("CONTACTD__NET__MAX_BODY", "1 MiB")]).unwrap();
    let shown = show(&config);
    let line = |part: &str| shown.lines().find(|line| line.starts_with(part)).unwrap().to_owned();
    assert!(line("interval").ends_with("# default"), "{shown}");
    assert!(line("max_body").ends_with("# environment variable CONTACTD__NET__MAX_BODY"), "{shown}");
    let (_dir, path) = file(&shown);
    assert_eq!(load(Some(&path), NONE).unwrap().settings, config.settings);
}

#[test]
fn secrets_are_hidden() {
    let text = |text: &str| ValueKind::String(text.to_owned());
    assert_eq!(shown("mail.password", &text("geheim")), "\"(hidden)\"");
    assert_eq!(shown("oauth.client_secret", &text("geheim")), "\"(hidden)\"");
    let table = [
        ("postgresql://ann:geheim@db:5432/crm", "postgresql://ann:(hidden)@db:5432/crm"),
        ("postgresql://ann:ge@h/e:im@db/crm", "postgresql://ann:(hidden)@db/crm"),
        ("postgresql://ann@db/crm", "postgresql://ann@db/crm"),
        ("sqlite:/a/b.db", "sqlite:/a/b.db"),
    ];
    for (given, expected) in table {
        assert_eq!(without_password(given), expected);
    }
}
