"""Google's own client libraries against the mock of Google, and its answers against Google's discovery document.

Owns: the scenario. Must not: be bent to what the mock does; the libraries and the document are right.
"""

import base64
import json
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request

# The libraries refuse plain http unless told that this is a test.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

import google.auth.exceptions
import google.auth.transport.requests
import googleapiclient
import httplib2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

from lab import Checks, Mock

CONTACTS = "https://www.googleapis.com/auth/contacts"
SCOPES = [CONTACTS, "openid", "https://www.googleapis.com/auth/userinfo.email"]
SOURCES = ["READ_SOURCE_TYPE_CONTACT"]
FIELDS = "names,emailAddresses,phoneNumbers,addresses,birthdays,biographies,organizations,memberships,metadata,clientData,photos,urls,events,relations,imClients,nicknames,userDefined"
CARDS = 1234

PACKAGE = pathlib.Path(googleapiclient.__file__).parent
DOCUMENT = json.loads((PACKAGE / "discovery_cache/documents/people.v1.json").read_text())


class Schemas:
    """Says what in an answer the discovery document does not know."""

    def __init__(self, document):
        self.schemas = document["schemas"]

    def faults(self, value, schema, path="$"):
        if "$ref" in schema:
            return self.faults(value, self.schemas[schema["$ref"]], path)
        kind = schema.get("type")
        if kind == "object":
            if not isinstance(value, dict):
                return [f"{path}: no object"]
            known, extra = schema.get("properties", {}), schema.get("additionalProperties")
            found = []
            for name, inner in value.items():
                if name in known:
                    found += self.faults(inner, known[name], f"{path}.{name}")
                elif extra is not None:
                    found += self.faults(inner, extra, f"{path}.{name}")
                else:
                    found.append(f"{path}.{name}: unknown")
            return found
        if kind == "array":
            if not isinstance(value, list):
                return [f"{path}: no list"]
            found = [f"{path}: an empty list is left out"] if not value else []
            for at, inner in enumerate(value):
                found += self.faults(inner, schema["items"], f"{path}[{at}]")
            return found
        fits = {
            "string": lambda: isinstance(value, str),
            "boolean": lambda: isinstance(value, bool),
            "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
            "any": lambda: True,
        }[kind]()
        if not fits:
            return [f"{path}: {value!r} is no {kind}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{path}: {value!r} is not among the words"]
        return []


class Checked:
    """A request that is carried out and whose answer is held against its method's schema."""

    def __init__(self, check, schemas):
        self.check, self.schemas = check, schemas
        self.answers = 0
        self.faults = []

    def __call__(self, request):
        answer = request.execute()
        name = method(request.methodId)["response"]["$ref"]
        self.answers += 1
        self.faults += [f"{request.methodId} {fault}" for fault in self.schemas.faults(answer, {"$ref": name})]
        return answer


def method(identity):
    """The description of a method such as people.people.connections.list."""
    node = DOCUMENT
    *resources, name = identity.split(".")[1:]
    for resource in resources:
        node = node["resources"][resource]
    return node["methods"][name]


def status(request):
    """The error that a request ends with: HTTP status, the status's name, the message."""
    try:
        request.execute()
    except HttpError as error:
        body = json.loads(error.content)["error"]
        return error.resp.status, body["status"], body["message"]
    return 200, "OK", ""


class Stay(urllib.request.HTTPRedirectHandler):
    """A browser that shows where it is sent."""

    def redirect_request(self, *_):
        return None


def browse(url):
    """Where the browser is redirected to."""
    try:
        urllib.request.build_opener(Stay).open(url, timeout=60)
    except urllib.error.HTTPError as error:
        return error.headers["Location"]
    raise RuntimeError("no redirect")


def sign_in(check, mock):
    """The whole way through the browser, with PKCE; returns credentials."""
    ends, client = mock.urls["endpoints"], mock.urls["clients"][0]
    config = {
        "installed": {
            "client_id": client["id"],
            "client_secret": client["secret"],
            "auth_uri": ends["authorize"],
            "token_uri": ends["token"],
            "redirect_uris": ["http://127.0.0.1"],
        }
    }
    flow = Flow.from_client_config(config, SCOPES, redirect_uri="http://127.0.0.1:45678/", autogenerate_code_verifier=True)
    url, state = flow.authorization_url(access_type="offline", prompt="consent")
    check.that("code_challenge_method=S256" in url, "sign-in: the library asks with PKCE", url)
    back = browse(url)
    said = urllib.parse.parse_qs(urllib.parse.urlparse(back).query)
    check.equal(said["state"], [state], "sign-in: the state comes back")
    token = flow.fetch_token(authorization_response=back)
    check.that("refresh_token" in token, "sign-in: there is a refresh token", list(token))
    credentials = flow.credentials
    check.that(credentials.valid, "sign-in: the credentials are good")

    keys = json.load(urllib.request.urlopen(ends["jwks"], timeout=60))["keys"][0]
    number = lambda text: int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")
    public = rsa.RSAPublicNumbers(number(keys["e"]), number(keys["n"])).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(credentials.id_token, certs={keys["kid"]: pem}, audience=client["id"])
    check.equal(claims["sub"], mock.account["sub"], "sign-in: google-auth takes the ID token, and it says who it is")
    check.equal(claims["iss"], ends["issuer"], "sign-in: the issuer is named")
    return credentials


def refreshing(check, mock, credentials):
    request = google.auth.transport.requests.Request()
    old, kept = credentials.token, credentials.refresh_token
    credentials.refresh(request)
    check.that(credentials.token != old, "refresh: a new access token")
    check.equal(credentials.refresh_token, kept, "refresh: the refresh token stays")
    dead = Credentials(
        None,
        refresh_token=mock.act({"refresh_token": ["contacts"]})["token"],
        token_uri=credentials.token_uri,
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
    )
    user = mock.urls["accounts"][1]["user"]
    other = mock.ask("POST", f"act?user={urllib.parse.quote(user)}", {"refresh_token": ["contacts"]})["token"]
    gone = Credentials(
        None,
        refresh_token=other,
        token_uri=credentials.token_uri,
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
    )
    dead.refresh(request)
    check.that(dead.valid, "refresh: one of several refresh tokens is good")
    mock.ask("POST", f"act?user={urllib.parse.quote(user)}", "revoke")
    try:
        gone.refresh(request)
        check.that(False, "refresh: a revoked one is refused", "it was not")
    except google.auth.exceptions.RefreshError as error:
        check.that("invalid_grant" in str(error), "refresh: a revoked one is refused", error)


def delegation(check, mock):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    email = "robot@project.iam.gserviceaccount.com"
    client = {"id": "115000000000000000000", "secret": None, "redirect_uris": [], "deleted": False,
              "kind": {"service": {"email": email, "public_key": public, "scopes": [CONTACTS]}}}
    clients = mock.ask("GET", "settings")["oauth"]["clients"]
    mock.ask("PATCH", "settings", {"oauth": {"clients": clients + [client]}})
    info = {"client_email": email, "private_key": private, "token_uri": mock.urls["endpoints"]["token"]}
    robot = service_account.Credentials.from_service_account_info(info, scopes=[CONTACTS], subject=mock.account["user"])
    request = google.auth.transport.requests.Request()
    robot.refresh(request)
    check.that(robot.valid, "delegation: google-auth's assertion is taken")
    wide = robot.with_scopes(["https://www.googleapis.com/auth/gmail.readonly"])
    try:
        wide.refresh(request)
        check.that(False, "delegation: other scopes are refused", "they were not")
    except google.auth.exceptions.RefreshError as error:
        check.that("unauthorized_client" in str(error), "delegation: other scopes are refused", error)
    return robot


def everything(do, people, **more):
    """All pages of a list, and the token at their end."""
    found, pages = [], 0
    request = people.connections().list(
        resourceName="people/me", personFields=FIELDS, sources=SOURCES, pageSize=500, requestSyncToken=True, **more
    )
    while request is not None:
        answer = do(request)
        pages += 1
        found += answer.get("connections", [])
        token = answer.get("nextSyncToken")
        request = people.connections().list_next(request, answer)
    return found, token, pages


def reading(check, mock, do, people):
    found, token, pages = everything(do, people)
    check.equal((len(found), pages), (CARDS, 3), "list: all contacts come in three pages")
    held = {one["resourceName"]: one for one in mock.ask("GET", "people")}
    check.equal({one["resourceName"] for one in found}, set(held), "list: they are those that are there")
    check.that(all(one["photos"] for one in found), "list: everybody has a photo, if only a generated one")
    none, token, _ = everything(do, people, syncToken=token)
    check.equal(none, [], "sync: nothing has changed")
    name, gone = found[3]["resourceName"], found[4]["resourceName"]
    mock.act({"edit": {"name": name, "changes": {"nicknames": [{"value": "Zed"}]}}})
    mock.act({"delete": [gone]})
    changes, token, _ = everything(do, people, syncToken=token)
    check.equal([one["resourceName"] for one in changes], [name, gone], "sync: one edit and one deletion")
    check.equal(changes[0]["nicknames"][0]["value"], "Zed", "sync: the edit is in it")
    check.equal(changes[1]["metadata"]["deleted"], True, "sync: the deletion is a tombstone")
    got = do(people.get(resourceName=name, personFields="nicknames"))
    check.equal(sorted(got), ["etag", "nicknames", "resourceName"], "get: the mask holds")
    batch = do(people.getBatchGet(resourceNames=[name, gone], personFields="names"))["responses"]
    check.equal([one["requestedResourceName"] for one in batch], [name, gone], "batchGet: one response each")
    check.that("person" not in batch[1], "batchGet: the deleted one has no person", batch[1])
    code = status(people.connections().list(resourceName="people/me", personFields="notes"))
    check.equal(code[:2], (400, "INVALID_ARGUMENT"), "list: an unknown path is refused")
    mock.act("expire_tokens")
    code = status(people.connections().list(resourceName="people/me", personFields=FIELDS, sources=SOURCES,
                                            pageSize=500, requestSyncToken=True, syncToken=token))
    check.that(code[0] == 400 and code[2].startswith("Sync token is expired"), "sync: an expired token is a 400", code)


def writing(check, mock, do, people):
    body = {
        "names": [{"givenName": "Ada", "familyName": "Example"}],
        "emailAddresses": [{"value": "ada@example.com", "type": "work"}],
        "birthdays": [{"date": {"month": 7, "day": 4}}],
        "clientData": [{"key": "contactd.uid", "value": "1"}],
        "biographies": [{"value": "Zeile eins\nZeile zwei 🎉", "contentType": "TEXT_PLAIN"}],
    }
    created = do(people.createContact(body=body, personFields=FIELDS, sources=SOURCES))
    name = created["resourceName"]
    check.equal(created["names"][0]["displayName"], "Ada Example", "create: the name is put together")
    check.equal(created["biographies"][0]["value"], body["biographies"][0]["value"], "create: text survives")
    change = {"etag": created["etag"], "phoneNumbers": [{"value": "+1 202 555 0100", "type": "mobile"}]}
    updated = do(people.updateContact(resourceName=name, updatePersonFields="phoneNumbers,birthdays",
                                      personFields=FIELDS, sources=SOURCES, body=change))
    check.equal(updated["phoneNumbers"][0]["canonicalForm"], "+12025550100", "update: a field is set")
    check.that("birthdays" not in updated, "update: one that is named and absent is cleared")
    code = status(people.updateContact(resourceName=name, updatePersonFields="phoneNumbers", body=change))
    check.equal(code[:2], (400, "FAILED_PRECONDITION"), "update: a stale etag is refused")
    code = status(people.updateContact(resourceName=name, updatePersonFields="photos", body=change))
    check.equal(code[:2], (400, "INVALID_ARGUMENT"), "update: a read-only field is refused")
    # What a library gives back can be sent back: output members are ignored.
    again = do(people.updateContact(resourceName=name, updatePersonFields="names,emailAddresses,phoneNumbers,memberships",
                                    personFields=FIELDS, sources=SOURCES, body=updated))
    same = lambda person: {key: person.get(key) for key in ("names", "emailAddresses", "phoneNumbers", "memberships")}
    check.equal(same(again), same(updated), "update: an echo changes nothing that is seen")

    picture = next(one for one in mock.ask("GET", "people") if not one["photos"][0].get("default"))["photos"][0]["url"]
    bytes_ = urllib.request.urlopen(picture, timeout=60).read()
    photo = do(people.updateContactPhoto(resourceName=name, body={
        "photoBytes": base64.urlsafe_b64encode(bytes_).decode(), "personFields": "photos,metadata", "sources": SOURCES}))
    url = photo["person"]["photos"][0]["url"]
    served = urllib.request.urlopen(url, timeout=60)
    check.that(served.headers["Content-Type"].startswith("image/") and served.read() != bytes_,
               "photo: it is served without a token, and recoded")
    gone = do(people.deleteContactPhoto(resourceName=name, personFields="photos", sources=SOURCES))
    check.equal(gone["person"]["photos"][0]["default"], True, "photo: deleted, a generated one stands in")

    check.equal(do(people.deleteContact(resourceName=name)), {}, "delete: done")
    check.equal(status(people.deleteContact(resourceName=name))[:2], (404, "NOT_FOUND"), "delete: gone already")


def batches(check, mock, do, people):
    contacts = [{"contactPerson": {"names": [{"givenName": f"Batch{at}"}]}} for at in range(200)]
    body = {"contacts": contacts, "readMask": "names,metadata", "sources": SOURCES}
    created = do(people.batchCreateContacts(body=body))["createdPeople"]
    check.equal(len(created), 200, "batch: 200 are created")
    chosen = [one["person"] for one in created[:3]]
    update = {
        "contacts": {one["resourceName"]: {"etag": one["etag"], "nicknames": [{"value": "n"}]} for one in chosen},
        "updateMask": "nicknames",
        "readMask": "nicknames,metadata",
    }
    result = do(people.batchUpdateContacts(body=update))["updateResult"]
    check.equal(sorted(result), sorted(one["resourceName"] for one in chosen), "batch: three are updated")
    code = status(people.batchUpdateContacts(body=update))
    check.equal(code[0], 400, "batch: stale, all of it is refused")
    names = [one["person"]["resourceName"] for one in created]
    check.equal(do(people.batchDeleteContacts(body={"resourceNames": names})), {}, "batch: 200 are deleted")
    check.equal(status(people.batchCreateContacts(body={"contacts": contacts + contacts[:1]}))[0], 400, "batch: 201 are too many")
    mock.act("empty_trash")


def groups(check, do, people, labels):
    group = do(labels.create(body={"contactGroup": {"name": "Suite"}}))
    code = status(labels.create(body={"contactGroup": {"name": "Suite"}}))
    check.equal(code[:2], (409, "ALREADY_EXISTS"), "groups: a name is taken once")
    changed = do(labels.update(resourceName=group["resourceName"], body={
        "contactGroup": {"etag": group["etag"], "name": "Suite 2"}}))
    check.equal(changed["formattedName"], "Suite 2", "groups: renamed")
    person = do(people.createContact(body={"names": [{"givenName": "Member"}]}))["resourceName"]
    modify = labels.members().modify
    done = do(modify(resourceName=group["resourceName"], body={"resourceNamesToAdd": [person, "people/c1"]}))
    check.equal(done, {"notFoundResourceNames": ["people/c1"]}, "groups: one added, one unknown")
    do(modify(resourceName="contactGroups/myContacts", body={"resourceNamesToRemove": [person]}))
    last = do(modify(resourceName=group["resourceName"], body={"resourceNamesToRemove": [person]}))
    check.equal(last, {"canNotRemoveLastContactGroupResourceNames": [person]}, "groups: the last one stays")
    got = do(labels.get(resourceName=group["resourceName"], maxMembers=10))
    check.equal(got["memberResourceNames"], [person], "groups: members on request")
    do(labels.batchGet(resourceNames=[group["resourceName"], "contactGroups/none"], maxMembers=1))
    listed = do(labels.list(pageSize=1000, groupFields="name,groupType,memberCount,metadata,clientData"))
    check.that(any(one["name"] == "Suite 2" for one in listed["contactGroups"]), "groups: listed")
    check.equal(do(labels.delete(resourceName=group["resourceName"])), {}, "groups: deleted")
    kept = do(people.get(resourceName=person, personFields="memberships"))
    check.equal(len(kept["memberships"]), 1, "groups: the member is left, in myContacts")
    changes = do(labels.list(pageSize=1000, groupFields="name,groupType,memberCount,metadata,clientData",
                             syncToken=listed["nextSyncToken"]))
    check.equal(changes["contactGroups"][0]["metadata"], {"deleted": True}, "groups: a tombstone")


def searching(check, do, people):
    do(people.searchContacts(query="", readMask="names"))
    found = do(people.searchContacts(query="Member", readMask="names,metadata"))
    check.equal(len(found["results"]), 1, "search: found after the warm-up")


def main():
    check = Checks()
    with Mock("--preset", "google", "--cards", str(CARDS)) as mock:
        mock.ask("PATCH", "settings", {"quotas": {"critical_read": None, "critical_write": None, "write": None}})
        credentials = sign_in(check, mock)
        refreshing(check, mock, credentials)
        robot = delegation(check, mock)
        http = lambda one: AuthorizedHttp(one, http=httplib2.Http(timeout=60))
        service = build_from_document(DOCUMENT, http=http(credentials), client_options={"api_endpoint": mock.urls["entry"]})
        people, labels = service.people(), service.contactGroups()
        do = Checked(check, Schemas(DOCUMENT))
        reading(check, mock, do, people)
        writing(check, mock, do, people)
        batches(check, mock, do, people)
        groups(check, do, people, labels)
        searching(check, do, people)
        acting = build_from_document(DOCUMENT, http=http(robot), client_options={"api_endpoint": mock.urls["entry"]})
        check.that("connections" in acting.people().connections().list(
            resourceName="people/me", personFields="names").execute(), "delegation: the robot reads the user's contacts")
        # An access token that has ended is renewed by the library, once.
        mock.act("expire_access_tokens")
        mark = mock.requests()
        do(labels.list())
        asked = [(record["path"], record["status"]) for record in mock.since(mark)]
        check.equal(asked, [("/v1/contactGroups", 401), ("/token", 200), ("/v1/contactGroups", 200)],
                    "expiry: refused, renewed, answered")
        mock.ask("PATCH", "settings", {"quotas": {"read": 0}})
        code = status(labels.list())
        check.that(code[0] == 429 and code[2].startswith("Quota exceeded for quota metric"), "quota: 429", code)
        overlapped = [record for record in mock.since(0) if record["overlapped"]]
        check.equal(overlapped, [], "journal: no two changes of one user met")
        check.that(not do.faults, f"schema: {do.answers} answers hold nothing that the document does not know",
                   f"{len(do.faults)}: {do.faults[:5]}")
        noticed = do.schemas.faults({"names": [{"nick": "x"}], "etag": 1, "urls": []}, {"$ref": "Person"})
        check.equal(len(noticed), 3, "schema: what the document does not know is noticed")
        check.that(do.answers > 30, "schema: many answers were checked", do.answers)
    check.finish()


main()
