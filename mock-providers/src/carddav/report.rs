//! The reports on a book: sync-collection, addressbook-multiget, addressbook-query.
//!
//! Owns: `icloud-carddav.md` 3. Must not: change anything.

use super::answer::{Ns, Reply, Writer, status_line};
use super::body::{self, CARD, DAV, Element};
use super::lines::unfold;
use super::names::{Target, read_token, target, token};
use super::propfind::{Resource, Rows, Wanted, is_xml, of_card};
use super::settings::{EmptyToken, MissingHref, Nresults};
use super::world::{Done, Play, Request, World, is_group, plain};
use crate::book::{Change, CursorError, Entry};
use crate::journal::Effect;

/// REPORT (RFC 3253 §3.6).
pub(super) fn serve(world: &World, request: &Request<'_>, who: usize, target: &Target, play: &Play) -> Done {
    if !is_xml(world, request) {
        return plain(Reply::empty(415));
    }
    let Ok(Some(root)) = body::read(request.body) else { return plain(Reply::empty(400)) };
    if world.settings.listing.strict_namespaces && root.mixes_namespaces() {
        return plain(Reply::empty(400));
    }
    match target {
        Target::Book(_) => {}
        Target::Card(..) | Target::Nothing => return plain(Reply::empty(404)),
        Target::Root | Target::WellKnown | Target::Principal(_) | Target::Home(_) => return unsupported(world),
    }
    let rows = Rows::new(world, who, play);
    if root.is(DAV, "sync-collection") && world.settings.sync.supported {
        if request.header("depth").is_some_and(|depth| depth != "0" && depth != "1") {
            return plain(Reply::empty(400));
        }
        sync(&rows, request, &root)
    } else if root.is(CARD, "addressbook-multiget") {
        multiget(&rows, &root)
    } else if root.is(CARD, "addressbook-query") {
        query(&rows, &root)
    } else {
        unsupported(world)
    }
}

fn unsupported(world: &World) -> Done {
    plain(Reply::condition(403, world.settings.xml, Ns::Dav, "supported-report"))
}

/// REPORT sync-collection (RFC 6578 §3.2).
fn sync(rows: &Rows<'_>, request: &Request<'_>, root: &Element) -> Done {
    let (settings, book) = (&rows.world.settings, &rows.owner.book);
    let (rules, dsid) = (settings.sync, rows.owner.login.dsid.as_str());
    let refused = |status: u16| plain(Reply::condition(status, settings.xml, Ns::Dav, "valid-sync-token"));
    let asked = root.child(DAV, "sync-token").map(Element::text).unwrap_or_default();
    let initial = asked.is_empty();
    let since = if initial {
        match rules.empty_token {
            EmptyToken::Refused(400) => return plain(Reply::empty(400)),
            EmptyToken::Refused(status) => return refused(status),
            EmptyToken::Members | EmptyToken::MembersAndTombstones => book.beginning(),
        }
    } else {
        match read_token(rules.uri_tokens, dsid, asked) {
            Some(cursor) => cursor,
            None => return refused(rules.bad_token),
        }
    };
    let limit = root.child(DAV, "limit").and_then(|limit| limit.child(DAV, "nresults"));
    let limit = limit.and_then(|nresults| nresults.text().parse::<usize>().ok());
    if limit.is_some() && rules.nresults == Nresults::Refused {
        return plain(Reply::condition(507, settings.xml, Ns::Dav, "number-of-matches-within-limits"));
    }
    let page = match book.changes(since, rules.page.unwrap_or(usize::MAX)) {
        Ok(page) => page,
        Err(CursorError::Future) if rules.accept_future => match book.changes(book.cursor(), 1) {
            Ok(nothing) => nothing,
            Err(_) => return refused(rules.bad_token),
        },
        Err(_) => return refused(rules.bad_token),
    };
    let next = token(rules.uri_tokens, dsid, page.cursor);
    let most = limit.filter(|_| rules.nresults == Nresults::SilentLoss && !initial).unwrap_or(usize::MAX);
    let most = if rows.play.no_rows { 0 } else { most.min(rows.play.truncate.unwrap_or(usize::MAX)) };

    let mut xml = Writer::new(settings.xml);
    xml.twice = rows.play.twice;
    xml.open(Ns::Dav, "multistatus");
    if settings.xml.token_first {
        xml.leaf(Ns::Dav, "sync-token", &next);
    }
    rows.self_row(&mut xml, Some(root));
    let nothing = Element::default();
    let wanted = Wanted::of(root.child(DAV, "prop").unwrap_or(&nothing), of_card, rules.address_data);
    let tombstones = !initial || rules.empty_token == EmptyToken::MembersAndTombstones;
    let mut listed = 0;
    for change in page.changes.iter().take(most) {
        match change {
            Change::Upsert(entry) if rows.play.no_groups && is_group(entry) => continue,
            Change::Upsert(entry) => rows.row(&mut xml, &rows.href(&entry.id), Resource::Card(entry), &wanted),
            Change::Delete(gone) if tombstones && !rows.play.omit_missing => {
                xml.status_row(&rows.href(&gone.id), 404);
            }
            Change::Delete(_) => continue,
        }
        listed += 1;
    }
    rows.stray_row(&mut xml);
    if page.more {
        xml.begin_row(request.path);
        xml.leaf(Ns::Dav, "status", &status_line(507));
        xml.open(Ns::Dav, "error");
        xml.leaf(Ns::Dav, "number-of-matches-within-limits", "");
        xml.close();
        xml.end_row();
    }
    if !settings.xml.token_first {
        xml.leaf(Ns::Dav, "sync-token", &next);
    }
    (xml.reply(207), vec![Effect::Listed(listed)])
}

/// REPORT addressbook-multiget (RFC 6352 §8.7). `Depth` may be 0, 1 or missing: real clients send each of them.
fn multiget(rows: &Rows<'_>, root: &Element) -> Done {
    let settings = &rows.world.settings;
    let hrefs: Vec<&str> = root.all(DAV, "href").map(Element::text).collect();
    if settings.report.max_hrefs.is_some_and(|most| hrefs.len() > most) {
        return plain(Reply::condition(403, settings.xml, Ns::Dav, "number-of-matches-within-limits"));
    }
    if settings.report.path_hrefs_only && hrefs.iter().any(|href| !href.starts_with('/') || href.starts_with("//")) {
        return plain(Reply::empty(400));
    }
    let nothing = Element::default();
    let wanted = Wanted::of(root.child(DAV, "prop").unwrap_or(&nothing), of_card, true);
    let mut xml = Writer::new(settings.xml);
    xml.twice = rows.play.twice;
    xml.open(Ns::Dav, "multistatus");
    let mut read = 0;
    for href in hrefs.into_iter().take(rows.play.truncate.unwrap_or(usize::MAX)) {
        let found = match target(settings.discovery.layout, path_of(href)) {
            Target::Card(dsid, name) if dsid == rows.owner.login.dsid => rows.owner.book.get(&name),
            _ => None,
        };
        match found {
            Some(entry) if rows.play.no_groups && is_group(entry) => {}
            Some(_) if rows.play.omit_rows => {}
            Some(entry) => {
                rows.row(&mut xml, &rows.href(&entry.id), Resource::Card(entry), &wanted);
                read += 1;
            }
            None if rows.play.omit_missing => {}
            None => match settings.report.missing {
                MissingHref::Row => xml.status_row(href, 404),
                MissingHref::Omitted => {}
                MissingHref::WholeReport => return plain(Reply::empty(404)),
            },
        }
    }
    rows.stray_row(&mut xml);
    (xml.reply(207), vec![Effect::Read(read)])
}

/// The path of an absolute URL, or the path that was given.
fn path_of(href: &str) -> &str {
    let after_scheme = href.strip_prefix("http://").or_else(|| href.strip_prefix("https://"));
    after_scheme.map_or(href, |rest| rest.find('/').map_or("/", |at| &rest[at..]))
}

/// REPORT addressbook-query (RFC 6352 §8.6). Limits and param-filters are ignored, as at iCloud (S:4).
fn query(rows: &Rows<'_>, root: &Element) -> Done {
    let settings = &rows.world.settings;
    let filter = root.child(CARD, "filter");
    if filter.is_none() && settings.report.filter_required {
        return plain(Reply::condition(403, settings.xml, Ns::Card, "supported-filter"));
    }
    let all = settings.report.allof && filter.and_then(|filter| filter.attribute("test")) == Some("allof");
    let tests: Vec<&Element> = filter.into_iter().flat_map(|filter| filter.all(CARD, "prop-filter")).collect();
    let nothing = Element::default();
    let wanted = Wanted::of(root.child(DAV, "prop").unwrap_or(&nothing), of_card, true);
    let mut xml = Writer::new(settings.xml);
    xml.twice = rows.play.twice;
    xml.open(Ns::Dav, "multistatus");
    let mut read = 0;
    for entry in rows.members() {
        let passes = |test: &&Element| passes(test, entry, settings.report.allof);
        let matched = match all {
            _ if tests.is_empty() => true,
            true => tests.iter().all(passes),
            false => tests.iter().any(passes),
        };
        if matched {
            rows.row(&mut xml, &rows.href(&entry.id), Resource::Card(entry), &wanted);
            read += 1;
        }
    }
    (xml.reply(207), vec![Effect::Read(read)])
}

/// Whether a card passes a `prop-filter` (RFC 6352 §10.5.1). Property names are case-sensitive at iCloud (S:4).
fn passes(test: &Element, entry: &Entry, any_case: bool) -> bool {
    let asked = test.attribute("name").unwrap_or_default();
    let name = if any_case { asked.to_ascii_uppercase() } else { asked.to_owned() };
    let values: Vec<String> = match entry.marks.get("uid").filter(|_| name == "UID") {
        Some(uid) => vec![uid.clone()],
        None => {
            unfold(&entry.content).iter().filter(|line| line.name() == name).map(|line| line.value_text()).collect()
        }
    };
    if test.child(CARD, "is-not-defined").is_some() {
        return values.is_empty();
    }
    let texts: Vec<&Element> = test.all(CARD, "text-match").collect();
    let matches = |text: &&Element| {
        let fold = |value: &str| match text.attribute("collation") {
            Some("i;octet") => value.to_owned(),
            _ => value.to_lowercase(),
        };
        let want = fold(text.text());
        let hit = values.iter().map(|value| fold(value)).any(|value| match text.attribute("match-type") {
            Some("equals") => value == want,
            Some("starts-with") => value.starts_with(&want),
            Some("ends-with") => value.ends_with(&want),
            _ => value.contains(&want),
        });
        hit != (text.attribute("negate-condition") == Some("yes"))
    };
    match test.attribute("test") {
        _ if texts.is_empty() => !values.is_empty(),
        Some("allof") if any_case => texts.iter().all(matches),
        _ => texts.iter().any(matches),
    }
}
