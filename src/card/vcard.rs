//! vCard 3.0 and 4.0 (RFC 2426, RFC 6350), Apple's dialect included: a card from its text and back.
