"""Which of Microsoft's clouds a command speaks to, by the name that the user gives and by the addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import CLOUDS, LOGIN_ALIASES, UNKNOWN_CLOUD, Cloud


def cloud_of(options: Mapping[str, Any]) -> Cloud:
    """The cloud that ``--cloud`` names or that ``--graph-url`` is an address of; `UNKNOWN_CLOUD` where neither says which.

    A cloud that is named is believed where the address is none of Microsoft's (a gateway, say), and this machine (a simulated
    tenant) counts as the global one. Raises `UsageProblem` where two of ``--cloud``, ``--graph-url`` and ``--authority``
    belong to different clouds, and for a cloud that has no contacts.
    """
    graph_homes = _homes({_host(cloud.graph_url): [name] for name, cloud in CLOUDS.items()}, options["graph_url"])
    cloud = _chosen(options["cloud"], options["graph_url"], graph_homes)
    _check("--graph-url", options["graph_url"], graph_homes, cloud)
    _check("--authority", options["authority"], _homes(_login_hosts(), options["authority"]), cloud)
    if not cloud.has_contacts:
        raise UsageProblem(
            f"The {cloud.name} cloud has no contacts in Microsoft Graph at all, so there is nothing that could be deleted there. "
            "Nothing was sent. If the mailboxes are in another cloud, name it with --cloud."
        )
    return cloud


def _chosen(named: str | None, graph_url: str | None, graph_homes: list[str]) -> Cloud:
    if named is not None:
        return CLOUDS[named]
    if graph_homes:
        return CLOUDS[graph_homes[0]]
    if graph_url is None or _is_this_machine(graph_url):
        return CLOUDS["global"]
    return UNKNOWN_CLOUD


def _check(option: str, given: str | None, homes: list[str], cloud: Cloud) -> None:
    """An address that no cloud has is the user's business; one of another cloud is a mistake.

    What a cloud can do is decided by its name, so that its address must not come in under another.
    """
    if not homes or cloud is UNKNOWN_CLOUD or cloud.name in homes:
        return
    raise UsageProblem(
        f"{option} {printable(given)} belongs to the {' or '.join(homes)} cloud, but this command uses the {cloud.name} cloud. "
        f"{cloud.name} comes from --cloud or --graph-url, or is the default. Give --cloud {homes[0]} "
        f"and leave {option} out. Nothing was sent."
    )


def _homes(known: Mapping[str, list[str]], url: str | None) -> list[str]:
    return known.get(_host(url or ""), [])


def _login_hosts() -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    for name, cloud in CLOUDS.items():
        hosts.setdefault(_host(cloud.authority_url), []).append(name)
    return hosts | {alias: hosts[_host(url)] for alias, url in LOGIN_ALIASES.items()}


def _host(url: str) -> str:
    """The host in lower case, without a dot at its end; empty where there is none."""
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_this_machine(url: str) -> bool:
    from purgeengine.edges.http.addresses import address_of

    return address_of(url, "The Graph URL").is_loopback
