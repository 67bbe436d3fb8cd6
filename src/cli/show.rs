//! How answers look to people: tables and sentences.
//!
//! Owns: words and columns. Must not: ask the daemon anything.

mod handles;

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::api::types::{
    AccountAdded, AccountShown, Check, CountedShown, CountsShown, GroupShown, HeldShown, MappingRow, PersonShown,
    PreviewShown, RoleShown, RunShown, SettingsAnswer, StatusShown, TallyShown, UserShown,
};
use crate::card::field::{FieldValue, Value};
use crate::ids::Timestamp;
use crate::sync::operation::FieldDiff;
use crate::sync::plan::Deletion;
use crate::sync::settings::Direction;
use crate::sync::view::Answer;
pub(super) use handles::{conflict, conflicts, duplicates, history, merge, provenance, purged, undo, verified, why};

fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    // The style pads each column on both sides; the first needs none.
    let shown = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    let lines: Vec<String> = table.lines().map(shown).skip_while(String::is_empty).collect();
    lines.join("\n") + "\n"
}

fn or_none(text: String, none: &str) -> String {
    if text.lines().count() > 1 { text } else { format!("{none}\n") }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "" }.to_owned()
}

fn time(at: Option<Timestamp>) -> String {
    // With its zone: whoever reads it may be elsewhere.
    let shown =
        |at: Timestamp| format!("{}Z", at.to_string().trim_end_matches('Z').split('.').next().unwrap_or_default());
    at.map_or_else(|| "never".to_owned(), |at| shown(at).replace('T', " "))
}

/// So many of something.
pub(super) fn number(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What fits into a column.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).collect::<String>() + "…" }
}

fn plus(counts: CountsShown) -> String {
    match counts {
        CountsShown { added: 0, updated: 0, deleted: 0 } => "-".to_owned(),
        CountsShown { added, updated, deleted } => format!("+{added} ~{updated} -{deleted}"),
    }
}

fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

pub(super) fn status(status: &StatusShown) -> String {
    let row = |name: String, state: String, c: &CountedShown, synced: String, next: String| {
        [
            name,
            state,
            c.in_sync.to_string(),
            format!("{} / {}", plus(c.day[0]), plus(c.day[1])),
            format!("{} / {}", plus(c.week[0]), plus(c.week[1])),
            format!("{} / {}", plus(c.month[0]), plus(c.month[1])),
            c.conflicts.to_string(),
            c.held.to_string(),
            c.failures.to_string(),
            c.duplicates.to_string(),
            synced,
            next,
        ]
    };
    let mut rows: Vec<_> = status
        .accounts
        .iter()
        .map(|s| {
            let a = &s.account;
            let next = a.next.map_or(String::new(), |at| time(Some(at)));
            row(a.address.clone(), a.state.clone(), &s.counted, time(a.synced), next)
        })
        .collect();
    rows.push(row("all".to_owned(), String::new(), &status.all, String::new(), String::new()));
    let header = [
        "account",
        "state",
        "in sync",
        "24 h here / there",
        "7 days",
        "30 days",
        "conflicts",
        "held",
        "failed",
        "duplicates",
        "last sync",
        "next sync",
    ];
    let mut text = table(header, rows);
    for account in status.accounts.iter().map(|s| &s.account) {
        if let Some(reason) = &account.reason {
            let _ = writeln!(text, "{}: {reason}", account.address);
        }
    }
    if status.accounts.is_empty() {
        text += "no accounts yet; add one with `contactd account add`\n";
    }
    text
}

pub(super) fn users(users: &[UserShown]) -> String {
    let row = |u: &UserShown| {
        [
            u.name.clone(),
            u.email.clone(),
            u.role.clone().unwrap_or_default(),
            yes(u.admin),
            yes(u.restricted),
            if u.active { "active" } else { "deactivated" }.to_owned(),
            u.id.to_string(),
        ]
    };
    let text = table(["name", "e-mail", "role", "admin", "restricted", "state", "id"], users.iter().map(row));
    or_none(text, "nobody yet; add somebody with `contactd users add`")
}

pub(super) fn roles(roles: &[RoleShown]) -> String {
    let row = |r: &RoleShown| [r.name.clone(), r.parent.clone().unwrap_or_default(), r.id.to_string()];
    or_none(table(["role", "below", "id"], roles.iter().map(row)), "no roles")
}

pub(super) fn accounts(accounts: &[AccountShown]) -> String {
    let row = |a: &AccountShown| {
        [a.address.clone(), a.user_name.clone(), a.provider.clone(), a.state.clone(), time(a.synced), a.id.to_string()]
    };
    let text = table(["account", "user", "provider", "state", "last sync", "id"], accounts.iter().map(row));
    or_none(text, "no accounts yet; add one with `contactd account add`")
}

pub(super) fn account(a: &AccountShown) -> String {
    let s = &a.settings;
    let scope = a.group.clone().unwrap_or_else(|| "all".to_owned());
    let mut rows = vec![
        ["account".to_owned(), a.address.clone()],
        ["id".to_owned(), a.id.to_string()],
        ["user".to_owned(), a.user_name.clone()],
        ["provider".to_owned(), a.provider.clone()],
        ["state".to_owned(), a.state.clone()],
    ];
    rows.extend(a.reason.iter().map(|reason| ["because".to_owned(), reason.clone()]));
    rows.extend([
        ["last sync".to_owned(), time(a.synced)],
        ["sync group".to_owned(), scope],
        ["direction".to_owned(), word(&s.direction)],
        ["visible to".to_owned(), word(&s.visible_to)],
        ["push".to_owned(), word(&s.push)],
        ["conflicts".to_owned(), word(&s.conflicts)],
        ["deletes".to_owned(), word(&s.deletes)],
        ["on leave".to_owned(), word(&s.on_leave)],
        [
            "guard".to_owned(),
            if s.guard.on {
                format!("more than {} and {} % in 24 hours are held", s.guard.at_least, s.guard.percent)
            } else {
                "off".to_owned()
            },
        ],
    ]);
    rows.extend(s.mapping.0.iter().map(|(field, flow)| [format!("map {field}"), word(flow)]));
    table(["", ""], rows)
}

pub(super) fn added(added: &AccountAdded) -> String {
    let address = &added.account.address;
    let how = match added.how.as_str() {
        "returned" => "It was here before; its links were found again, and nothing will be doubled.",
        "signed_in" => "It was here already; the new sign-in is stored.",
        _ => "Signed in.",
    };
    let mut text = format!("{how}\n");
    if !added.groups.is_empty() {
        text += &groups(&added.groups);
    }
    if added.account.state == "setup" {
        let two_way = if added.account.settings.direction == Direction::TwoWay { "both ways" } else { "one way" };
        let _ = write!(
            text,
            "Everything in it would be synced, {two_way}. Next:\n  \
             contactd account set {address} --group GROUP   only one group\n  \
             contactd preview {address}                     what a sync would do\n  \
             contactd account start {address}               do it, and go on\n"
        );
    } else if let Some(reason) = &added.account.reason {
        let _ = writeln!(text, "Its state is {}: {reason}", added.account.state);
    }
    text
}

pub(super) fn groups(groups: &[GroupShown]) -> String {
    let row = |g: &GroupShown| [g.name.clone(), g.size.map_or(String::new(), |n| n.to_string()), g.id.to_string()];
    or_none(table(["group", "size", "id"], groups.iter().map(row)), "the account has no groups")
}

pub(super) fn mapping(rows: &[MappingRow]) -> String {
    table(["field", "set", "comes to"], rows.iter().map(|r| [r.field.to_string(), word(&r.flow), r.says.clone()]))
}

fn value(value: &FieldValue) -> String {
    let one = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Date(date) => date.to_string(),
        Value::Photo(_) => "(picture)".to_owned(),
        other => serde_json::to_value(other)
            .ok()
            .and_then(|json| json.as_object()?.values().next()?.as_object().cloned())
            .map(|parts| parts.values().filter_map(|v| v.as_str()).collect::<Vec<_>>().join(", "))
            .unwrap_or_default(),
    };
    match value {
        FieldValue::One(None) => "(nothing)".to_owned(),
        FieldValue::One(Some(v)) => one(v),
        FieldValue::Many(all) if all.is_empty() => "(nothing)".to_owned(),
        FieldValue::Many(all) => all.iter().map(|e| one(&e.value)).collect::<Vec<_>>().join("; "),
    }
}

fn diffs(text: &mut String, side: &str, diffs: &[FieldDiff]) {
    for diff in diffs {
        let (before, after) = (value(&diff.value.before), value(&diff.value.after));
        let _ = writeln!(text, "    {side} {}: {before} -> {after}", diff.field);
    }
}

pub(super) fn preview(preview: &PreviewShown, fields: bool) -> String {
    let mut text = String::new();
    for row in &preview.rows {
        let does = if row.does.is_empty() { "waits".to_owned() } else { row.does.join(", ") };
        let waits = row.waits.map(|waits| format!(" ({})", word(&waits))).unwrap_or_default();
        let _ = writeln!(text, "  {does}: {}{waits}", row.name);
        if fields {
            diffs(&mut text, "here", &row.here);
            diffs(&mut text, "there", &row.there);
        }
    }
    // Thousands of rows help nobody at once; programs have --json.
    let (most, all) = (40, text.lines().count());
    if !fields && all > most {
        text = text.lines().take(most).fold(String::new(), |text, line| text + line + "\n");
        let _ = writeln!(text, "  … and {} more; --fields or --json shows all", all - most);
    }
    let PreviewShown { here, there, linked, conflicts, undecided, held, .. } = preview;
    let _ = writeln!(text, "here: {}   there: {}   linked: {linked}   conflicts: {conflicts}", sum(here), sum(there));
    if *undecided > 0 {
        let _ = writeln!(text, "{undecided} records could be several people, and wait");
    }
    if *held {
        text += "the deletions are unusually many and would be held until confirmed\n";
    }
    text
}

fn sum(counts: &CountsShown) -> String {
    format!("{} added, {} changed, {} deleted", counts.added, counts.updated, counts.deleted)
}

pub(super) fn done(tally: &TallyShown) -> String {
    let mut text = format!("here: {}   there: {}\n", sum(&tally.here), sum(&tally.there));
    if tally.conflicts > 0 {
        let _ = writeln!(text, "{} conflicts; see `contactd conflicts list`", tally.conflicts);
    }
    if tally.held > 0 {
        let _ = writeln!(text, "{} deletions are held; see `contactd held list`", tally.held);
    }
    if tally.failed > 0 {
        let _ = writeln!(text, "{} failed; see `contactd runs show` and `contactd status`", tally.failed);
    }
    text
}

/// Where what was done differs from what was shown before.
pub(super) fn otherwise(expected: &PreviewShown, tally: &TallyShown) -> String {
    let sides = [("here", expected.here, tally.here), ("there", expected.there, tally.there)];
    let other = |(side, expected, done): (&str, CountsShown, CountsShown)| {
        (expected != done)
            .then(|| format!("other than shown before, {side}: {} instead of {}\n", sum(&done), sum(&expected)))
    };
    sides.into_iter().filter_map(other).collect()
}

pub(super) fn settings(answer: &SettingsAnswer) -> String {
    let mut text = String::new();
    if !answer.asks.is_empty() {
        text += &preview(&answer.preview, false);
        for ask in &answer.asks {
            let _ = writeln!(text, "To be decided first: {ask}");
        }
        text += "Nothing was changed.\n";
    } else if answer.changed {
        text += &account(&answer.account);
    } else {
        text += "Nothing was changed.\n";
    }
    text
}

pub(super) fn runs(runs: &[RunShown]) -> String {
    let row = |r: &RunShown| {
        [
            time(Some(r.started)),
            r.address.clone(),
            r.trigger.clone(),
            plus(r.tally.here),
            plus(r.tally.there),
            r.tally.held.to_string(),
            r.tally.failed.to_string(),
            r.id.to_string(),
            cut(r.error.as_deref().unwrap_or_default(), 80),
        ]
    };
    let header = ["started", "account", "trigger", "here", "there", "held", "failed", "id", "error"];
    or_none(table(header, runs.iter().map(row)), "no runs yet")
}

pub(super) fn run(run: &RunShown) -> String {
    let mut text = runs(std::slice::from_ref(run));
    if let Some(error) = &run.error {
        let _ = writeln!(text, "it ended early: {error}");
    }
    text + &history(&run.history)
}

pub(super) fn held(rows: &[HeldShown]) -> String {
    let row = |h: &HeldShown| {
        let loses = match h.deletion {
            Deletion::Local => "the person here",
            Deletion::Remote => "the record there",
        };
        let answer = match h.answer {
            None => "waits",
            Some(Answer::Confirmed) => "confirmed",
            Some(Answer::Rejected) => "rejected",
        };
        [
            h.name.clone(),
            h.address.clone(),
            loses.to_owned(),
            h.why.clone(),
            time(Some(h.at)),
            answer.to_owned(),
            h.id.to_string(),
        ]
    };
    let header = ["name", "account", "would delete", "why", "since", "answer", "id"];
    or_none(table(header, rows.iter().map(row)), "no deletions wait")
}

pub(super) fn people(people: &[PersonShown]) -> String {
    let row = |p: &PersonShown| {
        let card = &p.person.card;
        let first = |list: &[crate::card::Item<String>]| list.first().map(|i| i.value.clone()).unwrap_or_default();
        let company = card.organizations.first().and_then(|o| o.value.company.clone()).unwrap_or_default();
        [
            cut(&card.display.clone().unwrap_or_default(), 40),
            cut(&company, 30),
            cut(&first(&card.emails), 40),
            first(&card.phones),
            p.owner_name.clone(),
            p.person.id.to_string(),
        ]
    };
    or_none(table(["name", "company", "e-mail", "phone", "owner", "id"], people.iter().map(row)), "nobody")
}

pub(super) fn person(p: &PersonShown) -> String {
    let mut rows = Vec::new();
    for field in crate::card::field::Field::ALL {
        if p.person.card.has(*field) {
            rows.push([field.to_string(), value(&p.person.card.get(*field)).replace('\n', " / ")]);
        }
    }
    rows.extend(p.person.custom.iter().map(|(name, value)| [name.clone(), value.clone()]));
    rows.push(["owner".to_owned(), p.owner_name.clone()]);
    rows.push(["visible to".to_owned(), p.person.visible_to.words().to_owned()]);
    if !p.follower_names.is_empty() {
        rows.push(["followers".to_owned(), p.follower_names.join(", ")]);
    }
    if !p.person.is_live() {
        rows.push(["state".to_owned(), "in the trash".to_owned()]);
    }
    rows.push(["id".to_owned(), format!("{}, revision {}", p.person.id, p.person.revision.0)]);
    rows.extend(p.seen_by.iter().map(|who| ["seen by".to_owned(), who.clone()]));
    for link in &p.links {
        rows.push([format!("in {}", link.address), word(&link.state)]);
    }
    let mut text = table(["", ""], rows);
    if !p.provenance.is_empty() {
        text += &provenance(&p.provenance);
    }
    text
}

pub(super) fn checks(checks: &[Check]) -> String {
    checks.iter().fold(String::new(), |mut text, check| {
        let _ = writeln!(text, "{} {}: {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.says);
        text
    })
}
