//! How the answers to what people do by hand look: conflicts, undo, merging, history, duplicates, the trash.

use std::fmt::Write;

use super::{diffs, or_none, table, time, value, word};
use crate::api::types::{
    ConflictShown, DuplicateShown, HistoryRow, MergeAnswer, ProvenanceRow, PurgeAnswer, UndoAnswer, VerifiedShown,
    WhyShown,
};
use crate::sync::plan::{About, Clash, Side};

fn about(clash: &Clash) -> String {
    match clash.about {
        About::Field(field) => field.to_string(),
        About::TrashedHere => "deleted here, edited there".to_owned(),
        About::DeletedThere => "edited here, deleted there".to_owned(),
    }
}

fn stands(side: Side) -> &'static str {
    match side {
        Side::Ours => "here",
        Side::Theirs => "there",
        Side::Undecided => "undecided",
    }
}

pub(in crate::cli) fn conflicts(rows: &[ConflictShown]) -> String {
    let row = |c: &ConflictShown| {
        [
            c.name.clone(),
            about(&c.clash),
            value(&c.clash.ours),
            value(&c.clash.theirs),
            stands(c.clash.stands).to_owned(),
            c.address.clone(),
            time(Some(c.at)),
            c.id.to_string(),
        ]
    };
    let header = ["name", "about", "here", "there", "stands", "account", "since", "id"];
    or_none(table(header, rows.iter().map(row)), "no conflicts")
}

pub(in crate::cli) fn conflict(c: &ConflictShown) -> String {
    let said = |at| time(at).replace("never", "unknown");
    let mut text = table(
        ["", ""],
        [
            ["name".to_owned(), c.name.clone()],
            ["person".to_owned(), c.person.to_string()],
            ["account".to_owned(), c.address.clone()],
            ["about".to_owned(), about(&c.clash)],
            ["here".to_owned(), format!("{} (since {})", value(&c.clash.ours), said(c.clash.ours_at))],
            ["there".to_owned(), format!("{} (since {})", value(&c.clash.theirs), said(c.clash.theirs_at))],
            ["stands".to_owned(), stands(c.clash.stands).to_owned()],
            ["since".to_owned(), time(Some(c.at))],
        ],
    );
    let (here, there) = match c.clash.about {
        About::Field(_) => ("keeps the value here", "takes the value there"),
        About::TrashedHere => ("leaves the person in the trash", "keeps the person"),
        About::DeletedThere => ("keeps the person", "moves the person into the trash"),
    };
    let _ = writeln!(text, "contactd conflicts resolve {} --keep crm        {here}", c.id);
    let _ = writeln!(text, "contactd conflicts resolve {} --keep provider   {there}", c.id);
    text
}

pub(in crate::cli) fn undo(answer: &UndoAnswer) -> String {
    let mut text = String::new();
    for row in &answer.rows {
        let does = if row.does.is_empty() { "stays".to_owned() } else { row.does.join(", ") };
        let _ = writeln!(text, "  {does}: {} ({})", row.name, row.person);
        diffs(&mut text, "here", &row.here);
        clashes(&mut text, &row.clashes);
        for note in &row.notes {
            let _ = writeln!(text, "    {note}");
        }
    }
    let count = |what: &str| answer.rows.iter().filter(|row| row.does.iter().any(|does| does == what)).count();
    let words = ["delete here", "restore here", "change here", "unlink", "link again", "delete there", "send"];
    let counts: Vec<String> =
        words.into_iter().filter(|what| count(what) > 0).map(|what| format!("{what}: {}", count(what))).collect();
    let _ = writeln!(text, "{}", counts.join("   "));
    match (&answer.operation, answer.done) {
        (Some(operation), _) => drop(writeln!(text, "done; `contactd undo {operation}` takes it back")),
        (None, true) => text += "nothing was to be done\n",
        (None, false) => {}
    }
    text
}

fn clashes(text: &mut String, clashes: &[Clash]) {
    for clash in clashes {
        let (stays, other) = (value(&clash.ours), value(&clash.theirs));
        let _ = writeln!(text, "    {}: {stays} stays, and not {other}", about(clash));
    }
}

pub(in crate::cli) fn merge(answer: &MergeAnswer) -> String {
    let mut text =
        format!("{} stays, {} goes into it\n", named(answer.survivor.person.id), named(answer.other.person.id));
    diffs(&mut text, "here", &answer.fields);
    clashes(&mut text, &answer.clashes);
    for (name, value) in &answer.custom {
        let _ = writeln!(text, "    {name}: the survivor's stays, and not {value}");
    }
    if !answer.dropped.is_empty() {
        let _ = writeln!(text, "    no room among the followers for {}", answer.dropped.join(", "));
    }
    for link in &answer.links {
        let address = if link.address.is_empty() { "an address book of somebody else" } else { &link.address };
        let _ = writeln!(text, "    in {address}: {}", word(&link.state));
    }
    if let Some(operation) = &answer.operation {
        let _ = writeln!(text, "done; `contactd undo {operation}` takes it back");
    }
    text
}

fn named(id: impl std::fmt::Display) -> String {
    format!("person {id}")
}

pub(in crate::cli) fn history(rows: &[HistoryRow]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{}  {}, by {}  ({})", time(Some(row.at)), row.why, row.by, row.operation);
        for change in &row.changes {
            let account = change.account.as_ref().map(|account| format!(" in {account}")).unwrap_or_default();
            let does = match change.does.as_str() {
                does @ ("added" | "changed" | "deleted" | "restored" | "removed for good") => format!("was {does}"),
                does => does.to_owned(),
            };
            let _ = writeln!(text, "  {}{account}: {} {does}", change.side, change.name);
            for diff in &change.fields {
                let (before, after) = (value(&diff.value.before), value(&diff.value.after));
                let _ = writeln!(text, "    {}: {before} -> {after}", diff.field);
            }
        }
    }
    if text.is_empty() { "nothing was done\n".to_owned() } else { text }
}

pub(in crate::cli) fn provenance(rows: &[ProvenanceRow]) -> String {
    let row = |p: &ProvenanceRow| {
        [
            p.field.clone(),
            value(&p.value).replace('\n', " / "),
            p.by.clone().unwrap_or_else(|| "unknown".to_owned()),
            p.at.map(|at| time(Some(at))).unwrap_or_default(),
            p.run.map(|run| format!("run {run}")).unwrap_or_default(),
        ]
    };
    or_none(table(["field", "value", "from", "when", ""], rows.iter().map(row)), "it says nothing")
}

pub(in crate::cli) fn duplicates(rows: &[DuplicateShown]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{} in {}, record {}: could be", row.name, row.address, row.remote);
        for one in &row.people {
            let _ = writeln!(text, "    {} ({})", one.name, one.person);
        }
    }
    if text.is_empty() { "no possible duplicates\n".to_owned() } else { text }
}

pub(in crate::cli) fn purged(answer: &PurgeAnswer) -> String {
    let mut text = format!("{} people were removed for good\n", answer.purged);
    for person in &answer.waiting {
        let _ = writeln!(text, "{person} waits for what became of a send, or for the answer to a held deletion");
    }
    text
}

pub(in crate::cli) fn why(rows: &[WhyShown]) -> String {
    let mut text = String::new();
    for row in rows {
        let link = row.link.map(|link| format!(" [{}]", word(&link))).unwrap_or_default();
        let remote = row.remote.as_ref().map(|remote| format!(", record {remote}")).unwrap_or_default();
        let _ = writeln!(text, "{}{link}{remote}: {}", row.address, row.says);
        if !row.does.is_empty() {
            let _ = writeln!(text, "  the next run would: {}", row.does.join(", "));
        }
        for intent in &row.intents {
            let _ = writeln!(text, "  not known yet: {intent}");
        }
        for conflict in &row.conflicts {
            let clash = &conflict.clash;
            let (here, there) = (value(&clash.ours), value(&clash.theirs));
            let side = stands(clash.stands);
            let _ = writeln!(text, "  conflict over {}: here {here}, there {there}, stands: {side}", about(clash));
        }
        for stays in &row.stays {
            let _ = writeln!(text, "  stays here: {} {}: {}", stays.field, value(&stays.value), stays.why);
        }
        for todo in &row.todo {
            let _ = writeln!(text, "  to do: {todo}");
        }
    }
    if text.is_empty() { "it is in no account, and would be sent to none\n".to_owned() } else { text }
}

pub(in crate::cli) fn verified(verified: &VerifiedShown) -> String {
    let mut text = String::new();
    for difference in &verified.differences {
        let person = difference.person.map(|person| format!("person {person}"));
        let record = difference.remote.as_ref().map(|remote| format!("record {remote}"));
        let what: Vec<String> = record.into_iter().chain(person).collect();
        let _ = writeln!(text, "{}: {}", what.join(", "), difference.says);
        diffs(&mut text, "there", &difference.there);
        diffs(&mut text, "here", &difference.here);
    }
    let _ = writeln!(text, "{} records compared, {} differ", verified.compared, verified.differences.len());
    if verified.repaired {
        text += "the run that begins now reads and judges them anew\n";
    }
    text
}
