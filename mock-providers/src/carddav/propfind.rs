//! PROPFIND and the properties of everything that has some; PROPPATCH, which changes none.
//!
//! Owns: which resource has which property (`icloud-carddav.md` 2.2). Must not: change anything.

use super::answer::{Ns, Reply, Writer, status_line};
use super::body::{self, CARD, CS, DAV, Element, Name};
use super::names::{Target, book_path, encode_onto, home_path, principal_path, token};
use super::settings::SelfRow;
use super::world::{Done, Owner, Play, Request, World, http_date, is_group, plain};
use crate::book::Entry;
use crate::journal::Effect;

/// A property that something here has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prop {
    ResourceType,
    DisplayName,
    Principal,
    PrincipalUrl,
    Owner,
    HomeSet,
    Ctag,
    SyncToken,
    Reports,
    Privileges,
    AddressTypes,
    MaxSize,
    Etag,
    ContentType,
    ContentLength,
    Modified,
    /// The card itself, in reports only.
    AddressData,
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    Root,
    Principal,
    Home,
    Book,
    Card(&'a Entry),
}

/// All properties by name.
const NAMES: [(Prop, Ns, &str); 16] = [
    (Prop::ResourceType, Ns::Dav, "resourcetype"),
    (Prop::DisplayName, Ns::Dav, "displayname"),
    (Prop::Principal, Ns::Dav, "current-user-principal"),
    (Prop::PrincipalUrl, Ns::Dav, "principal-URL"),
    (Prop::Owner, Ns::Dav, "owner"),
    (Prop::HomeSet, Ns::Card, "addressbook-home-set"),
    (Prop::Ctag, Ns::Cs, "getctag"),
    (Prop::SyncToken, Ns::Dav, "sync-token"),
    (Prop::Reports, Ns::Dav, "supported-report-set"),
    (Prop::Privileges, Ns::Dav, "current-user-privilege-set"),
    (Prop::AddressTypes, Ns::Card, "supported-address-data"),
    (Prop::MaxSize, Ns::Card, "max-resource-size"),
    (Prop::Etag, Ns::Dav, "getetag"),
    (Prop::ContentType, Ns::Dav, "getcontenttype"),
    (Prop::ContentLength, Ns::Dav, "getcontentlength"),
    (Prop::Modified, Ns::Dav, "getlastmodified"),
];

/// What a client wants to know, sorted into what there is and what there is not.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    found: Vec<Prop>,
    missing: Vec<&'a Name>,
    names_only: bool,
}

impl<'a> Wanted<'a> {
    /// Reads `prop`, `allprop` or `propname` (RFC 4918 §14.20); nothing at all is `allprop`.
    fn read(root: Option<&'a Element>, has: impl Fn(Prop) -> bool) -> Self {
        let prop = root.and_then(|root| root.child(DAV, "prop"));
        let names_only = root.is_some_and(|root| root.child(DAV, "propname").is_some());
        match prop {
            Some(prop) => Self::of(prop, has, false),
            None => Self {
                found: NAMES.map(|row| row.0).into_iter().filter(|one| has(*one)).collect(),
                missing: Vec::new(),
                names_only,
            },
        }
    }

    /// Sorts the children of a `prop`; reports may ask for the card itself.
    pub(super) fn of(prop: &'a Element, has: impl Fn(Prop) -> bool, data: bool) -> Self {
        let mut wanted = Self { found: Vec::new(), missing: Vec::new(), names_only: false };
        for child in &prop.children {
            let uri = |ns: Ns| match ns {
                Ns::Dav => DAV,
                Ns::Card => CARD,
                Ns::Cs => CS,
            };
            let known = NAMES.iter().find(|(_, ns, name)| child.is(uri(*ns), name)).map(|row| row.0);
            let known = known.or_else(|| (data && child.is(CARD, "address-data")).then_some(Prop::AddressData));
            match known.filter(|one| *one == Prop::AddressData || has(*one)) {
                Some(one) => wanted.found.push(one),
                None => wanted.missing.push(&child.name),
            }
        }
        wanted
    }
}

/// Whether cards have a property.
pub(super) fn of_card(prop: Prop) -> bool {
    use Prop::{ContentLength, ContentType, Etag, Modified, Principal, Privileges, ResourceType};
    matches!(prop, ResourceType | Principal | Privileges | Etag | ContentType | ContentLength | Modified)
}

/// What rows are written from.
pub(super) struct Rows<'a> {
    pub(super) world: &'a World,
    pub(super) owner: &'a Owner,
    pub(super) play: &'a Play,
    book: String,
    origin: &'a str,
}

impl<'a> Rows<'a> {
    pub(super) fn new(world: &'a World, who: usize, play: &'a Play) -> Self {
        let owner = &world.owners[who];
        let absolute = world.settings.xml.absolute_hrefs;
        let origin = if absolute { world.partitions[owner.partition].url.as_str() } else { "" };
        let book = format!("{origin}{}", book_path(world.settings.discovery.layout, &owner.login.dsid));
        Self { world, owner, play, book, origin }
    }

    /// The href of a card.
    pub(super) fn href(&self, name: &str) -> String {
        let mut href = String::with_capacity(self.book.len() + name.len() + 8);
        href.push_str(&self.book);
        encode_onto(&mut href, name, self.world.settings.xml.encode_at);
        href
    }

    /// The href of the book.
    pub(super) fn book_href(&self) -> &str {
        &self.book
    }

    /// Whether a resource has a property.
    fn has(&self, resource: Resource<'_>, prop: Prop) -> bool {
        use Prop::{
            AddressTypes, Ctag, DisplayName, Etag, HomeSet, MaxSize, PrincipalUrl, Privileges, Reports, SyncToken,
        };
        let settings = &self.world.settings;
        match (resource, prop) {
            (_, Prop::ResourceType | Prop::Principal) => true,
            (Resource::Root, _) => false,
            (Resource::Principal, prop) => matches!(prop, DisplayName | HomeSet | PrincipalUrl),
            (Resource::Home, prop) => matches!(prop, DisplayName | HomeSet | Privileges | Prop::Owner),
            (Resource::Book, MaxSize) => settings.limits.advertise,
            (Resource::Book, SyncToken) => settings.sync.supported,
            (Resource::Book, Etag) => settings.listing.self_row == SelfRow::Slashless,
            (Resource::Book, prop) => {
                matches!(prop, DisplayName | Ctag | Reports | Privileges | AddressTypes | Prop::Owner)
            }
            (Resource::Card(_), prop) => of_card(prop),
        }
    }

    /// Writes a row with what there is and what there is not.
    pub(super) fn row(&self, xml: &mut Writer, href: &str, resource: Resource<'_>, wanted: &Wanted<'_>) {
        if let Some(status) = self.play.row_status.filter(|_| matches!(resource, Resource::Card(_))) {
            return xml.status_row(href, status);
        }
        xml.begin_row(href);
        if self.world.settings.xml.row_status {
            xml.leaf(Ns::Dav, "status", &status_line(201));
        }
        if !wanted.found.is_empty() || wanted.missing.is_empty() {
            xml.propstat(200, |xml| {
                for prop in &wanted.found {
                    if wanted.names_only {
                        let name = NAMES.iter().find(|row| row.0 == *prop);
                        name.into_iter().for_each(|(_, ns, name)| xml.leaf(*ns, name, ""));
                    } else {
                        self.value(xml, resource, *prop);
                    }
                }
            });
        }
        if !wanted.missing.is_empty() {
            xml.propstat(404, |xml| wanted.missing.iter().for_each(|name| xml.echo(name)));
        }
        xml.end_row();
    }

    /// The book's row among its members, if it has one there (fact 2).
    pub(super) fn self_row(&self, xml: &mut Writer, root: Option<&Element>) {
        let wanted = Wanted::read(root, |prop| self.has(Resource::Book, prop));
        let book = self.book_href();
        let href = match self.world.settings.listing.self_row {
            SelfRow::Slashless => book.trim_end_matches('/'),
            SelfRow::Slash => book,
            SelfRow::Absent => return,
        };
        self.row(xml, href, Resource::Book, &wanted);
    }

    /// A row of another collection, if the fault says so.
    pub(super) fn stray_row(&self, xml: &mut Writer) {
        if self.play.stray_row {
            xml.begin_row("/elsewhere/carddavhome/card/stray.vcf");
            xml.propstat(200, |xml| xml.leaf(Ns::Dav, "getetag", "\"stray\""));
            xml.end_row();
        }
    }

    /// The members that a listing shows, faults included.
    pub(super) fn members(&self) -> impl Iterator<Item = &'a Entry> {
        let play = self.play;
        let most = if play.no_rows { 0 } else { play.truncate.unwrap_or(usize::MAX) };
        self.owner.book.list_all().filter(move |entry| !play.no_groups || !is_group(entry)).take(most)
    }

    /// The current version of the book, for `getctag` and its own etag.
    fn version(&self) -> String {
        let cursor = self.owner.book.cursor();
        format!("c{}-{}", cursor.generation, cursor.revision)
    }

    fn href_in(xml: &mut Writer, ns: Ns, name: &'static str, href: &str) {
        xml.open(ns, name);
        xml.leaf(Ns::Dav, "href", href);
        xml.close();
    }

    /// Writes one property.
    fn value(&self, xml: &mut Writer, resource: Resource<'_>, prop: Prop) {
        let settings = &self.world.settings;
        let (layout, dsid) = (settings.discovery.layout, self.owner.login.dsid.as_str());
        let principal = || format!("{}{}", self.origin, principal_path(layout, dsid));
        match (prop, resource) {
            (Prop::ResourceType, Resource::Card(_)) => xml.leaf(Ns::Dav, "resourcetype", ""),
            (Prop::ResourceType, _) => {
                xml.open(Ns::Dav, "resourcetype");
                xml.leaf(Ns::Dav, "collection", "");
                match resource {
                    Resource::Book => xml.leaf(Ns::Card, "addressbook", ""),
                    Resource::Principal => xml.leaf(Ns::Dav, "principal", ""),
                    Resource::Root | Resource::Home | Resource::Card(_) => {}
                }
                xml.close();
            }
            (Prop::DisplayName, Resource::Book) => xml.leaf(Ns::Dav, "displayname", "card"),
            (Prop::DisplayName, _) => xml.leaf(Ns::Dav, "displayname", &self.owner.login.user),
            (Prop::Principal, _) if !settings.discovery.principal_at_root && matches!(resource, Resource::Root) => {
                xml.open(Ns::Dav, "current-user-principal");
                xml.leaf(Ns::Dav, "unauthenticated", "");
                xml.close();
            }
            (Prop::Principal, _) => Self::href_in(xml, Ns::Dav, "current-user-principal", &principal()),
            (Prop::PrincipalUrl, _) => Self::href_in(xml, Ns::Dav, "principal-URL", &principal()),
            (Prop::Owner, _) => Self::href_in(xml, Ns::Dav, "owner", &principal()),
            (Prop::HomeSet, _) => {
                let path = home_path(layout, dsid);
                let absolute = settings.discovery.home_set_absolute;
                let origin = match (absolute, settings.discovery.partition_dead) {
                    (false, _) => "",
                    (true, false) => self.world.partitions[self.owner.partition].url.as_str(),
                    // No one may listen there.
                    (true, true) => "http://127.0.0.1:1",
                };
                Self::href_in(xml, Ns::Card, "addressbook-home-set", &format!("{origin}{path}"));
            }
            (Prop::Ctag, _) => xml.leaf(Ns::Cs, "getctag", &self.version()),
            (Prop::SyncToken, _) => {
                let text = token(settings.sync.uri_tokens, dsid, self.owner.book.cursor());
                xml.leaf(Ns::Dav, "sync-token", &text);
            }
            (Prop::Reports, _) => self.reports(xml),
            (Prop::Privileges, _) => {
                let names: &[&'static str] = match settings.listing.read_only {
                    true => &["read", "read-current-user-privilege-set"],
                    false => &["all", "read", "write", "write-properties", "write-content", "bind", "unbind"],
                };
                xml.open(Ns::Dav, "current-user-privilege-set");
                for name in names {
                    xml.open(Ns::Dav, "privilege");
                    xml.leaf(Ns::Dav, name, "");
                    xml.close();
                }
                xml.close();
            }
            (Prop::AddressTypes, _) => {
                xml.open(Ns::Card, "supported-address-data");
                let attributes = [("content-type", "text/vcard"), ("version", "3.0")];
                xml.leaf_with(Ns::Card, "address-data-type", &attributes, "");
                xml.close();
            }
            (Prop::MaxSize, _) => xml.leaf(Ns::Card, "max-resource-size", &settings.limits.card_bytes.to_string()),
            (Prop::Etag, Resource::Card(entry)) => {
                let etag = self.play.etag(&entry.etag);
                etag.into_iter().for_each(|etag| xml.leaf(Ns::Dav, "getetag", &etag));
            }
            (Prop::Etag, _) => xml.leaf(Ns::Dav, "getetag", &format!("\"{}\"", self.version())),
            (Prop::ContentType, _) => xml.leaf(Ns::Dav, "getcontenttype", "text/vcard; charset=utf-8"),
            (Prop::ContentLength, Resource::Card(entry)) => {
                xml.leaf(Ns::Dav, "getcontentlength", &entry.content.len().to_string());
            }
            (Prop::Modified, Resource::Card(entry)) => {
                xml.leaf(Ns::Dav, "getlastmodified", &http_date(entry.modified));
            }
            (Prop::AddressData, Resource::Card(entry)) => xml.bytes(Ns::Card, "address-data", &entry.content),
            (Prop::ContentLength | Prop::Modified | Prop::AddressData, _) => {}
        }
    }

    fn reports(&self, xml: &mut Writer) {
        let sync = self.world.settings.sync.supported.then_some((Ns::Dav, "sync-collection"));
        xml.open(Ns::Dav, "supported-report-set");
        let always = [(Ns::Card, "addressbook-multiget"), (Ns::Card, "addressbook-query")];
        for (ns, name) in sync.into_iter().chain(always) {
            xml.open(Ns::Dav, "supported-report");
            xml.open(Ns::Dav, "report");
            xml.leaf(ns, name, "");
            xml.close();
            xml.close();
        }
        xml.close();
    }
}

/// Whether a request's body has the content type that a strict server wants.
pub(super) fn is_xml(world: &World, request: &Request<'_>) -> bool {
    let kind = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    !world.settings.listing.xml_content_type || kind.contains("xml")
}

/// PROPFIND (RFC 4918 §9.1). A missing `Depth` is taken as 0, not as infinity: UNVERIFIED for iCloud, but tsdav sends none.
pub(super) fn serve(world: &World, request: &Request<'_>, who: usize, target: &Target, play: &Play) -> Done {
    if !is_xml(world, request) {
        return plain(Reply::empty(415));
    }
    let Ok(root) = body::read(request.body) else { return plain(Reply::empty(400)) };
    if root.as_ref().is_some_and(|root| !root.is(DAV, "propfind")) {
        return plain(Reply::empty(400));
    }
    let collection = matches!(target, Target::Home(_) | Target::Book(_));
    let deep = match request.header("depth").map(str::to_ascii_lowercase).as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some("infinity") if collection && world.settings.listing.finite_depth => {
            return plain(Reply::condition(403, world.settings.xml, Ns::Dav, "propfind-finite-depth"));
        }
        Some("infinity") => true,
        Some(_) => return plain(Reply::empty(400)),
    };
    let rows = Rows::new(world, who, play);
    let root = root.as_ref();
    let mut xml = Writer::new(world.settings.xml);
    xml.twice = play.twice;
    xml.open(Ns::Dav, "multistatus");
    let mut listed = 0;
    let one = |xml: &mut Writer, href: &str, resource: Resource<'_>| {
        rows.row(xml, href, resource, &Wanted::read(root, |prop| rows.has(resource, prop)));
    };
    match target {
        Target::Root | Target::WellKnown => one(&mut xml, request.path, Resource::Root),
        Target::Principal(_) => one(&mut xml, request.path, Resource::Principal),
        Target::Home(_) => {
            one(&mut xml, request.path, Resource::Home);
            if deep {
                one(&mut xml, rows.book_href(), Resource::Book);
            }
        }
        Target::Book(_) if deep => {
            rows.self_row(&mut xml, root);
            let wanted = Wanted::read(root, of_card);
            for entry in rows.members() {
                rows.row(&mut xml, &rows.href(&entry.id), Resource::Card(entry), &wanted);
                listed += 1;
            }
            rows.stray_row(&mut xml);
        }
        Target::Book(_) => one(&mut xml, request.path, Resource::Book),
        Target::Card(_, name) => match rows.owner.book.get(name) {
            Some(entry) => one(&mut xml, &rows.href(name), Resource::Card(entry)),
            None => return plain(Reply::empty(404)),
        },
        Target::Nothing => return plain(Reply::empty(404)),
    }
    (xml.reply(207), if listed > 0 { vec![Effect::Listed(listed)] } else { Vec::new() })
}

/// PROPPATCH: nothing can be set; on what is not there iCloud answers 200 and names nothing (S:5).
pub(super) fn patch(world: &World, request: &Request<'_>, target: &Target) -> Reply {
    let Ok(root) = body::read(request.body) else { return Reply::empty(400) };
    let mut xml = Writer::new(world.settings.xml);
    xml.open(Ns::Dav, "multistatus");
    xml.begin_row(request.path);
    match target {
        Target::Nothing => xml.propstat(200, |_| {}),
        _ => xml.propstat(403, |xml| {
            let actions = root.iter().flat_map(|root| &root.children);
            let props = actions.filter_map(|action| action.child(DAV, "prop")).flat_map(|prop| &prop.children);
            props.for_each(|prop| xml.echo(&prop.name));
        }),
    }
    xml.end_row();
    xml.reply(207)
}
