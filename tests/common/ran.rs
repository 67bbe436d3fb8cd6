//! A command that was run.

use serde_json::Value;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its output as JSON; fails the test if the command failed.
    pub(crate) fn json(&self) -> Value {
        assert!(self.code == 0 || self.code == 3, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
