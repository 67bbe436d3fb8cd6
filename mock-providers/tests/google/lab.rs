//! A client over real sockets that shares no code with the mock.

use mock_providers::google::{Account, Google, Settings};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// A day in milliseconds.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Got {
    /// A header, or the empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must be good.
    pub(crate) fn good(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// The status and the name of an error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body["error"]["status"].as_str().unwrap_or_default())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// A running mock, its first account and a client with a token for it.
pub(crate) struct Lab {
    pub(crate) google: Google,
    pub(crate) account: Account,
    pub(crate) token: String,
    http: reqwest::Client,
}

impl Lab {
    pub(crate) async fn start(settings: Settings) -> Self {
        let google = Google::start(settings).await.unwrap();
        let account = google.first_account().unwrap();
        let token = account.access_token(&["contacts"]);
        // Built together with contactd, reqwest speaks TLS and wants to know by whose ciphers, though nothing here uses it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { google, account, token, http }
    }

    pub(crate) async fn new() -> Self {
        Self::start(Settings::without_quotas()).await
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Got, reqwest::Error> {
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Got { status, headers, text, body })
    }

    /// A call of the API; `path` follows `/v1/`.
    pub(crate) async fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Got, reqwest::Error> {
        let url = format!("{}/v1/{path}", self.google.url());
        let bearer = format!("Bearer {}", self.token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.try_send(method, &url, &[("authorization", &bearer), ("content-type", "application/json")], body).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Got {
        self.try_call(method, path, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.call("GET", path, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.call("POST", path, &body).await
    }

    pub(crate) async fn create(&self, person: Value) -> Value {
        self.post(&format!("people:createContact?{SOURCES}"), person).await.good()
    }

    /// An update of the fields in `mask`; returns the answer.
    pub(crate) async fn update(&self, name: &str, mask: &str, person: Value) -> Got {
        let path = format!("{name}:updateContact?updatePersonFields={mask}&personFields={FIELDS}&{SOURCES}");
        self.call("PATCH", &path, &person).await
    }

    /// A page of the list.
    pub(crate) async fn list(&self, more: &str) -> Got {
        self.get(&format!("people/me/connections?personFields={FIELDS}&{SOURCES}{more}")).await
    }

    /// The whole list since a token, or in full, and the next token.
    pub(crate) async fn sync(&self, token: Option<&str>) -> (Vec<Value>, String) {
        let since = token.map(|token| format!("&syncToken={}", encode(token))).unwrap_or_default();
        let (mut people, mut page) = (Vec::new(), String::new());
        loop {
            let got = self.list(&format!("&pageSize=1000&requestSyncToken=true{since}{page}")).await.good();
            people.extend(got["connections"].as_array().cloned().unwrap_or_default());
            match got["nextPageToken"].as_str() {
                Some(next) => page = format!("&pageToken={}", encode(next)),
                None => return (people, got["nextSyncToken"].as_str().unwrap().to_owned()),
            }
        }
    }
}

pub(crate) const SOURCES: &str = "sources=READ_SOURCE_TYPE_CONTACT";
pub(crate) const FIELDS: &str = "names,emailAddresses,phoneNumbers,metadata,memberships,clientData";

/// Text as it may stand in a query.
pub(crate) fn encode(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// A person with a name.
pub(crate) fn named(given: &str, family: &str) -> Value {
    json!({"names": [{"givenName": given, "familyName": family}]})
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
