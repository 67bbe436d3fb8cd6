//! From what is stored to what is shown.
//!
//! Owns: the conversions into [`super::types`]. Must not: read the store.

use super::caller::Caller;
use super::types::{
    AccountShown, CountedShown, CountsShown, GroupShown, PersonShown, PreviewRow, PreviewShown, TallyShown, UserShown,
};
use crate::card::normalize::display_name;
use crate::crm::person::Person;
use crate::crm::users::User;
use crate::engine::{Preview, Previewed};
use crate::ids::{GroupId, Timestamp};
use crate::store::{Account, AccountState, Counted, Counts, Recent, Tally};

pub(super) fn user(user: &User, caller: &Caller) -> UserShown {
    UserShown {
        id: user.id,
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.map(|r| caller.directory.roles.get(&r).map_or_else(|| r.to_string(), |r| r.name.clone())),
        admin: user.admin,
        restricted: user.restricted,
        sees_followed_users: user.sees_followed_users,
        active: user.active,
    }
}

pub(super) fn account(account: &Account, next: Option<Timestamp>, caller: &Caller) -> AccountShown {
    let reason = match &account.state {
        AccountState::Paused { reason } | AccountState::Reconnect { reason } | AccountState::Error { reason } => {
            Some(reason.clone())
        }
        AccountState::Setup | AccountState::Active | AccountState::Removed => None,
    };
    AccountShown {
        id: account.id,
        user: account.user,
        user_name: caller.name_of(account.user),
        provider: account.provider.clone(),
        address: account.address.clone(),
        state: account.state.word().to_owned(),
        reason,
        settings: account.settings.clone(),
        group: None,
        created: account.created,
        synced: account.synced,
        next,
    }
}

pub(super) fn person(person: Person, caller: &Caller) -> PersonShown {
    PersonShown {
        owner_name: caller.name_of(person.owner),
        follower_names: person.followers.iter().map(|user| caller.name_of(*user)).collect(),
        links: Vec::new(),
        seen_by: Vec::new(),
        provenance: Vec::new(),
        person,
    }
}

/// The name by which a person is listed.
pub(super) fn name(person: &Person) -> String {
    person.card.display.clone().or_else(|| display_name(&person.card)).unwrap_or_else(|| "(no name)".to_owned())
}

pub(super) fn group(id: GroupId, name: String, size: Option<u64>) -> GroupShown {
    GroupShown { id, name, size }
}

fn counts(counts: Counts) -> CountsShown {
    CountsShown { added: counts.added, updated: counts.updated, deleted: counts.deleted }
}

pub(super) fn tally(tally: Tally) -> TallyShown {
    TallyShown {
        here: counts(tally.local),
        there: counts(tally.remote),
        conflicts: tally.conflicts,
        held: tally.held,
        failed: tally.failed,
    }
}

pub(super) fn counted(counted: &Counted) -> CountedShown {
    let [day, week, month] = counted.recent.map(|Recent { local, remote }| [counts(local), counts(remote)]);
    CountedShown {
        in_sync: counted.in_sync,
        day,
        week,
        month,
        conflicts: counted.conflicts,
        held: counted.held,
        failures: counted.failures,
        duplicates: counted.duplicates,
    }
}

pub(super) fn preview(preview: Preview) -> PreviewShown {
    let row = |row: Previewed| PreviewRow {
        name: row.name,
        person: row.person,
        remote: row.remote,
        does: row.does,
        here: row.here,
        there: row.there,
        clashes: row.clashes,
        waits: row.waits,
    };
    PreviewShown {
        here: CountsShown { added: preview.added_here, updated: preview.updated_here, deleted: preview.deleted_here },
        there: CountsShown {
            added: preview.added_there,
            updated: preview.updated_there,
            deleted: preview.deleted_there,
        },
        linked: preview.linked,
        conflicts: preview.conflicts,
        undecided: preview.undecided,
        held: preview.held,
        rows: preview.rows.into_iter().map(row).collect(),
    }
}
