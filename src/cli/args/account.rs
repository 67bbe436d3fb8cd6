//! Adding accounts.

use std::path::PathBuf;

use clap::Args;

use super::DirectionArg;

/// A mailbox to be connected.
#[derive(Debug, Args)]
pub struct AccountAdd {
    /// The address to sign in with
    pub email: String,
    /// Whose mailbox it is
    #[arg(long)]
    pub user: String,
    /// The provider, if it isn't to be found by the address
    #[arg(long, value_parser = ["icloud", "carddav", "google"])]
    pub provider: Option<String>,
    /// The server's address
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// A further host that may be given the password; may be given several times
    #[arg(long, value_name = "HOST")]
    pub trust: Vec<String>,
    /// Whether the address book is written to; decides what a provider is asked for, and can be changed later
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
    /// Read the password from the first line of this file; `-` = standard input. Without it you are asked
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Where the provider signs its users in itself: don't open a browser, only show the address
    #[arg(long)]
    pub no_browser: bool,
}

/// The mailboxes of a whole domain.
#[derive(Debug, Args)]
pub struct AccountAddDomain {
    /// One of google.delegated_domains, such as example.com
    pub domain: String,
    /// Whether the address books are written to; can be changed later
    #[arg(long, value_enum)]
    pub direction: Option<DirectionArg>,
}
