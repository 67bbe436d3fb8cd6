//! Pictures that a card names by address (icloud-carddav.md §6.4).
//!
//! Owns: where a picture's address may lead. It comes out of a card, so anyone who can write a card chose it: no private
//! addresses, a small limit, and credentials only to trusted hosts, at iCloud only below the account's own number.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};

use super::convert::{self, Read};
use super::fault::Fault;
use super::settings::Flavour;
use crate::ids::RemoteId;
use crate::provider::http::Door;
use crate::provider::http::message::{Credentials, HttpError, Request};
use crate::provider::{Blob, ProviderError, Retry, Scope};
use crate::sync::retry::Resend;
use crate::sync::view::RemoteRecord;

/// Apple takes 224 KB; others more.
const LIMIT: u64 = 8 * 1024 * 1024;

/// The record's picture; `None` = there is none.
pub(super) async fn photo(
    door: &Door,
    flavour: Flavour,
    home: Option<&Url>,
    of: &RemoteRecord,
) -> Result<Option<Blob>, Fault> {
    let Some(Read::Contact(contact)) = of.raw.as_deref().map(convert::read) else { return Ok(None) };
    if contact.photo.is_some() {
        return Ok(contact.photo);
    }
    let Some(address) = contact.photo_url else { return Ok(None) };
    let url = Url::parse(address.trim()).map_err(|_| Fault::Implausible("the picture's address can't be read"))?;
    let credentials = if may_sign(flavour, home, &url) { Credentials::WhereTrusted } else { Credentials::None };
    let request = Request::new(Method::GET, url).credentials(credentials).limit(LIMIT).foreign().quick();
    let answer = door.send(&request, Resend::Safe).await?;
    match answer.status.as_u16() {
        200..=299 => {
            let told = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
            let kind = media_type(&answer.body, told).ok_or(Fault::Implausible("the picture is no picture"))?;
            Ok(Some(Blob::new(&kind, answer.body.to_vec())))
        }
        404 | 410 => Ok(None),
        _ => Err(Fault::of(&answer).await),
    }
}

/// Whether the account's credentials may go along, if the host is trusted too.
fn may_sign(flavour: Flavour, home: Option<&Url>, url: &Url) -> bool {
    if flavour != Flavour::ICloud {
        return true;
    }
    let Some(number) = home.and_then(account_number) else { return false };
    url.path_segments().is_some_and(|mut segments| segments.any(|segment| segment == number))
}

/// The account's number, first in the paths of its principal and its books (icloud-carddav.md §1.1).
pub(super) fn account_number(url: &Url) -> Option<String> {
    url.path_segments()?.find(|segment| !segment.is_empty()).map(str::to_owned)
}

/// What the bytes are, by themselves or else by what the server says, if that is a picture.
fn media_type(bytes: &[u8], told: &str) -> Option<String> {
    let known = match bytes {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "",
    };
    if !known.is_empty() {
        return Some(known.to_owned());
    }
    let told = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!bytes.is_empty() && told.starts_with("image/")).then_some(told)
}

/// A picture's trouble is only the record's: the picture host says 401 and 403 when it is asked too often, so they say
/// nothing about the password.
pub(super) fn classify(fault: Fault, id: RemoteId) -> ProviderError {
    let retry = match &fault {
        Fault::Http(HttpError::Wait { until, .. }) => Retry::At(*until),
        Fault::Http(HttpError::PrivateAddress(_) | HttpError::TooBig { .. } | HttpError::Redirect { .. }) => {
            Retry::Never
        }
        _ => Retry::Soon,
    };
    let fault = match fault {
        Fault::SignIn => Fault::Status { status: 401, conditions: Vec::new() },
        other => other,
    };
    let scope = Scope::Record(id);
    let error = super::fault::classify(fault, "fetching a picture", scope.clone(), Flavour::Generic);
    ProviderError { scope, retry, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_only_below_the_own_number() {
        let principal = Url::parse("https://contacts.icloud.com/1234567890/principal/").unwrap();
        let may = |url: &str| may_sign(Flavour::ICloud, Some(&principal), &Url::parse(url).unwrap());
        assert!(may("https://gateway.icloud.com/contacts/1234567890/ck/card/0a1b"));
        assert!(may("https://p42-contacts.icloud.com:443/1234567890/wcs/0a1b"));
        assert!(!may("https://gateway.icloud.com/contacts/999/ck/card/0a1b"));
        assert!(!may("https://gateway.icloud.com/contacts/12345678901/ck/card/0a1b"));
        assert!(!may_sign(Flavour::ICloud, None, &Url::parse("https://gateway.icloud.com/contacts/1/x").unwrap()));
    }

    #[test]
    fn pictures_are_known_by_their_bytes() {
        assert_eq!(media_type(&[0xFF, 0xD8, 0xFF, 0xE0], "text/html").as_deref(), Some("image/jpeg"));
        assert_eq!(media_type(b"....ftypheic", "image/heic; x").as_deref(), Some("image/heic"));
        assert_eq!(media_type(b"<html>", "text/html"), None);
        assert_eq!(media_type(b"", "image/png"), None);
    }

    #[test]
    fn a_refused_picture_is_no_refused_password() {
        let error = classify(Fault::SignIn, RemoteId::from("/c/1.vcf"));
        assert_eq!((error.scope, error.retry), (Scope::Record(RemoteId::from("/c/1.vcf")), Retry::Soon));
    }
}
