//! The properties that are understood, by name.

/// What a line is. Names are told apart without case (RFC 6350 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the property of that name")]
pub enum Prop {
    Begin,
    End,
    Version,
    Uid,
    Rev,
    Kind,
    AppleKind,
    Member,
    AppleMember,
    N,
    Fn,
    PhoneticFirst,
    PhoneticMiddle,
    PhoneticLast,
    PhoneticOrg,
    Nickname,
    Org,
    Title,
    Role,
    Email,
    Tel,
    Adr,
    Url,
    Impp,
    /// `X-AIM`, `X-SKYPE` and their like: the service by its usual name.
    OldIm(&'static str),
    SocialProfile,
    AppleSocialProfile,
    Related,
    AppleRelated,
    Bday,
    Anniversary,
    /// `X-ANNIVERSARY`, as KDE and others write it.
    OldAnniversary,
    AppleDate,
    Note,
    Gender,
    Pronouns,
    Lang,
    Categories,
    Photo,
    /// `X-IMAGEHASH`, `X-IMAGETYPE`: about the picture, worthless without it.
    ImageDetail,
    Label,
    CountryCode,
    /// Not understood, kept.
    Other,
}

impl Prop {
    /// By its name, without group.
    pub fn of(name: &str) -> Self {
        let mut upper = [0_u8; 28];
        let Some(upper) = upper.get_mut(..name.len()) else { return Self::Other };
        upper.copy_from_slice(name.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"BEGIN" => Self::Begin,
            b"END" => Self::End,
            b"VERSION" => Self::Version,
            b"UID" => Self::Uid,
            b"REV" => Self::Rev,
            b"KIND" => Self::Kind,
            b"X-ADDRESSBOOKSERVER-KIND" => Self::AppleKind,
            b"MEMBER" => Self::Member,
            b"X-ADDRESSBOOKSERVER-MEMBER" => Self::AppleMember,
            b"N" => Self::N,
            b"FN" => Self::Fn,
            b"X-PHONETIC-FIRST-NAME" => Self::PhoneticFirst,
            b"X-PHONETIC-MIDDLE-NAME" => Self::PhoneticMiddle,
            b"X-PHONETIC-LAST-NAME" => Self::PhoneticLast,
            b"X-PHONETIC-ORG" => Self::PhoneticOrg,
            b"NICKNAME" => Self::Nickname,
            b"ORG" => Self::Org,
            b"TITLE" => Self::Title,
            b"ROLE" => Self::Role,
            b"EMAIL" => Self::Email,
            b"TEL" => Self::Tel,
            b"ADR" => Self::Adr,
            b"URL" => Self::Url,
            b"IMPP" => Self::Impp,
            b"X-AIM" => Self::OldIm("AIM"),
            b"X-GADUGADU" => Self::OldIm("GaduGadu"),
            b"X-GOOGLE-TALK" | b"X-GTALK" => Self::OldIm("GoogleTalk"),
            b"X-ICQ" => Self::OldIm("ICQ"),
            b"X-JABBER" => Self::OldIm("Jabber"),
            b"X-MSN" => Self::OldIm("MSN"),
            b"X-QQ" => Self::OldIm("QQ"),
            b"X-SKYPE" | b"X-SKYPE-USERNAME" => Self::OldIm("Skype"),
            b"X-YAHOO" => Self::OldIm("Yahoo"),
            b"SOCIALPROFILE" => Self::SocialProfile,
            b"X-SOCIALPROFILE" => Self::AppleSocialProfile,
            b"RELATED" => Self::Related,
            b"X-ABRELATEDNAMES" => Self::AppleRelated,
            b"BDAY" => Self::Bday,
            b"ANNIVERSARY" => Self::Anniversary,
            b"X-ANNIVERSARY" | b"X-EVOLUTION-ANNIVERSARY" => Self::OldAnniversary,
            b"X-ABDATE" => Self::AppleDate,
            b"NOTE" => Self::Note,
            b"GENDER" | b"X-GENDER" => Self::Gender,
            b"PRONOUNS" | b"X-PRONOUNS" => Self::Pronouns,
            b"LANG" => Self::Lang,
            b"CATEGORIES" => Self::Categories,
            b"PHOTO" => Self::Photo,
            b"X-IMAGEHASH" | b"X-IMAGETYPE" => Self::ImageDetail,
            b"X-ABLABEL" => Self::Label,
            b"X-ABADR" => Self::CountryCode,
            _ => Self::Other,
        }
    }

    /// Whether it says something about another line of its group, and nothing alone.
    pub fn is_detail(self) -> bool {
        matches!(self, Self::Label | Self::CountryCode)
    }
}
