"""The generated tables of docs/tasks/when-something-fails.md: outcomes, answers of Graph, refusals of the login, `check`.

`python -m tests.pages` writes them anew. Each is made from the table that the program itself uses.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from purgeengine import errors, shortages
from purgeengine.cli.main import EPILOG
from purgeengine.cli.options.flags import as_flags
from purgeengine.core.graph.verdicts import IMMUTABLE_TABLE, MAILBOX_RULES, TABLE, Rule, Verdict, judge
from purgeengine.core.messages import HaltReason
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.advice import LEFT_OUT
from purgeengine.core.policy.probing import Standing
from purgeengine.core.policy.remedies import INVALID, REMEDIES_BY_CODE, remedy_for
from purgeengine.edges.login.refusals import PASSING_NUMBERS, REMEDIES_BY_ERROR, REMEDIES_BY_NUMBER
from purgeengine.jobs.purge import HALTS
from purgeengine.run_limits import Limits
from tests.pages.markdown import code, escaped, from_docstring, replaced, table

PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "when-something-fails.md"
ANY_4XX = 400
"""A status for codes that mean the same under every 4xx."""
SAID = "STATUS CODE MESSAGE"
"""Stands for what Graph said."""
UNKNOWN_CODE = "SomeOtherCode"
SEPARATOR = " | "
"""Stands between the parts of a message that a rule asks for."""
STATUSES = (0, 302, 400, 401, 403, 404, 408, 409, 412, 423, 424, 429, 499, 500, 501, 503, 507)
"""The statuses with a meaning of their own, and one of each class: 302 for redirects, 499 and 500 for the others."""
CLASSES = {0: "no answer", 302: "3xx", 499: "other 4xx", 500: "other 5xx"}
ACT = {
    True: "`purgeengine retry` sends such rows again",
    False: "nothing: such rows ended well",
}
ATTEMPTS = Limits().attempts_max
VERDICTS = {
    Verdict.DONE: "the row is purged",
    Verdict.GONE: "the row is absent, or purged if an earlier attempt is in doubt",
    Verdict.REFUSED: "the row is refused",
    Verdict.UNKNOWN: "the row is refused; a mailbox that refuses every row alike is closed",
    Verdict.UNCLEAR: "the row is sent a few more times, then it is refused",
    Verdict.NOT_ATTEMPTED: "the row is sent again, and no attempt is counted",
    Verdict.FAULT: f"the row is in doubt and is sent again; after {ATTEMPTS} failed attempts it is exhausted",
    Verdict.UNREACHED: f"the row is sent again; after {ATTEMPTS} failed attempts it is exhausted",
    Verdict.THROTTLED: "the mailbox waits as long as Graph says, then the row is sent again",
    Verdict.HELD_BACK: "the mailbox waits for minutes, then the row is sent again",
    Verdict.CLOSED: "the mailbox is closed: its other rows are skipped",
    Verdict.TOKEN_REFUSED: "the token is renewed and the row sent again; a mailbox that refuses a good token is closed",
    Verdict.INTERCEPTED: "the call counts as failed",
    Verdict.APP_REFUSED: "the run stops with exit code 3",
    Verdict.NO_SUCH_ACTION: "the run stops with exit code 3",
}
"""What the program does at each verdict, for people."""
NAMES = {"tenant": "TENANT", "client": "CLIENT-ID", "host": "LOGIN-HOST"}
"""What stands for the values of the moment in a refusal."""


def renewed(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, made in TABLES.items():
        page = replaced(page, name, made())
    return page


def outcomes() -> str:
    """Return a line for each outcome: what it means, whether a run with such a row ends with 1, and what to do."""
    meanings = docstrings_of_members(Outcome)
    rows = []
    for outcome in Outcome:
        act = escaped(INVALID.sentence) if outcome is Outcome.INVALID else ACT[outcome.worth_retrying]
        if outcome is Outcome.SKIPPED:
            act += f". Rows that a filter left out: {escaped(LEFT_OUT.sentence)}"
        rows.append((code(outcome), from_docstring(meanings[outcome.name]), "1" if outcome.ended_badly else "0", act))
    return table(("outcome", "meaning", "exit code", "what to do"), rows)


def exceptions() -> str:
    """Return a line for each exception that ends a command, with its exit code, from the docstrings of `purgeengine.errors`."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PurgeEngineError)
    ]
    kinds = [kind for kind in kinds if kind is not errors.PurgeEngineError]
    return table(
        ("exit code", "exception in Python", "what happened, and what to do"),
        (
            (str(kind.exit_code), code(kind.__name__), from_docstring(inspect.getdoc(kind) or ""))
            for kind in sorted(kinds, key=lambda kind: kind.exit_code)
        ),
    )


def exit_code_meanings() -> dict[int, str]:
    """Return what `purgeengine --help` says of each exit code."""
    return {int(number): meaning for number, meaning in re.findall(r"^ +(\d)  (.+)$", EPILOG, re.MULTILINE)}


def graph_codes() -> str:
    """Return a line for each group of Graph's error codes with the same meaning and remedy, in the order of the alphabet."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name, replies in replies_by_code().items():
        acts = "; ".join(dict.fromkeys(_act(reply) for reply in replies))
        remedies = list(dict.fromkeys(remedy_for(*reply[:3]) for reply in replies))
        said = " Or: ".join(remedy.sentence for remedy in remedies)
        again = " / ".join(dict.fromkeys("yes" if remedy.worth_retrying else "no" for remedy in remedies))
        groups[acts, said, again].append(name)
    rows = [
        (", ".join(code(name) for name in names), escaped(acts), escaped(said), again)
        for (acts, said, again), names in groups.items()
    ]
    return table(("code", "what the program does", "what to do", "retry"), sorted(rows, key=lambda row: row[0].lower()))


def replies_by_code() -> dict[str, list[Reply]]:
    """Return every code that has a rule or a remedy, spelt as Graph spells it, with an answer for each rule that names it."""
    spelt = {name.lower(): name for _, names in REMEDIES_BY_CODE for name in names}
    found: dict[str, list[Reply]] = {name: [] for name in sorted(spelt.values(), key=str.lower)}
    for status, rules in [(ANY_4XX, MAILBOX_RULES), *TABLE.items()]:
        for rule in rules:
            for name in rule.codes or ():
                if name:
                    found.setdefault(spelt.get(name, name), []).append(_reply(status, spelt.get(name, name), rule))
    return {name: replies or [Reply(ANY_4XX, name, "")] for name, replies in found.items()}


def codes_with_rules() -> set[str]:
    """Return every error code, in lower case, that a table of verdicts names."""
    rules = [
        *MAILBOX_RULES,
        *(rule for table in (TABLE, IMMUTABLE_TABLE) for rules in table.values() for rule in rules),
    ]
    return {name for rule in rules for name in rule.codes or () if name}


def statuses() -> str:
    """Return a line for each HTTP status with a code that is not in the other table, and for each message that has a rule."""
    replies = [
        (CLASSES.get(status, str(status)), Reply(status, UNKNOWN_CODE if status else "", "")) for status in STATUSES
    ]
    replies += [
        (str(status), _reply(status, "", rule))
        for status, rules in TABLE.items()
        for rule in rules
        if rule.codes is None and rule.message_has
    ]
    rows = []
    for title, reply in replies:
        remedy = remedy_for(*reply[:3])
        act = _act(reply) if reply.status else VERDICTS[Verdict.FAULT]
        rows.append((title, escaped(act), escaped(remedy.sentence), "yes" if remedy.worth_retrying else "no"))
    return table(("status", "what the program does", "what to do", "retry"), rows)


def login_numbers() -> str:
    """Return a line for each refusal of the login: its AADSTS numbers, the reason and the remedy."""
    return table(("number", "reason and remedy"), _grouped(REMEDIES_BY_NUMBER, lambda number: f"AADSTS{number}"))


def login_errors() -> str:
    """Return a line for each error of the login that has no known number."""
    return table(("error", "reason and remedy"), _grouped(REMEDIES_BY_ERROR, str))


def passing_numbers() -> str:
    """Return the AADSTS numbers of errors that pass by themselves, as a sentence."""
    numbers = ", ".join(code(f"AADSTS{number}") for number in sorted(PASSING_NUMBERS))
    return f"These pass by themselves, and the program asks again for 15 minutes: {numbers}.\n"


def standings() -> str:
    """Return a line for each state in which `check` can find a mailbox."""
    rows = [
        (standing.title, escaped(f"1 of 5 {standing.clause(1)}"), escaped(standing.remedy) or "nothing")
        for standing in Standing
    ]
    return table(("state", "in words", "what to do"), rows)


def halts() -> str:
    """Return a line for each reason for which a run stops by itself: the exit code and the sentence that it prints."""
    rows = []
    for reason in HaltReason:
        error = HALTS[reason](SAID, as_flags)
        rows.append((str(error.exit_code), escaped(str(error))))
    return table(("exit code", "what the run says"), sorted(rows))


def shortage_sentences() -> str:
    """Return a line for each lack of something on this machine: what the program says."""
    said = (shortages.MEMORY, shortages.THREADS, shortages.FILES, shortages.FILES_OF_ALL, shortages.TEMPORARY)
    return table(("what the program says",), ((escaped(sentence),) for sentence in said))


TABLES: Mapping[str, Callable[[], str]] = {
    "outcomes": outcomes,
    "exceptions": exceptions,
    "graph codes": graph_codes,
    "statuses": statuses,
    "login numbers": login_numbers,
    "login errors": login_errors,
    "passing numbers": passing_numbers,
    "standings": standings,
    "halts": halts,
    "shortages": shortage_sentences,
}
"""The generated parts of the page, by the name in their marks."""


def docstrings_of_members(kind: type) -> dict[str, str]:
    """Return the text under each member of an enumeration."""
    (node,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for member, after in zip(node.body, node.body[1:], strict=False):
        match member, after:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _reply(status: int, name: str, rule: Rule) -> Reply:
    return Reply(status, name, SEPARATOR.join(rule.message_has))


def _act(reply: Reply) -> str:
    """Return what the program does about a reply."""
    says = f" (where the message says: {' … '.join(reply.message.split(SEPARATOR))})" if reply.message else ""
    return VERDICTS[judge(reply)] + says


def _grouped(remedies: Mapping[Any, str], spell: Callable[[Any], str]) -> Iterator[Sequence[str]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for key, sentence in remedies.items():
        groups[sentence].append(key)
    for sentence, keys in sorted(groups.items(), key=lambda group: min(group[1])):
        said = sentence.format(**NAMES)
        yield ", ".join(code(spell(key)) for key in sorted(keys)), escaped(said[0].upper() + said[1:])
