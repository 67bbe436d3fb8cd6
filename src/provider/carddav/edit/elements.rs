//! Changes of one element of a list, in place: its value, labels, mark, country code and, for employers, its lines.

use std::borrow::Cow;

use super::sheet::{drop_params, drop_types, replace_parts, type_words};
use super::{Editor, bare, lines_of};
use crate::card::field::{Element, Field, Value};
use crate::card::normalize::tidy_label;
use crate::card::vcard::Version;
use crate::card::vcard::labels::{Word, label_of, of_label, of_type, type_of};
use crate::card::vcard::prop::Prop;
use crate::card::vcard::read::Found;
use crate::card::vcard::text::escape;
use crate::card::vcard::write::Draft;
use crate::card::{Address, Handle, Labels, Organization};

use super::pairing::pair;

/// The parameters that say something about the value, and go when it changes.
pub(super) fn own_params(prop: Prop) -> &'static [&'static str] {
    match prop {
        Prop::Tel | Prop::Related | Prop::Pronouns => &["VALUE"],
        Prop::Bday | Prop::Anniversary | Prop::OldAnniversary | Prop::AppleDate => {
            &["VALUE", "X-APPLE-OMIT-YEAR", "CALSCALE"]
        }
        Prop::Adr => &["CC", "LABEL"],
        Prop::Impp | Prop::OldIm(_) | Prop::SocialProfile | Prop::AppleSocialProfile => &[
            "VALUE",
            "X-SERVICE-TYPE",
            "SERVICE-TYPE",
            "X-USER",
            "USERNAME",
            "X-USERID",
            "X-BUNDLEIDENTIFIERS",
            "X-TEAMIDENTIFIER",
        ],
        Prop::Org => &["SORT-AS"],
        _ => &[],
    }
}

/// Whether the parameters mark the line as preferred.
pub(super) fn is_marked(params: &[String]) -> bool {
    type_words(params).iter().any(|word| word.eq_ignore_ascii_case("pref"))
        || params.iter().any(|param| param.split_once('=').is_some_and(|(name, _)| name.eq_ignore_ascii_case("PREF")))
}

/// Takes the mark away.
pub(super) fn unmark(draft: &mut Draft) {
    drop_types(draft, |word| word.eq_ignore_ascii_case("pref"));
    drop_params(draft, &["PREF"]);
}

impl Editor<'_, '_> {
    /// Makes an element say what it is to say.
    pub(super) fn change(&mut self, found: &Found, new: &Element) {
        let at = found.line;
        if found.element.value != new.value {
            self.value(at, &found.element.value, &new.value);
            found.also.iter().for_each(|twin| self.sheet.remove(*twin));
        }
        if found.element.labels != new.labels {
            self.relabel(&[at], &new.labels);
        }
        self.mark(at, found.element.preferred, new.preferred);
    }

    fn mark(&mut self, at: usize, was: bool, is: bool) {
        if was != is {
            let mark = self.sheet.writer.pref_param();
            let draft = self.sheet.draft(at);
            unmark(draft);
            draft.params.extend(is.then_some(mark));
        }
    }

    fn value(&mut self, at: usize, old: &Value, new: &Value) {
        let line = self.sheet.line(at);
        let prop = line.prop;
        let encoded = self.sheet.writer.encode(prop, bare(line.name()), new);
        if let (Value::Address(old), Value::Address(new)) = (old, new) {
            self.address(at, old, new, encoded.value);
            return;
        }
        // Apple says the service as a type; unless a parameter says it, that word goes.
        let said = line.param("X-SERVICE-TYPE").or_else(|| line.param("SERVICE-TYPE")).is_some();
        if let (Prop::AppleSocialProfile, false, Value::Handle(Handle { service: Some(service), .. })) =
            (prop, said, old)
        {
            drop_types(self.sheet.draft(at), |word| word.eq_ignore_ascii_case(service));
        }
        self.rewrite(at, encoded.params, encoded.value, own_params(prop));
    }

    fn address(&mut self, at: usize, old: &Address, new: &Address, whole: String) {
        let line = self.sheet.line(at);
        let version = self.sheet.writer.version;
        let Address { po_box, extended, street, locality, region, postcode, country, country_code } = new;
        let now = [&old.po_box, &old.extended, &old.street, &old.locality, &old.region, &old.postcode, &old.country];
        let parts: Vec<Option<Cow<'_, str>>> = [po_box, extended, street, locality, region, postcode, country]
            .into_iter()
            .zip(now)
            .map(|(new, old)| (new != old).then(|| Cow::Owned(escape(new.as_deref().unwrap_or_default(), version))))
            .collect();
        if parts.iter().any(Option::is_some) {
            if line.encoded(&["quoted-printable"]) || version == Version::V2 {
                self.rewrite(at, Vec::new(), whole, &["LABEL"]);
            } else {
                let draft = self.sheet.draft(at);
                drop_params(draft, &["LABEL"]);
                draft.value = replace_parts(&draft.value, &parts);
            }
        }
        if *country_code != old.country_code {
            self.country(at, country_code.as_deref());
        }
    }

    /// The country's code: on its own line in Apple's dialect, a parameter in 4.0 (RFC 8605 §3.1).
    fn country(&mut self, at: usize, code: Option<&str>) {
        if self.sheet.line(at).param("CC").is_some() {
            drop_params(self.sheet.draft(at), &["CC"]);
        }
        let group = self.sheet.group(at);
        let lines = group.as_deref().map(|group| self.sheet.details(group, Prop::CountryCode)).unwrap_or_default();
        let Some(code) = code else {
            lines.into_iter().for_each(|at| self.sheet.remove(at));
            return;
        };
        if let Some(first) = lines.first() {
            self.rewrite(*first, Vec::new(), escape(code, self.sheet.writer.version), &[]);
        } else if self.sheet.writer.version == Version::V4 {
            self.sheet.draft(at).params.push(format!("CC={code}"));
        } else {
            let group = self.group_for(&[at]);
            let draft = self.sheet.writer.country_line(&group, code);
            self.sheet.insert(Some(at), [draft]);
        }
    }

    /// The group of an element's lines, for details of it alone; a new one where they have none.
    fn group_for(&mut self, lines: &[usize]) -> String {
        let now: Vec<Option<String>> = lines.iter().map(|at| self.sheet.group(*at)).collect();
        if let Some(Some(group)) = now.first()
            && now.iter().all(|of| of.as_deref() == Some(group))
            && !self.sheet.is_shared(group, lines)
        {
            return group.clone();
        }
        let group = self.sheet.writer.next_group();
        for at in lines {
            self.sheet.draft(*at).group = Some(group.clone());
        }
        group
    }

    /// Makes the labels of an element's lines these: words that still hold stay as they are.
    fn relabel(&mut self, lines: &[usize], labels: &Labels) {
        let Some(first) = lines.first().copied() else { return };
        let prop = self.sheet.line(first).prop;
        let mut covered = Labels::default();
        for at in lines {
            let params = self.sheet.params(*at);
            let mut service = prop == Prop::AppleSocialProfile
                && !params.iter().any(|param| param.to_ascii_uppercase().starts_with("X-SERVICE-TYPE="));
            let mut gone = Vec::new();
            for word in type_words(&params) {
                match of_type(prop, word) {
                    Word::Label(label) if service && !matches!(&*label, "home" | "work") => service = false,
                    Word::Label(label) if labels.contains(&tidy_label(&label)) => covered.insert(&tidy_label(&label)),
                    Word::Label(_) => gone.push(word.to_owned()),
                    Word::Preferred | Word::Nothing => {}
                }
            }
            if !gone.is_empty() {
                drop_types(self.sheet.draft(*at), |word| gone.iter().any(|gone| gone == word));
            }
        }
        // Texts that still hold stay; others give their place to new ones.
        let mut texts = match self.sheet.group(first) {
            Some(group) => self.sheet.details(&group, Prop::Label),
            None => Vec::new(),
        };
        let shared = self.sheet.group(first).is_some_and(|group| self.sheet.is_shared(&group, lines));
        if shared && !texts.is_empty() {
            // They are another element's too, and stay with it.
            self.group_for(lines);
            texts.clear();
        }
        let mut spare = Vec::new();
        for at in texts {
            let says: Vec<String> = of_label(&self.sheet.line(at).text(self.sheet.writer.version));
            let says: Vec<String> = says.iter().map(|label| tidy_label(label)).collect();
            if says.iter().all(|label| labels.contains(label) || label.is_empty()) {
                says.iter().for_each(|label| covered.insert(label));
            } else {
                spare.push(at);
            }
        }
        let mut missing = Vec::new();
        for label in labels.iter().filter(|label| !covered.contains(label)) {
            match type_of(prop, label, self.sheet.writer.version) {
                Some(word) => {
                    let param = self.sheet.writer.type_param(word);
                    self.sheet.draft(first).params.push(param);
                }
                None => missing.push(label_of(label, self.sheet.writer.version)),
            }
        }
        let mut spare = spare.into_iter();
        for text in missing {
            if let Some(at) = spare.next() {
                self.rewrite(at, Vec::new(), escape(&text, self.sheet.writer.version), &[]);
            } else {
                let group = self.group_for(lines);
                let draft = self.sheet.writer.label_line(&group, &text);
                self.sheet.insert(lines.iter().max().copied(), [draft]);
            }
        }
        spare.for_each(|at| self.sheet.remove(at));
    }

    /// Employers: several lines each, which belong together by their group, or by being the only ones.
    pub(super) fn organizations(&mut self) {
        let old = self.found(Field::Organizations);
        let new = self.target.get(Field::Organizations).into_elements();
        let before: Vec<Element> = old.iter().map(|found| found.element.clone()).collect();
        let pairs = pair(Field::Organizations, &before, &new);
        let behind = old.last().and_then(|last| self.sheet.end_of(&lines_of(last)));
        let crowded = new.len() > 1;
        for (found, to) in old.iter().zip(&pairs) {
            let lines = lines_of(found);
            match to {
                None => self.sheet.remove_element(&lines),
                Some(to) => self.organization(found, &new[*to], crowded),
            }
        }
        self.settle_marks(&old, &new);
        for (at, element) in new.iter().enumerate() {
            if !pairs.contains(&Some(at)) {
                let drafts = self.sheet.writer.element(Field::Organizations, element, crowded);
                self.sheet.insert(behind, drafts);
            }
        }
    }

    fn organization(&mut self, found: &Found, new: &Element, crowded: bool) {
        let (Value::Organization(was), Value::Organization(is)) = (&found.element.value, &new.value) else { return };
        let lines = lines_of(found);
        let mut live = lines.clone();
        let mut added: Vec<Draft> = Vec::new();
        let written = self.sheet.writer.organization(is);
        for prop in [Prop::Org, Prop::Title, Prop::Role, Prop::PhoneticOrg] {
            if part(was, prop) == part(is, prop) {
                continue;
            }
            let at = lines.iter().copied().find(|at| self.sheet.line(*at).prop == prop);
            let draft = written.iter().find(|(of, _)| *of == prop).map(|(_, draft)| draft.clone());
            match (at, draft) {
                (Some(at), Some(draft)) => self.rewrite(at, draft.params, draft.value, own_params(prop)),
                (Some(at), None) => live.retain(|line| *line != at),
                (None, Some(draft)) => added.push(draft),
                (None, None) => {}
            }
        }
        if live.is_empty() {
            // Nothing of it stays where it was: it is another one in its place.
            self.sheet.remove_element(&lines);
            let drafts = self.sheet.writer.element(Field::Organizations, new, crowded);
            self.sheet.insert(Some(found.line), drafts);
            return;
        }
        if crowded {
            self.group_for(&live);
        }
        if found.element.labels != new.labels || live.len() < lines.len() {
            self.relabel(&live, &new.labels);
        }
        let marked = live.iter().any(|at| is_marked(&self.sheet.params(*at)));
        if marked != new.preferred {
            if new.preferred {
                self.mark(live[0], false, true);
            } else {
                live.iter().for_each(|at| self.mark(*at, true, false));
            }
        }
        lines.iter().filter(|at| !live.contains(at)).for_each(|at| self.sheet.remove(*at));
        let group = self.sheet.group(live[0]);
        added.iter_mut().for_each(|draft| draft.group.clone_from(&group));
        self.sheet.insert(live.iter().max().copied(), added);
    }
}

/// What of an organization stands on the line of that property.
fn part(organization: &Organization, prop: Prop) -> [Option<&str>; 2] {
    let Organization { company, department, title, role, phonetic } = organization;
    match prop {
        Prop::Org => [company.as_deref(), department.as_deref()],
        Prop::Title => [title.as_deref(), None],
        Prop::Role => [role.as_deref(), None],
        _ => [phonetic.as_deref(), None],
    }
}
