//! From the configuration to how Google is set up here.
//!
//! Owns: reading the client's secret and the service account's key, and saying what is wrong with them. Must not: send
//! anything: it is looked at offline.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{ClientType, Config};
use crate::engine::connect::sign_in::CALLBACK;
use crate::provider::oauth::client::ClientSettings;
use crate::provider::oauth::google::{GOOGLE, Setup};
use crate::provider::oauth::service::ServiceAccount;
use crate::secret::Secret;

/// The credentials that systemd may hand over.
const SECRET: &str = "contactd-google-client-secret";
const SERVICE: &str = "contactd-google-service-account";

/// As it is set up.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(crate) fn setup(config: &Config, credentials: Option<&Path>) -> Result<Setup, String> {
    let setup = parts(config, credentials)?;
    if setup.service.is_none() && !setup.domains.is_empty() {
        return Err(
            "google.delegated_domains names domains, and google.service_account_file is empty; set it".to_owned()
        );
    }
    Ok(setup)
}

fn parts(config: &Config, credentials: Option<&Path>) -> Result<Setup, String> {
    let google = &config.google;
    let secret = read(credentials, SECRET, &google.client_secret_file, "google.client_secret_file")?;
    let secret = match secret {
        Some(text) => {
            let first = text.expose().lines().next().unwrap_or_default().trim();
            if first.is_empty() {
                return Err(
                    "the file in google.client_secret_file is empty; put the client's secret into it".to_owned()
                );
            }
            Some(Secret::from(first))
        }
        None => None,
    };
    let service = read(credentials, SERVICE, &google.service_account_file, "google.service_account_file")?;
    let service = service
        .map(|text| ServiceAccount::read(&text).map(Arc::new))
        .transpose()
        .map_err(|error| format!("the file in google.service_account_file can't be used: {error}"))?;
    let redirect = match google.client_type {
        ClientType::Desktop => None,
        ClientType::Web => Some(format!("{}{CALLBACK}", config.http.public_url.trim_end_matches('/'))),
    };
    let client = ClientSettings {
        id: google.client_id.clone(),
        secret,
        authorize: google.authorize_url.0.clone(),
        token: google.token_url.0.clone(),
        revoke: google.revoke_url.0.clone(),
        userinfo: google.userinfo_url.0.clone(),
        plain_loopback: config.net.allow_private,
    };
    let (domains, api) = (google.delegated_domains.clone(), google.api_url.0.clone());
    Ok(Setup { dialect: &GOOGLE, client, service, domains, testing: google.testing, redirect, api })
}

/// What `doctor` says of it.
pub(crate) fn look(config: &Config) -> Result<String, String> {
    // What systemd hands to the daemon is not seen from here.
    let setup = parts(config, None)?;
    let google = &config.google;
    if setup.redirect.is_some() && config.http.listen.is_empty() {
        return Err(
            "users come back to http.public_url, and nothing listens for them; set http.listen to where the proxy leads"
                .to_owned(),
        );
    }
    if google.client_id.is_empty() && !google.client_secret_file.as_os_str().is_empty() {
        return Err("there is a file with a client's secret, and google.client_id is empty; set it".to_owned());
    }
    let mut says = Vec::new();
    if !google.client_id.is_empty() {
        if !google.client_id.ends_with(".apps.googleusercontent.com")
            && google.token_url.0.host_str() == Some("oauth2.googleapis.com")
        {
            return Err(
                "google.client_id does not end in .apps.googleusercontent.com; copy it as Google shows it".to_owned()
            );
        }
        says.push(match &setup.redirect {
            Some(redirect) => format!("a web client, which must have {redirect} among its redirect addresses"),
            None => "a desktop client".to_owned(),
        });
        if setup.client.secret.is_none() {
            says.push(format!("without a file for its secret (systemd may give it as {SECRET})"));
        }
    }
    let domains = setup.domains.join(", ");
    if setup.service.is_some() {
        says.push(format!("a service account for {domains}"));
    } else if !domains.is_empty() {
        says.push(format!("a service account for {domains}, if systemd gives its key as {SERVICE}"));
    }
    if setup.testing {
        says.push("in testing, so that sign-ins end after seven days".to_owned());
    }
    Ok(if says.is_empty() { "not set up: no mailbox at Google can be connected".to_owned() } else { says.join("; ") })
}

/// The content of systemd's credential, else of the file; `None` where there is neither.
fn read(credentials: Option<&Path>, name: &str, file: &Path, key: &str) -> Result<Option<Secret>, String> {
    let handed = credentials.map(|folder| folder.join(name)).filter(|path| path.exists());
    let (path, ours) = match handed {
        Some(path) => (path, false),
        None if file.as_os_str().is_empty() => return Ok(None),
        None => (PathBuf::from(file), true),
    };
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown} ({key}) can't be read: {error}"))?;
    let text = Secret::from(text);
    // Who can read systemd's is systemd's business.
    if ours {
        let mode = std::fs::metadata(&path).map_err(|error| format!("{shown} ({key}): {error}"))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("{shown} ({key}) can be read by others; run `chmod 600 {shown}`"));
        }
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path, lines: &str) -> Config {
        let path = dir.join("contactd.toml");
        std::fs::write(&path, lines).unwrap();
        crate::config::load(Some(&path), std::iter::empty::<(&str, &str)>()).unwrap()
    }

    fn put(dir: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn the_settings_are_looked_at_without_asking_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str, mode| put(dir.path(), name, text, mode);
        let good = at("secret", "geheim\n", 0o600);
        let (open, empty, json) = (at("open", "geheim", 0o644), at("empty", "\n", 0o600), at("json", "geheim", 0o600));
        let id = "client_id = 'us.apps.googleusercontent.com'";
        let table = [
            ("testing = false".to_owned(), Ok("not set up")),
            (format!("{id}\nclient_secret_file = '{good}'"), Ok("a desktop client")),
            (id.to_owned(), Ok("without a file")),
            (format!("{id}\ntesting = true"), Ok("seven days")),
            (format!("{id}\nclient_type = 'web'"), Ok("https://crm.example.com/oauth/callback")),
            ("client_id = 'us'".to_owned(), Err("does not end in")),
            (format!("client_secret_file = '{good}'"), Err("client_id is empty")),
            (format!("{id}\nclient_secret_file = '{open}'"), Err("chmod 600")),
            (format!("{id}\nclient_secret_file = '{empty}'"), Err("is empty")),
            (format!("{id}\nclient_secret_file = '/nowhere/at/all'"), Err("can't be read")),
            (format!("service_account_file = '{json}'"), Err("no key of a service account")),
            ("delegated_domains = ['example.com']".to_owned(), Ok("for example.com, if systemd gives its key")),
        ];
        let http = "http.public_url = 'https://crm.example.com/'\nhttp.listen = ['127.0.0.1:0']\n";
        for (lines, expected) in table {
            let config = config(dir.path(), &format!("{http}[google]\n{lines}\n"));
            let said = look(&config);
            match (&said, expected) {
                (Ok(says), Ok(part)) | (Err(says), Err(part)) => assert!(says.contains(part), "{lines}: {says}"),
                _ => panic!("{lines}: {said:?}"),
            }
            assert!(!format!("{said:?} {:?}", setup(&config, None)).contains("geheim"), "{lines}");
        }
        let said = |lines: &str| look(&config(dir.path(), lines)).unwrap_err();
        let deaf = said(&format!("http.public_url = 'https://crm.example.com'\n[google]\n{id}\nclient_type = 'web'\n"));
        assert!(deaf.contains("set http.listen"), "{deaf}");
        // The daemon itself sees whether systemd gave it.
        let alone = setup(&config(dir.path(), "[google]\ndelegated_domains = ['example.com']\n"), None).unwrap_err();
        assert!(alone.contains("service_account_file is empty"), "{alone}");
        // What systemd gives goes before.
        at(SECRET, "from-systemd", 0o644);
        let config = config(dir.path(), &format!("[google]\n{id}\nclient_secret_file = '{good}'\n"));
        let setup = setup(&config, Some(dir.path())).unwrap();
        assert_eq!(setup.client.secret.unwrap().expose(), "from-systemd");
    }
}
