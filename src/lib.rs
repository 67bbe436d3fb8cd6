//! contactd keeps a CRM's people and its users' address books the same, both ways.
