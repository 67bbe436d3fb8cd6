"""Radicale and Xandikos with 10,000 contacts, kept the same as the CRM by the real engine, adapter and store.

Owns: the scenario, and what a card may look like after it. Must not: know how the engine does it. The contacts are
written into the servers' stores on disk; all else goes through their front doors.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from lab import Checks

CARDS = int(os.environ.get("BOOKS_CARDS", "10000"))
EDITS = 100
DELETIONS = 20
USER = "jane"
PASSWORD = "correct horse"
WORK = pathlib.Path(os.environ["WORK"])
BOOK = os.environ["BOOK"]


class Program:
    """A program of ours that answers each line with a line of JSON."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([BOOK, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[:2]} ended with {self.process.wait(timeout=10)}")
        return json.loads(line)

    def ask(self, what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.read()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Server:
    """A server that runs in a process of its own, with its store on disk."""

    name = ""
    book = ""

    def __init__(self):
        self.work = WORK / self.name
        self.work.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.process = None

    def start(self):
        log = open(self.work / "server.log", "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        host, port = self.address.split(":")
        for _ in range(300):
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def ask(self, method, path, body=None, **headers):
        """The status, the headers and the body of one answer."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": "Basic " + login, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            headers["Content-Type"] = "text/vcard; charset=utf-8"
        url = "http://" + self.address + self.book + urllib.parse.quote(path)
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, answer.headers, answer.read()

    def edit(self, name, change):
        """As another client would: read, change, write, guarded by the etag."""
        _, headers, card = self.ask("GET", name)
        status, _, _ = self.ask("PUT", name, change(card), If_Match=headers["ETag"])
        return status in (200, 201, 204)

    def delete(self, name):
        _, headers, _ = self.ask("GET", name)
        status, _, _ = self.ask("DELETE", name, If_Match=headers["ETag"])
        return status in (200, 204)


class Radicale(Server):
    name = "radicale"
    book = "/jane/contacts/"

    def folder(self):
        return self.work / "store/collection-root/jane/contacts"

    def seed(self, cards):
        self.folder().mkdir(parents=True)
        (self.folder() / ".Radicale.props").write_text('{"tag": "VADDRESSBOOK", "D:displayname": "Contacts"}')
        (self.work / "users").write_text(f"{USER}:{PASSWORD}")
        for name, card in cards.items():
            (self.folder() / name).write_bytes(card)

    def command(self):
        return [
            "radicale", "--server-hosts", self.address, "--storage-filesystem-folder", str(self.work / "store"),
            "--auth-type", "htpasswd", "--auth-htpasswd-filename", str(self.work / "users"),
            "--auth-htpasswd-encryption", "plain",
        ]  # fmt: skip

    def cards(self):
        """Every card as it stands on disk."""
        return {path.name: path.read_bytes() for path in self.folder().glob("*.vcf")}


class Xandikos(Server):
    name = "xandikos"
    book = "/jane/contacts/addressbook/"

    def folder(self):
        return self.work / "store/jane/contacts/addressbook"

    def seed(self, cards):
        from dulwich.repo import Repo

        # It makes its own folders first.
        self.start()
        self.stop()
        repo = Repo(str(self.folder()))
        for name, card in cards.items():
            (self.folder() / name).write_bytes(card)
        tree = repo.get_worktree()
        tree.stage(sorted(cards))
        tree.commit(message=b"Contacts", committer=b"Jane <jane@example.com>", author=b"Jane <jane@example.com>")
        repo.close()

    def command(self):
        return [
            "xandikos", "serve", "-d", str(self.work / "store"), "--state-dir", str(self.work / "state"), "--defaults",
            "--current-user-principal", "/jane/", "-l", "127.0.0.1", "-p", self.address.split(":")[1],
            "--no-detect-systemd",
        ]  # fmt: skip

    def cards(self):
        return {path.name: path.read_bytes() for path in self.folder().glob("*.vcf")}


def unfolded(card):
    return re.sub(rb"\r?\n[ \t]", b"", card).decode("utf-8").replace("\r\n", "\n").strip("\n").split("\n")


def property_of(line):
    """Group, name, parameters and value of a line, whatever the spelling: servers and clients may choose that."""
    head, value = re.match(r'((?:[^":]|"[^"]*")*):(.*)', line, re.S).groups()
    name, *parameters = re.findall(r'(?:[^";]|"[^"]*")+', head)
    group, _, name = name.rpartition(".")
    said = set()
    for parameter in parameters:
        key, _, values = parameter.partition("=")
        said |= {(key.upper(), value.strip('"').lower()) for value in (values or key).split(",")}
    value = re.sub(r"\\(.)", lambda m: "\n" if m[1] in "nN" else m[1], value)
    name = name.upper()
    if name in ("N", "ORG", "ADR"):
        value = value.rstrip(";")
    return group.lower(), name, frozenset(said), value


# What whoever writes a card puts there anew.
STAMPS = ("REV", "PRODID")


def properties(card):
    found = [property_of(line) for line in unfolded(card) if line]
    return sorted((p for p in found if p[1] not in STAMPS), key=repr)


def values_of(card, name):
    """In the order of the card."""
    return [value for _, found, _, value in map(property_of, filter(None, unfolded(card))) if found == name]


def is_group(card):
    return b"X-ADDRESSBOOKSERVER-KIND:group" in card


def noted(card, text):
    """The card with another note, all else as it came."""
    lines = [line for line in unfolded(card) if not line.upper().startswith("NOTE")]
    lines.insert(-1, "NOTE:" + text)
    return ("\r\n".join(lines) + "\r\n").encode()


def phoned(card, number):
    lines = unfolded(card)
    lines.insert(-1, "TEL;TYPE=WORK;TYPE=VOICE:" + number)
    return ("\r\n".join(lines) + "\r\n").encode()


class Lap:
    """Says how long each step took."""

    def __init__(self, name):
        self.name = name
        self.since = time.monotonic()

    def told(self, what, cost=None):
        now = time.monotonic()
        more = ""
        if cost and "cpu_ms" in cost:
            more = f"; the sync {cost['wall_ms'] / 1000:.1f} s, of it our CPU {cost['cpu_ms'] / 1000:.2f} s"
            more += f", peak {cost['peak_kb'] // 1024} MB"
        print(f"     {self.name}: {what}: {now - self.since:.1f} s{more}", flush=True)
        self.since = now


def dumped(book, to):
    book.ask({"do": "dump", "to": str(to)})
    people = [json.loads(line) for line in to.read_text().splitlines()]
    to.unlink()
    return people


def live_link(person):
    return [link for link in person["links"] if link["state"] == "live"]


def writes(passed):
    return {method: n for method, n in passed["methods"].items() if method in ("PUT", "DELETE", "POST", "MOVE")}


def scenario(check, server, seeds):
    lap = Lap(server.name)
    say = lambda text: f"{server.name}: {text}"
    server.seed(seeds)
    lap.told(f"{len(seeds)} cards written into its store")
    server.start()
    # Radicale reads a store that it has not seen before card by card, which takes minutes. Nobody's sync is that first one.
    server.ask("PROPFIND", "", Depth="1", Content_Type="application/xml")
    lap.told("started, and everything read once")
    proxy = Program("count", server.address)
    place = {"store": str(server.work / "book.db"), "url": proxy.first["url"] + "/", "user": USER, "password": PASSWORD}
    book = Program("work", json.dumps(place))
    proxy.ask("")
    contacts = {name for name, card in seeds.items() if not is_group(card)}

    first = book.ask({"do": "sync"})
    passed = proxy.ask("")
    lap.told(f"first sync, {sum(passed['methods'].values())} requests", first)
    check.equal(first.get("error"), None, say("the first sync succeeds"))
    check.equal(first.get("tally", {}).get("failed"), 0, say("no card fails"))
    check.equal(first.get("tally", {}).get("local", {}).get("added"), len(contacts), say("every contact is a person"))
    check.equal(writes(passed), {}, say("the first sync writes nothing there"))
    check.that(server.cards() == seeds, say("every card is byte for byte what it was"))
    people = dumped(book, server.work / "people")
    named = {}
    for person in people:
        for link in live_link(person):
            named[urllib.parse.unquote(link["remote"].rpartition("/")[2])] = person
    check.equal((len(people), set(named)), (len(contacts), contacts), say("each card has one person, each person one card"))
    book.ask({"do": "sync"})
    passed = proxy.ask("")
    check.equal(passed["methods"], {"REPORT": 1}, say("the next sync is one request"))
    lap.told("checked")

    # Both sides change, each its own cards, all over the book.
    spread = sorted(contacts)
    step = len(spread) // (2 * (EDITS + DELETIONS))
    chosen = spread[::step][: 2 * (EDITS + DELETIONS)]
    there_edited, here_edited = chosen[0 : 2 * EDITS : 2], chosen[1 : 2 * EDITS : 2]
    there_deleted, here_deleted = chosen[2 * EDITS :: 2], chosen[2 * EDITS + 1 :: 2]
    done = 0
    for n, name in enumerate(there_edited):
        change = (lambda c, n=n: noted(c, f"Changed there\\, {n}")) if n % 2 else (lambda c, n=n: phoned(c, f"+1 212 555 01{n:02}"))
        done += server.edit(name, change)
    done += sum(server.delete(name) for name in there_deleted)
    check.equal(done, EDITS + DELETIONS, say("another client edits and deletes"))
    # As the server hands it out: Radicale drops what follows a bare comma in a text, and doubles backslashes.
    served = {name: server.ask("GET", name)[2] for name in here_edited}
    edits = []
    for n, name in enumerate(here_edited):
        edit = {"id": named[name]["id"], "note": f"Changed here, {n}\nin two lines"}
        if n % 2:
            edit["phone"] = f"+44 7700 900{n:03}"
        edits.append(edit)
    book.ask({"do": "edit", "people": edits})
    book.ask({"do": "trash", "people": [named[name]["id"] for name in here_deleted]})
    between = server.cards()
    proxy.ask("")
    lap.told("edits and deletions on both sides")

    runs = 0
    while runs < 4:
        cost = book.ask({"do": "sync"})
        passed = proxy.ask("")
        runs += 1
        lap.told(f"sync {runs} after them, {sum(passed['methods'].values())} requests, writes {writes(passed)}", cost)
        if runs == 1:
            check.equal(cost.get("error"), None, say("the sync succeeds"))
            check.equal(writes(passed), {"PUT": EDITS, "DELETE": DELETIONS}, say("one write each"))
            tally = cost.get("tally", {})
            counts = [tally.get(side, {}).get(kind) for side in ("local", "remote") for kind in ("added", "updated", "deleted")]
            check.equal(counts, [0, EDITS, DELETIONS] * 2, say("the tally says so"))
            check.equal((tally.get("held"), tally.get("failed"), tally.get("conflicts")), (0, 0, 0), say("nothing is held, fails or clashes"))
        elif passed["methods"] == {"REPORT": 1}:
            break
    check.that(runs <= 3, say("it is quiet after the second run at the latest"), f"{runs} runs")
    check.equal(writes(passed), {}, say("at rest nothing is written"))

    after = server.cards()
    gone = set(there_deleted) | set(here_deleted)
    check.equal(set(after), set(seeds) - gone, say("what was deleted on either side is gone there, all else is there once"))
    untouched = set(after) - set(here_edited) - set(there_edited)
    check.equal([n for n in sorted(untouched) if after[n] != seeds[n]], [], say("untouched cards are byte for byte the same"))
    check.equal([n for n in there_edited if after.get(n) != between[n]], [], say("what was edited there is not written back"))
    wrong = []
    for n, name in enumerate(here_edited):
        before, now = properties(served[name]), properties(after[name])
        lost = [p for p in before if p not in now and p[1] != "NOTE"]
        new = [p for p in now if p not in before and p[1] != "NOTE"]
        phones = [f"+44 7700 900{n:03}"] if n % 2 else []
        # A card may have several notes; only the first one is ours.
        notes = [f"Changed here, {n}\nin two lines"] + values_of(served[name], "NOTE")[1:]
        found = values_of(after[name], "NOTE")
        if lost or [p[3] for p in new] != phones or sorted(found) != sorted(notes):
            wrong.append((name, lost, new, found, notes))
    check.equal(wrong, [], say("cards edited here differ in what was edited, and in nothing else"))

    people = dumped(book, server.work / "people")
    live = {p["id"]: p for p in people if not p["trashed"]}
    trashed = {p["id"] for p in people if p["trashed"]}
    check.equal(trashed, {named[name]["id"] for name in gone}, say("who was deleted is in the trash, and nobody else"))
    check.equal(len(live), len(contacts) - len(gone), say("all other people are there, none twice"))
    remotes = [link["remote"] for p in live.values() for link in live_link(p)]
    check.equal((len(remotes), len(set(remotes))), (len(live), len(live)), say("each has its one card"))
    arrived = []
    for n, name in enumerate(there_edited):
        card = live.get(named[name]["id"], {}).get("card", {})
        there = card.get("note") == f"Changed there, {n}" if n % 2 else any(p["value"] == f"+1 212 555 01{n:02}" for p in card.get("phones", []))
        if not there:
            arrived.append((name, card))
    check.equal(arrived, [], say("what was edited there has arrived"))
    touched = {named[name]["id"] for name in chosen}
    changed = [p["id"] for p in named.values() if p["id"] not in touched and live.get(p["id"], {}).get("card") != p["card"]]
    check.equal(changed, [], say("nobody else has changed"))
    check.equal(book.ask({"do": "check"})["wrong"], [], say("the store agrees with itself"))
    lap.told("checked")
    book.stop()
    proxy.stop()
    server.stop()


def main():
    started = time.monotonic()
    check = Checks()
    subprocess.run([BOOK, "seed", str(WORK / "seeds"), str(CARDS)], check=True)
    seeds = {path.name: path.read_bytes() for path in (WORK / "seeds").iterdir()}
    shutil.rmtree(WORK / "seeds")
    only = sys.argv[1:]
    for kind in (Radicale, Xandikos):
        if only and kind.name not in only:
            continue
        server = kind()
        try:
            scenario(check, server, seeds)
        except Exception as error:
            check.that(False, f"{kind.name}: the scenario ends", repr(error))
        finally:
            server.stop()
    print(f"     in all: {time.monotonic() - started:.0f} s", flush=True)
    check.finish()


main()
