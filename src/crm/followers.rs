//! Followers of an item: how many, who may add whom.

/// The most followers that an item may have besides its owner (design section 6).
pub const MOST: usize = 10;
