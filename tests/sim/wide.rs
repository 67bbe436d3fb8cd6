//! The second generator of histories: several daemons, runs that are left and gone on with between any two awaits, changes
//! of settings, rights and accounts, backups, and more of what providers do.

use contactd::card::field::Field;
use contactd::crm::person::VisibleTo;
use contactd::sync::settings::{DeletePolicy, Flow, GuardSettings, Push, Settings};
use serde::{Deserialize, Serialize};

use super::history::{self, History, Setup, Step};
use super::kinds;
use super::rng::Rng;

/// One thing that happens, beyond what the first generator knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wide {
    /// A run begins, and is left after so many polls.
    Start { site: usize, second: bool, polls: usize },
    /// A run that was left goes on.
    Go { which: usize, polls: usize },
    /// A run that was left goes on to its end.
    Finish { which: usize },
    /// A daemon dies wherever its runs stand.
    Crash { second: bool },
    /// A whole run by the second daemon.
    Second { site: usize },
    /// One setting changes.
    Settings { site: usize, what: usize },
    /// One-way becomes two-way, or the other way round.
    Direction { site: usize, push: bool },
    /// The sync group changes.
    Regroup { site: usize },
    /// A field flows otherwise.
    Map { site: usize, field: usize, flow: usize },
    /// An account is paused, resumed, removed or added again.
    Account { site: usize, what: usize },
    /// A person goes to another owner.
    Owner { who: usize, user: usize },
    /// A person is visible to others than before.
    See { who: usize, what: usize },
    /// A user follows a person, or no longer does.
    Follow { who: usize, user: usize },
    /// Somebody goes into the trash by the hand of whoever may see them.
    TrashBy { who: usize, user: usize },
    /// A user has another role.
    Role { user: usize, role: usize },
    /// A user has other rights.
    Rights { user: usize, bits: usize },
    /// A user follows another user, or no longer does.
    FollowUser { user: usize, other: usize },
    /// A role is placed elsewhere in the tree.
    Reorganise { role: usize, parent: usize },
    /// The trash is purged of what is so old.
    Purge { days: i64 },
    /// The store is copied.
    Backup,
    /// The copy is put back.
    Restore,
    /// Reads lag behind writes, as far as the provider admits.
    Lag { site: usize, part: i64 },
    /// A record has a new version, and the same content.
    Touch { site: usize, which: usize },
    /// A user makes one record of two.
    MergeThere { site: usize, which: usize, other: usize },
    /// Many records are deleted at once.
    Mass { site: usize, from: usize, n: usize },
    /// A foreign syncer copies what changed between two sites.
    Bridge { one: usize, other: usize },
    /// A held deletion is confirmed or rejected.
    Answer { which: usize, yes: bool },
    /// The clock is set back.
    ClockBack { minutes: i64 },
    /// The next create is refused.
    RefuseCreate { site: usize },
    /// The next listing is cut short.
    CutListing { site: usize },
    /// The sign-in is revoked, or given anew.
    Revoke { site: usize },
    /// The server is away for some requests.
    Away { site: usize, requests: u32 },
    /// The group cards are left out of the next full listing.
    HideGroups { site: usize },
    /// The next search for a token misses what is there.
    MissFind { site: usize },
    /// A daemon stalls in a run, past its lease, while the other one takes over; then it goes on.
    Stall { site: usize, polls: usize },
    /// A run writes a value just when its user there writes another one.
    Race { site: usize, who: usize, polls: usize },
    /// Fetches answer nothing for longer than anybody waits.
    Unshown { site: usize },
    /// A record becomes something that cannot be read, or a contact again.
    Garble { site: usize, which: usize },
    /// The next picture is not taken: for now, or not at all.
    RefusePicture { site: usize, late: bool },
    /// The next write comes twice.
    Repeat { site: usize },
    /// A device puts back what was deleted there.
    Return { site: usize },
    /// A user writes down there a person whom it sees here.
    Copy { site: usize, who: usize },
    /// Something is undone; and that again.
    Undo { which: usize, what: usize, again: bool },
    /// Two people become one; and two again.
    MergeHere { who: usize, other: usize, undone: bool },
    /// A conflict is dealt with.
    Resolve { which: usize, how: usize },
    /// A possible duplicate is merged or dismissed.
    Duplicate { site: usize, which: usize, merge: bool },
    /// An account is verified and repaired.
    Verify { site: usize },
    /// A person whose links rest goes on.
    Resume { who: usize },
}

impl Wide {
    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "step: a run begins and is left",
            Self::Go { .. } => "step: a run goes on",
            Self::Finish { .. } => "step: a run goes on to its end",
            Self::Crash { .. } => "step: a daemon dies anywhere",
            Self::Second { .. } => "step: the second daemon syncs",
            Self::Settings { .. } => "step: settings",
            Self::Direction { .. } => "step: direction",
            Self::Regroup { .. } => "step: sync group",
            Self::Map { .. } => "step: mapping",
            Self::Account { .. } => "step: account",
            Self::Owner { .. } => "step: owner",
            Self::See { .. } => "step: visible to",
            Self::Follow { .. } => "step: follower",
            Self::Role { .. } => "step: role",
            Self::Rights { .. } => "step: rights",
            Self::FollowUser { .. } => "step: follows a user",
            Self::Reorganise { .. } => "step: tree of roles",
            Self::Purge { .. } => "step: purge",
            Self::Backup => "step: backup",
            Self::Restore => "step: restore",
            Self::Lag { .. } => "step: lag",
            Self::Touch { .. } => "step: a version without a change",
            Self::MergeThere { .. } => "step: merge there",
            Self::Mass { .. } => "step: many deleted there",
            Self::Bridge { .. } => "step: a foreign syncer",
            Self::Answer { .. } => "step: an answer to a held deletion",
            Self::ClockBack { .. } => "step: the clock is set back",
            Self::RefuseCreate { .. } => "step: refuse a create",
            Self::CutListing { .. } => "step: cut a listing",
            Self::Revoke { .. } => "step: revoke the sign-in",
            Self::Away { .. } => "step: the server is away",
            Self::HideGroups { .. } => "step: hide group cards",
            Self::MissFind { .. } => "step: a search misses",
            Self::Stall { .. } => "step: a daemon stalls",
            Self::Race { .. } => "step: both write at once",
            Self::Unshown { .. } => "step: fetches answer nothing for long",
            Self::TrashBy { .. } => "step: trash by a colleague",
            Self::Garble { .. } => "step: a record cannot be read",
            Self::RefusePicture { .. } => "step: refuse a picture",
            Self::Repeat { .. } => "step: a write comes twice",
            Self::Return { .. } => "step: a device brings back what was deleted",
            Self::Copy { .. } => "step: a person is written down there too",
            Self::Undo { .. } => "step: undo",
            Self::MergeHere { .. } => "step: merge here",
            Self::Resolve { .. } => "step: resolve a conflict",
            Self::Duplicate { .. } => "step: a possible duplicate",
            Self::Verify { .. } => "step: verify",
            Self::Resume { .. } => "step: resume",
        }
    }
}

/// How many roles there are.
pub const ROLES: usize = 3;

impl History {
    /// As the second generator makes it.
    pub fn wide(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed_0002);
        let mut users = 1 + rng.below(4);
        // Some histories are about one thing more than about others.
        let theme = Theme::of(rng.below(12));
        if theme == Theme::Access {
            users = users.max(2);
        }
        let site = |rng: &mut Rng| (rng.below(users), rng.below(kinds::ALL.len()), settings(rng));
        let mut sites: Vec<_> = (0..1 + rng.below(3) + rng.below(2) * rng.below(4)).map(|_| site(&mut rng)).collect();
        if theme == Theme::Bridge && sites.len() < 2 {
            sites.push(site(&mut rng));
        }
        if theme == Theme::Guard {
            for (_, _, settings) in &mut sites {
                settings.guard = GuardSettings { on: true, at_least: rng.below(3) as u32, percent: 10 };
                settings.deletes = [DeletePolicy::Propagate, DeletePolicy::Ask][rng.below(2)];
            }
        }
        if theme == Theme::Access {
            for (_, _, settings) in &mut sites {
                settings.visible_to =
                    [VisibleTo::Company, VisibleTo::OwnerRole, VisibleTo::OwnerAndFollowers][rng.below(3)];
            }
        }
        let rights = (0..users).map(|_| (rng.below(ROLES + 1), bits(&mut rng))).collect();
        let crowd = if rng.one_in(6) { 12 } else { 5 };
        let (here, there, twins) = (rng.below(5), rng.below(crowd), rng.below(3));
        let setup = Setup { wide: true, rights, users, sites, here, there, twins };
        // Some seeds do without this or that, so that the rest comes together more often.
        let without: Vec<usize> = (0..rng.below(4)).map(|_| [0, 1, 2, 3, 4, 5, 6, 7, 10][rng.below(9)]).collect();
        let mut steps = Vec::new();
        let length = 8 + rng.below(48);
        while steps.len() < length {
            let next = match theme {
                _ if rng.one_in(2) => history::step(&mut rng),
                theme if rng.one_in(3) => theme.step(&mut rng),
                _ => Step::Wide(step(&mut rng)),
            };
            if !without.contains(&kind(&next)) {
                steps.push(next);
            }
        }
        Self { seed, setup, steps }
    }
}

/// What a history is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Theme {
    Nothing,
    /// A foreign syncer between the first two sites.
    Bridge,
    /// Deletions, and what guards them.
    Guard,
    /// What people do with their handles.
    Handles,
    /// Two daemons that get in each other's way.
    Daemons,
    /// Who may see whom, while people stand in the books of several users.
    Access,
}

impl Theme {
    fn of(n: usize) -> Self {
        [Self::Bridge, Self::Guard, Self::Handles, Self::Handles, Self::Daemons, Self::Access]
            .get(n)
            .copied()
            .unwrap_or(Self::Nothing)
    }

    fn step(self, rng: &mut Rng) -> Step {
        let (site, which, what) = (rng.below(8), rng.below(64), rng.below(64));
        Step::Wide(match self {
            Self::Nothing => step(rng),
            Self::Bridge => match rng.below(4) {
                0 => Wide::Resume { who: which },
                _ => Wide::Bridge { one: 0, other: 1 },
            },
            Self::Guard => match rng.below(8) {
                0..=2 => Wide::Answer { which, yes: rng.one_in(2) },
                3 => Wide::Mass { site, from: which, n: 1 + rng.below(4) },
                4..=5 => return Step::DeleteThere { site, which },
                _ => return Step::TrashHere { who: which },
            },
            Self::Handles => match rng.below(12) {
                0..=3 => Wide::Undo { which, what, again: rng.one_in(2) },
                4..=5 => Wide::MergeHere { who: which, other: what, undone: rng.one_in(3) },
                6..=7 => Wide::Resolve { which, how: what },
                8..=9 => Wide::Duplicate { site, which, merge: rng.one_in(2) },
                10 => Wide::Verify { site },
                _ => Wide::Copy { site, who: which },
            },
            Self::Daemons => match rng.below(4) {
                0..=1 => Wide::Stall { site, polls: rng.below(120) },
                2 => Wide::MissFind { site },
                _ => return Step::LoseAfter { site },
            },
            Self::Access => match rng.below(14) {
                0..=3 => Wide::Copy { site, who: which },
                4 => Wide::See { who: which, what },
                5 => Wide::Follow { who: which, user: what },
                6 => Wide::Role { user: which, role: what },
                7 => Wide::Rights { user: which, bits: bits(rng) },
                8 => Wide::Owner { who: which, user: what },
                9 => Wide::FollowUser { user: which, other: what },
                10 => Wide::Start { site, second: false, polls: rng.below(160) },
                _ => Wide::TrashBy { who: which, user: what },
            },
        })
    }
}

/// Parts of what can happen, to be left out together.
fn kind(step: &Step) -> usize {
    let Step::Wide(wide) = step else { return 9 };
    match wide {
        Wide::Start { .. } | Wide::Go { .. } | Wide::Finish { .. } | Wide::Crash { .. } => 0,
        Wide::Settings { .. } | Wide::Direction { .. } | Wide::Regroup { .. } | Wide::Map { .. } => 1,
        Wide::Owner { .. } | Wide::See { .. } | Wide::Follow { .. } | Wide::TrashBy { .. } => 2,
        Wide::Role { .. } | Wide::Rights { .. } | Wide::FollowUser { .. } | Wide::Reorganise { .. } => 3,
        Wide::Backup | Wide::Restore | Wide::Purge { .. } => 4,
        Wide::MergeThere { .. } | Wide::Mass { .. } | Wide::Bridge { .. } => 5,
        Wide::Account { .. } | Wide::Revoke { .. } => 6,
        Wide::ClockBack { .. } | Wide::Lag { .. } => 7,
        Wide::Undo { .. } | Wide::MergeHere { .. } | Wide::Resolve { .. } | Wide::Duplicate { .. } => 10,
        _ => 8,
    }
}

fn settings(rng: &mut Rng) -> Settings {
    let mut settings = Settings { visible_to: VisibleTo::ALL[rng.below(5)], ..history::settings(rng) };
    if rng.one_in(6) {
        settings.push = Push::Linked;
    }
    if rng.one_in(5) {
        settings.mapping.0.insert(FIELDS[rng.below(FIELDS.len())], FLOWS[rng.below(4)]);
    }
    settings
}

/// Fields that are mapped otherwise now and then.
pub const FIELDS: [Field; 5] = [Field::Note, Field::Emails, Field::Phones, Field::Suffix, Field::Photo];
/// All ways that a field may flow.
pub const FLOWS: [Flow; 4] = [Flow::Both, Flow::In, Flow::Out, Flow::Off];

/// Admin, restricted, sees what followed users own.
fn bits(rng: &mut Rng) -> usize {
    usize::from(rng.one_in(8)) | usize::from(rng.one_in(6)) << 1 | usize::from(rng.one_in(3)) << 2
}

fn step(rng: &mut Rng) -> Wide {
    let (site, which, what, one) = (rng.below(8), rng.below(64), rng.below(64), rng.one_in(2));
    let polls = match rng.below(4) {
        0 => rng.below(12),
        1 => rng.below(40),
        _ => rng.below(160),
    };
    match rng.below(105) {
        0..=10 => Wide::Start { site, second: rng.one_in(4), polls },
        11..=24 => Wide::Go { which, polls },
        25..=27 => Wide::Finish { which },
        28..=31 => Wide::Crash { second: rng.one_in(4) },
        32..=34 => Wide::Second { site },
        35..=37 => Wide::Settings { site, what },
        38 => Wide::Direction { site, push: one },
        39 => Wide::Regroup { site },
        40..=41 => Wide::Map { site, field: which, flow: what },
        42..=43 => Wide::Account { site, what },
        44..=45 => Wide::Owner { who: which, user: what },
        46..=49 => Wide::See { who: which, what },
        50..=51 => Wide::Follow { who: which, user: what },
        52 => Wide::Role { user: which, role: what },
        53 => Wide::Rights { user: which, bits: bits(rng) },
        54 => Wide::FollowUser { user: which, other: what },
        55 => Wide::Reorganise { role: which, parent: what },
        56 => Wide::Purge { days: rng.below(3) as i64 },
        57 => Wide::Backup,
        58 => Wide::Restore,
        59..=60 => Wide::Lag { site, part: rng.below(4) as i64 },
        61 => Wide::Touch { site, which },
        62..=63 => Wide::MergeThere { site, which, other: what },
        64 => Wide::Mass { site, from: which, n: 3 + rng.below(7) },
        65..=66 => Wide::Bridge { one: site, other: which },
        67..=69 => Wide::Answer { which, yes: one },
        70 => Wide::ClockBack { minutes: [1, 30, 120][rng.below(3)] },
        71..=72 => Wide::RefuseCreate { site },
        73..=74 => Wide::CutListing { site },
        75..=76 => Wide::Revoke { site },
        77 => Wide::Away { site, requests: 1 + rng.below(6) as u32 },
        78..=79 => Wide::HideGroups { site },
        80 => Wide::MissFind { site },
        81..=82 => Wide::Stall { site, polls: rng.below(160) },
        83..=84 => Wide::Copy { site, who: which },
        85..=87 => Wide::Undo { which, what, again: one },
        88..=89 => Wide::MergeHere { who: which, other: what, undone: rng.one_in(3) },
        90..=91 => Wide::Resolve { which, how: what },
        92 => Wide::Duplicate { site, which, merge: one },
        93 => Wide::Verify { site },
        94..=95 => Wide::Race { site, who: which, polls },
        96 => Wide::Unshown { site },
        97..=98 => Wide::Return { site },
        99..=100 => Wide::Garble { site, which },
        101 => Wide::RefusePicture { site, late: one },
        102 => Wide::Repeat { site },
        _ => Wide::Resume { who: which },
    }
}
