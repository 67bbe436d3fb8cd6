"""vdirsyncer against the mock: a CardDAV client that nobody here wrote must find the book and keep it the same.

Owns: the scenario. Must not: be bent to what the mock does; vdirsyncer is right until a document says otherwise.
"""

import os
import pathlib
import subprocess

from lab import Checks, Mock

CARDS = 300

CONFIG = """
[general]
status_path = "{work}/status/"

[pair contacts]
a = "local"
b = "remote"
collections = ["from b"]
conflict_resolution = "b wins"

[storage local]
type = "filesystem"
path = "{work}/cards/"
fileext = ".vcf"

[storage remote]
type = "carddav"
url = "{url}/"
username = "{user}"
password = "{password}"
"""


def lines(card):
    """What a card says, whatever its order, folds, product and revision."""
    text = card.replace(b"\r\n", b"\n").replace(b"\n ", b"").decode("utf-8")
    return sorted(line for line in text.split("\n") if line and not line.startswith(("PRODID", "REV")))


def uid(card):
    return next(line[4:] for line in lines(card) if line.startswith("UID:"))


def vcard(identity, name):
    return (
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};Robin;;;\r\nFN:Robin {name}\r\n"
        f"EMAIL;type=INTERNET:{identity}@example.com\r\nUID:{identity}\r\nEND:VCARD\r\n"
    ).encode()


class Client:
    """A vdirsyncer with its own files."""

    def __init__(self, work, mock):
        self.work = work
        work.mkdir(parents=True)
        self.config = work / "config"
        account = mock.account
        text = CONFIG.format(work=work, url=mock.urls["entry"], user=account["user"], password=account["password"])
        self.config.write_text(text)

    def run(self, command, answers=""):
        whole = ["vdirsyncer", "-c", str(self.config), command]
        return subprocess.run(whole, input=answers, text=True, capture_output=True, timeout=300)

    def folder(self):
        return next((self.work / "cards").iterdir())

    def files(self):
        return {path: path.read_bytes() for path in self.folder().glob("*.vcf")}

    def by_uid(self):
        return {uid(card): path for path, card in self.files().items()}


def same(check, mock, client, what):
    """Both sides hold the same cards."""
    remote = {row["uid"]: lines(mock.card(row["name"])) for row in mock.cards()}
    local = {uid(card): lines(card) for card in client.files().values()}
    differing = [one for one in remote.keys() | local.keys() if remote.get(one) != local.get(one)]
    detail = [(one, set(remote.get(one, [])) ^ set(local.get(one, []))) for one in differing[:3]]
    check.that(not differing, f"{what}: both sides hold the same {len(remote)} cards", f"{len(differing)}: {detail}")


def settle(check, mock, client, what):
    """Syncs until nothing changes, which must be soon, and once more, which must change nothing."""
    for rounds in range(1, 4):
        mark, before = mock.requests(), client.files()
        done = client.run("sync")
        check.equal(done.returncode, 0, f"{what}: sync {rounds} succeeds")
        if not mock.effects(mark) and client.files() == before:
            break
    mark, before = mock.requests(), client.files()
    done = client.run("sync")
    quiet = done.returncode == 0 and not mock.effects(mark) and client.files() == before
    check.that(quiet, f"{what}: another sync changes nothing", f"{mock.effects(mark)} {done.stderr}")


def play(check, preset, work):
    with Mock("--preset", preset, "--cards", str(CARDS)) as mock:
        client = Client(work, mock)
        found = client.run("discover", "y\n" * 10)
        check.equal(found.returncode, 0, f"{preset}: discover succeeds")
        name = mock.account["book"].rstrip("/").split("/")[-1]
        check.equal([path.name for path in (work / "cards").iterdir()], [name], f"{preset}: it finds the one book")

        mark = mock.requests()
        first = client.run("sync")
        check.that(first.returncode == 0, f"{preset}: the first sync succeeds", first.stderr[-600:])
        check.equal(len(client.files()), CARDS, f"{preset}: it brings all cards")
        check.equal(mock.effects(mark), [], f"{preset}: it writes nothing to the server")
        same(check, mock, client, f"{preset}, first sync")
        settle(check, mock, client, f"{preset}, first sync")

        # Each side creates, edits and deletes, no card twice.
        rows = sorted((row for row in mock.cards() if not row["group"]), key=lambda row: row["uid"])
        local = client.by_uid()
        for number, row in enumerate(rows[:10]):
            path = local[row["uid"]]
            path.write_bytes(path.read_bytes().replace(b"END:VCARD", b"NICKNAME:local %d\r\nEND:VCARD" % number))
        for row in rows[10:20]:
            local[row["uid"]].unlink()
        for number in range(10):
            (client.folder() / f"new{number}.vcf").write_bytes(vcard(f"local-{number}", f"Local {number}"))
        for number, row in enumerate(rows[20:30]):
            card = mock.card(row["name"])
            mock.store(row["name"], card.replace(b"END:VCARD", b"NICKNAME:remote %d\r\nEND:VCARD" % number))
        for row in rows[30:40]:
            mock.delete(row["name"])
        for number in range(10):
            mock.ask("POST", "cards", vcard(f"remote-{number}", f"Remote {number}"))

        mark = mock.requests()
        both = client.run("sync")
        check.that(both.returncode == 0, f"{preset}: a sync of edits on both sides succeeds", both.stderr[-600:])
        kinds = [kind for kind, _ in mock.effects(mark)]
        tally = {kind: kinds.count(kind) for kind in ("created", "updated", "deleted")}
        check.equal(tally, {"created": 10, "updated": 10, "deleted": 10}, f"{preset}: the server got each local edit once")
        settle(check, mock, client, f"{preset}, both sides")
        same(check, mock, client, f"{preset}, both sides")
        check.equal(len(mock.cards()), CARDS, f"{preset}: as many came as went")
        nicknames = [line for card in client.files().values() for line in lines(card) if line.startswith("NICKNAME:")]
        for side in ("local", "remote"):
            count = sum(line.startswith(f"NICKNAME:{side} ") for line in nicknames)
            check.equal(count, 10, f"{preset}: every {side} edit is there")

        # The answer to a create is lost: there must be one card in the end.
        mock.ask("POST", "faults", {"on": {"method": "PUT", "creating": True}, "fault": "cut_after"})
        mark = mock.requests()
        (client.folder() / "lost.vcf").write_bytes(vcard("lost-answer", "Lost"))
        client.run("sync")
        check.equal(mock.ask("GET", "faults"), [], f"{preset}: an answer was lost")
        settle(check, mock, client, f"{preset}, lost answer")
        created = [name for kind, name in mock.effects(mark) if kind == "created"]
        check.equal(len(created), 1, f"{preset}: after a lost answer the card was created once")
        same(check, mock, client, f"{preset}, lost answer")

        # A revoked password stops everything and deletes nothing.
        before = client.files()
        mock.act("revoke_password")
        refused = client.run("sync")
        check.that(refused.returncode != 0, f"{preset}: a revoked password fails the sync")
        check.equal(client.files(), before, f"{preset}: it leaves the local cards alone")
        mock.act({"password": mock.account["password"]})
        settle(check, mock, client, f"{preset}, password back")


def main():
    check = Checks()
    for preset in ("icloud", "generic"):
        play(check, preset, pathlib.Path(os.environ["WORK"]) / preset)
    check.finish()


main()
