"""``purgeengine check``: checks the token, the way to Graph, the clock, and a few mailboxes of an input. It changes nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.inputs import opening
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.purge_options import deletion_options, input_arguments
from purgeengine.cli.options.request_options import request_from
from purgeengine.cli.output.fitted_text import fitted
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.terminal import tell_aside
from purgeengine.core.graph.operations import Action, IdType
from purgeengine.core.graph.text import printable
from purgeengine.core.policy.input_words import lines_of, plain, warnings_of
from purgeengine.errors import LoginUnreachable, PurgeEngineError, UsageProblem
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.purge_request import PROBES_MAX, PurgeRequest
from purgeengine.jobs.reads.preflight import Finding, Level
from purgeengine.json_output.check_output import CheckFinding, CheckOutput, ProbedMailbox
from purgeengine.json_output.envelope import Error
from purgeengine.words import utc_text

if TYPE_CHECKING:
    from purgeengine.core.policy.probing import Probed
    from purgeengine.edges.login import AccessTokens, Identity
    from purgeengine.edges.source import Source

PROBES = 5
"""Mailboxes to look at if an input is given without ``--probe``."""

EPILOG = """\b
Examples:
  purgeengine check
  purgeengine check contacts.csv --probe 10
  purgeengine check contacts.csv --strict --json

\b
Exit codes: 0 no problem, or warnings without --strict; 1 warnings with --strict; 2 wrong usage, or a list that fits
none of the mailboxes looked at; 3 no token, or Graph refused the app; 4 Graph cannot be reached."""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@partial(input_arguments, required=False)
@click.option(
    "--probe",
    type=click.IntRange(1, PROBES_MAX),
    metavar="N",
    help=f"Mailboxes of INPUT to look at; {PROBES} if left out.",
)
@click.option("--seed", type=int, help="Make the choice of mailboxes repeatable.")
@deletion_options
@connection_options
@click.option("--strict", is_flag=True, help="Exit with 1 if there is a warning.")
@json_option()
def check(**options: Any) -> int:
    """Obtain a token, say what it permits, and reach Graph. With INPUT, look at a few of its mailboxes. Deletes nothing."""
    from purgeengine import logs
    from purgeengine.engine.event_loop import run_loop

    if options["probe"] and not options["inputs"]:
        raise UsageProblem(
            "--probe looks at mailboxes of an INPUT, and there is none. Name an INPUT, or leave --probe out."
        )
    request = request_from(options, time.time())
    deletion = request.deletion()
    report = Report(
        request.endpoint(), deletion.action, deletion.id_type, _nothing if options["as_json"] else print_now
    )
    logs.configure_logs(quiet=True)
    try:
        items = _sampled(request, report)
        tokens = report.sign_in()
        run_loop(report.ask_graph(tokens, items))
    except PurgeEngineError as error:
        if error.exit_code == UsageProblem.exit_code and not report.probed:
            raise
        report.failed(error)
    if options["as_json"]:
        print_output(report.output(strict=options["strict"]))
        if report.error is not None:
            tell_aside(f"purgeengine: {report.error}")
    return report.exit_code(strict=options["strict"])


def _sampled(request: PurgeRequest, report: Report) -> list[Any]:
    from purgeengine.edges.source import Source
    from purgeengine.jobs.reads.probe import sample_input

    with opening(request) as open_input:
        source = open_input()
        if not isinstance(source, Source):
            return []
        items = sample_input(source, request.probe or PROBES, request.seed)
        report.seen(source)
    return items


def print_now(line: str) -> None:
    """Print a line on standard output at once, also into a pipe: a check may wait for seconds after it."""
    click.echo(fitted(line, sys.stdout, indent=11))


def _nothing(line: str) -> None:
    """Print nothing: the JSON at the end has everything."""


@dataclass
class Report:
    """Collects the findings of the checks. ``tell`` is called with each line for people as soon as it is known."""

    endpoint: GraphEndpoint
    action: Action
    id_type: IdType
    tell: Callable[[str], None]
    findings: list[Finding] = field(default_factory=list)
    identity: Identity | None = None
    app_name: str = ""
    tenant_name: str = ""
    latency_s: float | None = None
    skew_s: float | None = None
    proxy: str | None = None
    probed: list[Probed] = field(default_factory=list)
    error: PurgeEngineError | None = None
    reading: dict[str, Any] | None = None

    def add(self, *findings: Finding) -> None:
        """Add findings, and tell them."""
        for finding in findings:
            self.findings.append(finding)
            self.tell(f"{finding.level:<9}  {finding.topic}: {printable(finding.text, 2_000)}")

    def seen(self, source: Source) -> None:
        """Add what was read from an input, and warnings about it."""
        self.reading, look = source.reading(), source.look
        if not look.valid_rows:
            invalid = look.rows - look.valid_rows
            text = f"No row of the list can be sent ({invalid:,} invalid)." if look.rows else "The list holds no row."
            if look.first_invalid is not None:
                number, line, reason = look.first_invalid
                text += f" Line {line:,} of {printable(source.files[number].name)}: {reason}. plan shows every reason."
            self.add(Finding(Level.WARNING, "input", text))
        elif look.valid_rows < look.rows:
            invalid = look.rows - look.valid_rows
            are = "is" if invalid == 1 else "are"
            text = f"{invalid:,} of {look.rows:,} rows {are} invalid, and {are} never sent; plan shows why."
            self.add(Finding(Level.NOTE, "input", text))
        self.add(*(Finding(Level.OK, "input", line) for line in lines_of(self.reading)))
        self.add(*(Finding(Level.WARNING, "input", line) for line in warnings_of(self.reading)))

    def sign_in(self) -> AccessTokens:
        """Obtain a token, and add what it says. Raises `TokenError`."""
        from purgeengine.cli.login_guard import connect
        from purgeengine.edges.clock import SystemClock
        from purgeengine.edges.login.identity import claims_of
        from purgeengine.engine.event_loop import run_loop
        from purgeengine.jobs.reads.preflight import about_clock, about_cloud, about_token

        self.add(about_cloud(self.endpoint, self.action))
        clock = SystemClock()
        started = clock.monotonic()
        tokens, self.identity = connect(self.endpoint)
        took_ms = 1000 * (clock.monotonic() - started)
        because = f", because {self.identity.chosen_because}" if self.identity.chosen_because else ""
        text = f"Signed in ({self.identity.method}{because}) within {took_ms:.0f} ms."
        self.add(Finding(Level.OK, "login", text))
        if self.identity.clock_skew_s is not None:
            self.add(about_clock(self.identity.clock_skew_s, "the login"))
        claims = claims_of(run_loop(tokens.token()))
        self.app_name = printable(claims.get("app_displayname"), 200)
        self._tell_identity()
        self.add(*about_token(self.identity, claims, self.endpoint, clock.utc()))
        return tokens

    async def ask_graph(self, tokens: AccessTokens, items: list[Any]) -> None:
        """Reach Graph, compare the clocks, and look at the mailboxes.

        Raises `TokenError` and `RunStopped` as `ReadSession.read` does. If none of the mailboxes can be purged, it raises the error
        that says why.
        """
        from purgeengine.core.policy.probing import Standing, conclusions, refusal
        from purgeengine.jobs.reads.preflight import about_clock, organization
        from purgeengine.jobs.reads.probe import probe
        from purgeengine.jobs.reads.reading import HASTY, read_session

        async with read_session(tokens, self.endpoint, HASTY) as session:
            self.tenant_name = await organization(session)
            self.latency_s, self.skew_s = session.latency_s, session.skew_s
            self.proxy = _proxy(self.endpoint)
            via = f", through the proxy {self.proxy}" if self.proxy else ""
            took_ms = 1000 * (self.latency_s or 0.0)
            self.add(Finding(Level.OK, "graph", f"Graph answered within {took_ms:.0f} ms{via}."))
            if self.tenant_name:
                self.tell(f"tenant     {printable(self.tenant_name, 200)} ({tokens.describe().tenant_id})")
            self.add(about_clock(self.skew_s))
            if not items:
                return
            self.probed = await probe(session, items, self.id_type)
        for mailbox in self.probed:
            said = " ".join(str(part) for part in (mailbox.reply.status or "", mailbox.reply.code) if part)
            self.tell(f"  {printable(mailbox.user)}: {mailbox.standing.title} ({said})")
        error = refusal(self.probed)
        if error is not None:
            raise error
        for standing, sentence in conclusions(self.probed):
            level = Level.OK if standing is Standing.FINE else Level.WARNING
            self.add(Finding(level, "probe", sentence))

    def failed(self, error: PurgeEngineError) -> None:
        """Add the error that ended the checks."""
        self.error = error
        topic = "login" if isinstance(error, LoginUnreachable) else "token" if error.exit_code == 3 else "graph"
        self.add(Finding(Level.FAILED, "probe" if self.probed else topic, str(error)))

    def exit_code(self, *, strict: bool) -> int:
        """Return the exit code: that of the error, or 1 for a warning if ``strict``, otherwise 0."""
        if self.error is not None:
            return self.error.exit_code
        return int(strict and any(finding.level is Level.WARNING for finding in self.findings))

    def _tell_identity(self) -> None:
        """Tell who has signed in."""
        assert self.identity is not None, "the caller has signed in"
        app = f"{self.app_name} ({self.identity.client_id})" if self.app_name else self.identity.client_id
        for title, said in (
            ("tenant", self.identity.tenant_id),
            ("app", app),
            ("signed in", self.identity.method),
            ("user", self.identity.user),
            ("with", self.identity.credential),
            ("roles", ", ".join(self.identity.roles) or "none in the token"),
        ):
            if said:
                self.tell(f"{title:<9}  {printable(said, 2_000)}")

    def output(self, *, strict: bool) -> CheckOutput:
        """Return the object for ``--json``. What was not found out is null or empty."""
        identity, error = self.identity, self.error
        expires_utc = identity.expires_utc if identity else None
        return CheckOutput(
            command=running_command(),
            exit_code=self.exit_code(strict=strict),
            error=None if error is None else Error.of(error.kind, str(error)),
            **plain(self.reading),
            cloud=self.endpoint.cloud,
            graph_url=self.endpoint.graph_url,
            authority_url=self.endpoint.authority_url,
            tenant_id=identity.tenant_id if identity else None,
            tenant_name=self.tenant_name or None,
            client_id=identity.client_id if identity else None,
            app_name=self.app_name or None,
            method=identity.method if identity else None,
            chosen_because=(identity.chosen_because or None) if identity else None,
            credential=(identity.credential or None) if identity else None,
            signed_in_as=(identity.user or None) if identity else None,
            login_skew_s=_rounded(identity.clock_skew_s) if identity else None,
            roles=list(identity.roles) if identity else [],
            expires_utc=None if expires_utc is None else utc_text(expires_utc),
            proxy=self.proxy,
            latency_s=_rounded(self.latency_s),
            skew_s=_rounded(self.skew_s),
            findings=[
                CheckFinding(level=finding.level.value, topic=finding.topic, message=finding.text)
                for finding in self.findings
            ],
            probed=[
                ProbedMailbox(
                    user=mailbox.user,
                    standing=mailbox.standing.title,
                    status=mailbox.reply.status or None,
                    code=mailbox.reply.code,
                    message=mailbox.reply.message,
                )
                for mailbox in self.probed
            ],
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _proxy(endpoint: GraphEndpoint) -> str | None:
    """Return the address of the proxy on the way to Graph, without its password. None if there is no proxy."""
    from purgeengine.edges.http.addresses import graph_root, proxy_for

    proxy = proxy_for(graph_root(endpoint.graph_url))
    return proxy.url if proxy else None
