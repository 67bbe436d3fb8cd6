//! In-place edits of a stored vCard (rule 4): what is not edited stays as it was, to the byte.
