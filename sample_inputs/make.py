"""Write the sample inputs: fictional people and ids of a tenant contoso.example, the same at every run.

``python sample_inputs/make.py`` writes next to itself. The ids have the shape of real ones (URL-safe base64 that begins
with AAMk, a long part in common for each mailbox) and name nothing that exists.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import random
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_NAMES = [
    "Adele",
    "Alex",
    "Amber",
    "Bianca",
    "Cameron",
    "Debra",
    "Diego",
    "Emily",
    "Grady",
    "Henrietta",
    "Irvin",
    "Isaiah",
    "Joni",
    "Lee",
    "Lidia",
    "Lynne",
]
LAST_NAMES = [
    "Vance",
    "Wilber",
    "Rodriguez",
    "Pisani",
    "White",
    "Berger",
    "Siciliani",
    "Braun",
    "Archie",
    "Mueller",
    "Sayers",
    "Langer",
    "Sherman",
    "Gu",
]
COMPANIES = [
    "Fabrikam",
    "Woodgrove Bank",
    "Litware, Inc.",
    "Proseware",
    "Tailwind Traders",
    'Bar "Zum Löwen"',
    "Café Ötker",
]


class Row(NamedTuple):
    """One contact to purge, as an administrator's export has it."""

    user: str
    folder: str
    contact: str
    displayName: str


class Tenant:
    """Draws mailboxes, folders and contacts from one seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def rows(self, mailboxes: int, rows: int) -> list[Row]:
        """Rows sorted by mailbox, a few mailboxes with most of them, one in two with a contact folder."""
        shares = [1 / (rank + 1.5) for rank in range(mailboxes)]
        counts = [max(1, round(rows * share / sum(shares))) for share in shares]
        counts[0] += rows - sum(counts)
        users = sorted(self._user(number) for number in range(mailboxes))
        self._rng.shuffle(counts)
        return [row for user, count in zip(users, counts, strict=True) for row in self._mailbox(user, count)]

    def _mailbox(self, user: str, count: int) -> Iterator[Row]:
        store = self._id_bytes(34)
        folder = self._id(store, 22) if self._rng.random() < 0.5 else ""
        for _ in range(count):
            yield Row(user, folder, self._id(store, 58), self._name())

    def _user(self, number: int) -> str:
        if number % 8 == 7:
            return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        if number % 20 == 9:
            return f"partner{number}_fabrikam.example#EXT#@contoso.example"
        first, last = self._rng.choice(FIRST_NAMES), self._rng.choice(LAST_NAMES)
        return f"{first}.{last}{number}@contoso.example".lower()

    def _name(self) -> str:
        person = f"{self._rng.choice(FIRST_NAMES)} {self._rng.choice(LAST_NAMES)}"
        return person if self._rng.random() < 0.7 else f"{person} ({self._rng.choice(COMPANIES)})"

    def _id_bytes(self, count: int) -> bytes:
        return self._rng.randbytes(count)

    def _id(self, store: bytes, own: int) -> str:
        tail = self._id_bytes(8)
        raw = b"\x00\x03\x24\x00" + store + bytes(own - len(tail)) + tail
        return base64.urlsafe_b64encode(raw).decode("ascii")


def csv_text(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    delimiter: str = ",",
    end: str = "\n",
    quote_all: bool = False,
) -> str:
    """The rows as CSV, with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(
        text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def bad_rows(good: Row) -> bytes:
    """One row of every kind that is never sent, each with the reason in its last column, and good ones in between."""
    user, contact = good.user.encode(), good.contact.encode()
    lines = [
        b"user,folder,contact,why",
        b"%s,,%s,nothing is wrong with this one" % (user, contact),
        b",,%s,the user is empty" % contact,
        b"%s,,,the contact is empty" % user,
        b"not a mailbox,,%s,the user is neither a name with @ nor a GUID" % contact,
        b"../me,,%s,a user that Graph could resolve as a path" % contact,
        b"..%%2Fme,,%s,the same in disguise" % contact,
        b"%s,,%s,a contact id from Exchange Web Services with / in it"
        % (user, contact[:-20] + b"/AAA" + contact[-16:]),
        b"%s,,%s,a contact id with a space in it" % (user, contact[:40] + b" " + contact[40:]),
        b"%s,,%s,a contact id with a query behind it" % (user, contact + b"?$select=id"),
        b"%s,,%s,a contact id that is far too long" % (user, contact * 5),
        b"%s,Contacts/Old,%s,a folder given by its path and not by its id" % (user, contact),
        b"%s,%s" % (user, contact),
        b"%s,,%s,too many cells,because of a comma without quotes" % (user, contact),
        b"caf\xe9@contoso.example,,%s,bytes in the user that are not UTF-8" % contact,
        b"%s,,%s\x00,a NUL character" % (user, contact),
        b"%s,,%s\x07,a control character" % (user, contact[:40]),
        b"%s@contoso.example,,%s,a user that is far too long" % (b"u" * 330, contact),
        b'%s,,%s,"a note over' % (user, contact),
        b'two lines, which is fine"',
        b"",
        b"  %s ,, %s ,spaces around the values are removed: fine" % (user, contact),
        b"%s,,%s,the same contact again: a duplicate" % (user, contact),
    ]
    return b"\r\n".join(lines) + b"\r\n"


def failed_items(rows: Sequence[Row]) -> str:
    """An export of a ledger, filtered to the rows that did not end well: it is an input itself."""
    columns = [
        "row",
        "user",
        "folder",
        "contact",
        "outcome",
        "status",
        "code",
        "message",
        "attempts",
        "in_doubt",
        "first_sent_utc",
        "settled_utc",
        "request_id",
        "client_request_id",
        "displayName",
    ]
    endings = [
        ("refused", "400", "ErrorInvalidIdMalformed", "Id is malformed.", "1", "false"),
        ("exhausted", "503", "ServiceUnavailable", "The service is unavailable.", "8", "true"),
        ("exhausted", "", "", "", "8", "true"),
        (
            "skipped",
            "404",
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive or on-premise.",
            "0",
            "false",
        ),
        ("refused", "423", "ErrorItemLocked", "'-Locked by another process.", "4", "false"),
    ]
    rng = random.Random(7)
    out = []
    for number, row in enumerate(rows):
        outcome, *answer = endings[number % len(endings)]
        ids = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(2)]
        times = [f"2025-03-14T09:{number:02d}:07.250Z", f"2025-03-14T09:{number:02d}:31.004Z"]
        sent = [times[0], times[1], *ids] if outcome != "skipped" else ["", times[1], "", ""]
        name = "'=SUM of all (old)" if number == 3 else row.displayName
        out.append([str(number * 37 + 5), row.user, row.folder, row.contact, outcome, *answer, *sent, name])
    return csv_text(columns, out, end="\r\n")


def write_all(into: Path) -> None:
    """Write every sample below ``into``."""
    (into / "folder").mkdir(parents=True, exist_ok=True)
    contacts = Tenant(1).rows(mailboxes=40, rows=1_200)
    few = Tenant(2).rows(mailboxes=12, rows=150)
    plain = csv_text(Row._fields, contacts)
    (into / "contacts.csv").write_bytes(plain.encode())
    packed = csv_text(Row._fields, Tenant(3).rows(mailboxes=20, rows=400))
    (into / "contacts.csv.gz").write_bytes(gzip.compress(packed.encode(), 9, mtime=0))
    smaller = csv_text(Row._fields, Tenant(7).rows(mailboxes=10, rows=120))
    (into / "contacts.csv.zst").write_bytes(pa.compress(smaller.encode(), codec="zstd", asbytes=True))
    table = pa.table({name: [row[place] for row in Tenant(4).rows(20, 400)] for place, name in enumerate(Row._fields)})
    pq.write_table(table, into / "contacts.parquet", compression="zstd")
    powershell = csv_text(
        ["UserPrincipalName", "ContactId", "DisplayName"],
        [(r.user, r.contact, r.displayName) for r in few],
        end="\r\n",
        quote_all=True,
    )
    marked = "#TYPE Selected.System.Management.Automation.PSCustomObject\r\n" + powershell
    (into / "powershell-utf16.csv").write_bytes(b"\xff\xfe" + marked.encode("utf-16-le"))
    semicolons = csv_text(
        ["mailbox", "contactFolderId", "id", "name"], Tenant(5).rows(10, 120), delimiter=";", end="\r\n"
    )
    (into / "semicolon-bom.csv").write_bytes(b"\xef\xbb\xbf" + semicolons.encode())
    tabs = csv_text(
        ["contact", "user", "displayName"],
        [(r.contact, r.user, r.displayName) for r in Tenant(6).rows(10, 120)],
        delimiter="\t",
    )
    (into / "tabs.tsv").write_bytes(tabs.encode())
    (into / "every-bad-row.csv").write_bytes(bad_rows(next(row for row in contacts if "@" in row.user)))
    (into / "failed-items-ledger.csv").write_bytes(failed_items(few[:40]).encode())
    for number, name in enumerate(("east.csv", "west.csv")):
        (into / "folder" / name).write_bytes(csv_text(Row._fields, Tenant(8 + number).rows(8, 100)).encode())


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
