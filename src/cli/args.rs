//! The commands and their arguments.

mod account;
mod handles;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::card::field::Field;
use crate::crm::person::VisibleTo;
use crate::secret::Secret;
use crate::sync::settings::{ConflictPolicy, DeletePolicy, Direction, Flow, OnLeave, Push};

/// The heading of the options that every command has, so that its own stand alone.
const EVERYWHERE: &str = "Options of all commands";

/// Keeps a CRM's people and its users' address books the same, both ways.
///
/// Exit codes: 0 done, 1 failed, 2 used wrongly, 3 something waits for a person, 4 the daemon can't be reached.
#[derive(Debug, Parser)]
#[command(version, name = "contactd", max_term_width = 100)]
pub struct Cli {
    /// The configuration file; without it /etc/contactd/contactd.toml, if that is there
    #[arg(long, global = true, value_name = "FILE", env = "CONTACTD_CONFIG", hide_env_values = true, help_heading = EVERYWHERE)]
    pub config: Option<PathBuf>,
    /// The daemon's control socket; without it the configuration's
    #[arg(long, global = true, value_name = "PATH", env = "CONTACTD_SOCKET", hide_env_values = true, help_heading = EVERYWHERE)]
    pub socket: Option<PathBuf>,
    /// Act for this user (by e-mail, name or id) and see only what it may see
    #[arg(long = "as", global = true, value_name = "USER", help_heading = EVERYWHERE)]
    pub act_as: Option<String>,
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve,
    /// The dashboard: what is in sync, what was changed, what waits
    Status,
    /// The people who use the CRM
    #[command(subcommand)]
    Users(UsersCommand),
    /// The tree of roles
    #[command(subcommand)]
    Roles(RolesCommand),
    /// Connected mailboxes
    #[command(subcommand)]
    Account(AccountCommand),
    /// The groups of an account, of which one can be its sync group
    Groups {
        /// By address or id
        account: String,
    },
    /// Where each field of an account flows
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// What a sync would do, record by record, without doing it
    Preview {
        /// By address or id
        account: String,
        /// Show each field that would change
        #[arg(long)]
        fields: bool,
    },
    /// Sync now: one account, or all
    Refresh {
        /// By address or id
        account: Option<String>,
        /// Wait for its end, and show how far it is
        #[arg(long)]
        wait: bool,
    },
    /// Read an account's address book again in full and name every difference; changes nothing
    Verify {
        /// By address or id
        account: String,
        /// Have the next run read and judge anew what differs, by its ordinary plan
        #[arg(long)]
        repair: bool,
    },
    /// Why a person, or a record, is or isn't in sync
    Why {
        /// A person's id, or a record's id at its provider
        subject: String,
    },
    /// What syncs did
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Undo what a run did, an account's syncs, or what was last done to a person; shows first what would be done
    Undo(UndoArgs),
    /// Deletions that wait for a yes or no
    #[command(subcommand)]
    Held(HeldCommand),
    /// Values that were changed on both sides
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
    /// Records that could be one of several people
    #[command(subcommand)]
    Duplicates(DuplicatesCommand),
    /// People who were deleted
    #[command(subcommand)]
    Trash(TrashCommand),
    /// People in the CRM
    #[command(subcommand)]
    People(PeopleCommand),
    /// Look at everything that can be wrong, and say what to do
    Doctor(Doctor),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The store as a whole; works without the daemon
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page; of one command, if given
    Man {
        /// The command, such as `account add`
        command: Vec<String>,
    },
}

/// What is looked at.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Try this account (by address or id) at its real provider instead: sign in anew, and read a little of everything
    #[arg(long, value_name = "ACCOUNT")]
    pub live: Option<String>,
    /// Write, too: make a contact named "Contactd Trial", change it, and remove it again. No sync takes it for a person
    #[arg(long, requires = "live")]
    pub write: bool,
    /// Write without asking
    #[arg(long, requires = "write")]
    pub yes: bool,
}

/// The store as a whole.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Recount what is stored twice and say what does not agree; a daemon may be at work
    Check {
        /// Another store than the configuration's, such as a backup
        #[arg(long)]
        url: Option<Secret>,
    },
    /// Copy the store as it is at this moment into a file; a daemon may be at work
    Backup {
        /// A file that is not there yet; it is a store itself, in SQLite
        path: PathBuf,
    },
    /// Copy a store into an empty one, row by row, and compare both; no daemon may be at work
    Migrate {
        /// Where it is
        #[arg(long, value_name = "URL")]
        from: Secret,
        /// Where it is to be
        #[arg(long, value_name = "URL")]
        to: Secret,
        /// The file with the password of the one
        #[arg(long, value_name = "FILE")]
        from_password_file: Option<PathBuf>,
        /// The file with the password of the other
        #[arg(long, value_name = "FILE")]
        to_password_file: Option<PathBuf>,
    },
}

/// Users.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Add a user
    Add {
        /// The address to sign in with
        email: String,
        /// The name as shown
        #[arg(long)]
        name: String,
        /// Its role
        #[arg(long)]
        role: Option<String>,
        /// Sees and edits everything
        #[arg(long)]
        admin: bool,
        /// Sees only what it owns or follows
        #[arg(long)]
        restricted: bool,
        /// Sees all items of users it follows
        #[arg(long)]
        sees_followed_users: bool,
    },
    /// List all users
    List,
    /// Show one user
    Show {
        /// By e-mail, name or id
        user: String,
    },
    /// Change a user
    Set(UserSet),
    /// Let a user act no more; its people stay, its accounts don't sync until it is activated again
    Deactivate {
        /// By e-mail, name or id
        user: String,
    },
    /// Let a deactivated user act again
    Activate {
        /// By e-mail, name or id
        user: String,
    },
}

/// A change of a user.
#[derive(Debug, Args)]
pub struct UserSet {
    /// By e-mail, name or id
    pub user: String,
    /// The name as shown
    #[arg(long)]
    pub name: Option<String>,
    /// The address to sign in with
    #[arg(long)]
    pub email: Option<String>,
    /// Its role
    #[arg(long, conflicts_with = "no_role")]
    pub role: Option<String>,
    /// Take it out of its role
    #[arg(long)]
    pub no_role: bool,
    /// Whether it sees and edits everything
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub admin: Option<bool>,
    /// Whether it sees only what it owns or follows
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub restricted: Option<bool>,
    /// Whether it sees all items of users it follows
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub sees_followed_users: Option<bool>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "on" => Ok(true),
        "no" | "off" => Ok(false),
        _ => Err("say yes or no".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

/// Roles.
#[derive(Debug, Subcommand)]
pub enum RolesCommand {
    /// Add a role
    Add {
        /// Its name
        name: String,
        /// The role above it
        #[arg(long)]
        parent: Option<String>,
    },
    /// List all roles
    List,
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Connect a mailbox, or sign in to it again; nothing is synced before it is started
    Add(AccountAdd),
    /// Connect the mailboxes of all users with an address in a domain whose administrator allows it (a service account)
    AddDomain(AccountAddDomain),
    /// List all accounts
    List,
    /// Show one account with its settings
    Show {
        /// By address or id
        account: String,
    },
    /// Change settings; shows first what would follow, and asks
    Set(AccountSet),
    /// Apply the first preview and sync from now on
    Start {
        /// By address or id
        account: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Stop syncing for now
    Pause {
        /// By address or id
        account: String,
    },
    /// Sync again
    Resume {
        /// By address or id
        account: String,
    },
    /// Forget its credentials; its people are kept, and adding it again goes on where it was
    Remove {
        /// By address or id
        account: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

/// A change of settings.
#[derive(Debug, Args)]
pub struct AccountSet {
    /// By address or id
    pub account: String,
    /// The sync group, by name or id; `all` = everything
    #[arg(long)]
    pub group: Option<String>,
    /// Whether the address book is written to
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
    /// Who sees the people that it brings in
    #[arg(long, value_enum)]
    pub visible_to: Option<VisibleToArg>,
    /// Which people are created there: those whom its user owns, or none
    #[arg(long, value_enum)]
    pub push: Option<PushArg>,
    /// Who wins where both sides changed the same value
    #[arg(long, value_enum)]
    pub conflicts: Option<ConflictsArg>,
    /// What a deletion in the address book does here
    #[arg(long, value_enum)]
    pub deletes: Option<DeletesArg>,
    /// What leaving the sync group does here
    #[arg(long, value_enum)]
    pub on_leave: Option<OnLeaveArg>,
    /// Where a field flows, such as `note=off`; may be given several times
    #[arg(long, value_name = "FIELD=both|in|out|off", value_parser = mapped)]
    pub map: Vec<(Field, Flow)>,
    /// Whether unusually many deletions are held until somebody has looked at them
    #[arg(long, value_name = "on|off", value_parser = yes_or_no)]
    pub guard: Option<bool>,
    /// So many deletions within 24 hours always pass, unless they would leave nobody
    #[arg(long, value_name = "NUMBER")]
    pub guard_at_least: Option<u32>,
    /// So many per cent of the account's people may be deleted within 24 hours
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub guard_percent: Option<u8>,
    /// On one-way becoming two-way: send what was edited here meanwhile
    #[arg(long, conflicts_with = "agree_present")]
    pub push_edits: bool,
    /// On one-way becoming two-way: take what both sides say now as agreed
    #[arg(long)]
    pub agree_present: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

fn mapped(text: &str) -> Result<(Field, Flow), String> {
    let (field, flow) = text.split_once('=').ok_or("expected FIELD=both, in, out or off")?;
    let flow = match flow {
        "both" => Flow::Both,
        "in" => Flow::In,
        "out" => Flow::Out,
        "off" => Flow::Off,
        other => return Err(format!("'{other}' is none of both, in, out, off")),
    };
    Ok((field.parse().map_err(|error| format!("{error}"))?, flow))
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident => $of:ident { $($(#[$help:meta])* $variant:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        #[value(rename_all = "snake_case")]
        pub enum $name { $($(#[$help])* $variant),* }

        impl From<$name> for $of {
            fn from(choice: $name) -> Self {
                match choice { $($name::$variant => $of::$variant),* }
            }
        }
    )*};
}

choices! {
    /// See [`Direction`].
    DirectionArg => Direction {
        /// Into the CRM only
        OneWay,
        /// Both ways
        TwoWay,
    }
    /// See [`VisibleTo`].
    VisibleToArg => VisibleTo {
        /// Only the owner
        Owner,
        /// The owner and the person's followers
        OwnerAndFollowers,
        /// Everybody with the owner's role
        OwnerRole,
        /// Everybody with the owner's role or one below it
        OwnerRoleAndBelow,
        /// Everybody in the company
        Company,
    }
    /// See [`Push`].
    PushArg => Push {
        /// Those whom the account's user owns
        Owned,
        /// None; only linked people are kept up to date
        Linked,
    }
    /// See [`ConflictPolicy`].
    ConflictsArg => ConflictPolicy {
        /// The address book
        Provider,
        /// The CRM
        Crm,
        /// The later value
        Latest,
        /// Nobody, until a person has chosen
        Ask,
    }
    /// See [`DeletePolicy`].
    DeletesArg => DeletePolicy {
        /// Moves the person into the trash
        Propagate,
        /// Only ends the link
        Unlink,
        /// Ends the link and tags the person
        Tag,
        /// Waits for an answer
        Ask,
    }
    /// See [`OnLeave`].
    OnLeaveArg => OnLeave {
        /// The person stays
        Keep,
        /// The same as a deletion
        Delete,
    }
}

/// Mapping.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Show where each field flows; change it by `account set --map`
    Show {
        /// By address or id
        account: String,
    },
}

/// Runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List the latest runs
    List {
        /// Only of this account
        account: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show what a run did, record by record and field by field
    Show {
        /// Its id
        run: String,
        /// Only what it did after this one of its operations
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// How many of its operations
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

/// Held deletions.
#[derive(Debug, Subcommand)]
pub enum HeldCommand {
    /// List them
    List {
        /// Only of this account
        account: Option<String>,
    },
    /// Do exactly these deletions
    Confirm(HeldWhich),
    /// Don't do these, and put back what is gone
    Reject(HeldWhich),
}

/// Which held deletions.
#[derive(Debug, Args)]
pub struct HeldWhich {
    /// Their ids, from `held list`
    #[arg(required_unless_present = "all")]
    pub ids: Vec<String>,
    /// All that wait in this account now
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "ids")]
    pub all: Option<String>,
}

pub(super) use account::{AccountAdd, AccountAddDomain};
pub(super) use handles::{
    ConflictsCommand, DuplicatesCommand, KeepArg, PeopleMerge, ResolveArgs, TrashCommand, UndoArgs, WhichTrash,
};

/// People.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// List people
    List {
        /// Words at the beginning of name, company, e-mail or phone
        text: Option<String>,
        /// Only those of this owner
        #[arg(long)]
        owner: Option<String>,
        /// Those in the trash
        #[arg(long)]
        trash: bool,
        /// Only those after this one in the list, by id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = at_least_one)]
        limit: usize,
    },
    /// Show one person with its links
    Show {
        /// Its id
        person: String,
        /// Say of each value who or which account said so, by which run and when
        #[arg(long)]
        provenance: bool,
    },
    /// Show what was done to a person, and to those merged into it, newest first
    History {
        /// Its id
        person: String,
        /// How many operations
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Merge a person into another one; shows first what would be done
    Merge(PeopleMerge),
    /// Add a person
    Add {
        /// Who owns it
        #[arg(long)]
        owner: Option<String>,
        /// Who else may see it
        #[arg(long, value_enum)]
        visible_to: Option<VisibleToArg>,
        /// What it says
        #[command(flatten)]
        fields: Fields,
    },
    /// Change what a person says
    Edit {
        /// Its id
        person: String,
        /// What changes
        #[command(flatten)]
        fields: Fields,
    },
    /// Move people into the trash
    Delete {
        /// Their ids
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Take people back out of the trash
    Restore {
        /// Their ids
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Let a person go on syncing after its values went round in a circle
    ///
    /// Two programs that sync the same address books can carry a value to and fro for ever. contactd notices, and stops
    /// syncing that person with that account. Stop the other program first, then say this.
    Resume {
        /// Its id
        person: String,
        /// Only in this account
        #[arg(long)]
        account: Option<String>,
    },
    /// Give a person another owner, or show it to others
    Set {
        /// Its id
        person: String,
        /// The new owner
        #[arg(long)]
        owner: Option<String>,
        /// Who else may see it
        #[arg(long, value_enum)]
        visible_to: Option<VisibleToArg>,
    },
    /// Let a user follow a person
    Follow {
        /// The person's id
        person: String,
        /// The user
        user: String,
    },
    /// Let a user follow a person no more
    Unfollow {
        /// The person's id
        person: String,
        /// The user
        user: String,
    },
}

/// What a person says.
#[derive(Debug, Default, Args)]
pub struct Fields {
    /// Given name
    #[arg(long)]
    pub given: Option<String>,
    /// Family name
    #[arg(long)]
    pub family: Option<String>,
    /// The name as shown
    #[arg(long)]
    pub display: Option<String>,
    /// Company
    #[arg(long)]
    pub company: Option<String>,
    /// Job title
    #[arg(long)]
    pub title: Option<String>,
    /// Note
    #[arg(long)]
    pub note: Option<String>,
    /// Birthday, as 1980-04-15 or --04-15
    #[arg(long, allow_hyphen_values = true)]
    pub birthday: Option<String>,
    /// Add an e-mail address, such as `work=ann@example.com`; may be given several times
    #[arg(long, value_name = "[LABEL=]ADDRESS")]
    pub email: Vec<String>,
    /// Add a telephone number; may be given several times
    #[arg(long, value_name = "[LABEL=]NUMBER")]
    pub phone: Vec<String>,
    /// Remove an e-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub remove_email: Vec<String>,
    /// Remove a telephone number
    #[arg(long, value_name = "NUMBER")]
    pub remove_phone: Vec<String>,
    /// Empty a field
    #[arg(long, value_name = "FIELD", value_parser = |text: &str| text.parse::<Field>())]
    pub clear: Vec<Field>,
    /// Set any field as a whole, as JSON, such as `nicknames=[{"value":"Annie"}]`
    #[arg(long, value_name = "FIELD=JSON")]
    pub field: Vec<String>,
}

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what is wrong with it, if anything
    Check,
    /// Show every setting and where it was made; secrets are hidden
    Show,
    /// Make a new key for stored passwords, and seal them under it
    RotateKey,
}
