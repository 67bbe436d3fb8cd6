"""What the suites share: a running mock with its back door, and counted checks.

Owns: starting, asking and stopping the mock program; the tally. Must not: know a client.
"""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request


class Checks:
    """Counts what holds and what does not; prints each."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def that(self, holds, what, detail=""):
        if holds:
            self.passed += 1
            print(f"ok   {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {what}: {detail}", flush=True)
        return holds

    def equal(self, left, right, what):
        return self.that(left == right, what, f"{str(left)[:600]} is not {str(right)[:600]}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)


class Mock:
    """The program `mock-providers` on ports that the system chose."""

    def __init__(self, *arguments):
        command = [os.environ["MOCK"], "--json", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command} did not start")
        self.urls = json.loads(line)
        self.account = self.urls["accounts"][0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)

    def ask(self, method, path, body=None):
        """A request at the back door; the answer as JSON, or as bytes when it is none."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/vcard" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(self.urls["control"] + path, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            raw = answer.read()
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            return json.loads(raw) if is_json else raw

    def cards(self):
        """Name, UID, etag and more of each card."""
        return self.ask("GET", "cards")

    def card(self, name):
        return self.ask("GET", "cards/" + urllib.parse.quote(name, safe=""))

    def store(self, name, card):
        self.ask("PUT", "cards/" + urllib.parse.quote(name, safe=""), card)

    def delete(self, name):
        self.ask("DELETE", "cards/" + urllib.parse.quote(name, safe=""))

    def act(self, what):
        return self.ask("POST", "act", what)

    def requests(self):
        """How many requests there have been: a mark for `since`."""
        return self.ask("GET", "state")["requests"]

    def since(self, mark):
        """The journal after a mark."""
        return self.ask("GET", f"journal?since={mark}")

    def effects(self, mark):
        """What requests did after a mark: a list of (kind, card name) for writes."""
        writes = ("created", "updated", "deleted")
        found = [effect for record in self.since(mark) for effect in record["effects"]]
        return [(kind, name) for effect in found for kind, name in effect.items() if kind in writes]
