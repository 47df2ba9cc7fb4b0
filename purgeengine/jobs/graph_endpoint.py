"""Finds the addresses of Graph and its login, and the Microsoft cloud that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from purgeengine.core.graph.operations import Action
from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import CLOUDS, LOGIN_ALIASES, UNKNOWN_CLOUD, Auth, Cloud
from purgeengine.words import Spelling, as_fields


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """The addresses of Graph and its login, the certificates to trust there, and how to sign in."""

    graph_url: str
    authority_url: str
    ca_file: Path | None
    cloud: str = "global"
    """A name in `CLOUDS`, or ``unknown``."""
    auth: Auth = "auto"
    spelling: Spelling = field(default=as_fields, repr=False, compare=False)
    """How sentences about the way to Graph write a setting."""


def endpoint_of(
    *,
    cloud: str | None = None,
    graph_url: str | None = None,
    authority_url: str | None = None,
    ca_file: str | Path | None = None,
    auth: Auth = "auto",
    spelling: Spelling = as_fields,
) -> GraphEndpoint:
    """Return the endpoint that these settings describe. None takes the default of the cloud.

    Raises `UsageProblem` for addresses that contradict each other or the cloud, for a cloud without contacts, and for a proxy or
    certificates that cannot be used. It connects to nothing, so that a mistake is found before a long input is read.
    """
    from purgeengine.edges.http.addresses import address_of, graph_root, proxy_for
    from purgeengine.edges.http.tls import tls_context

    chosen = cloud_of(cloud, graph_url, authority_url, spelling)
    endpoint = GraphEndpoint(
        graph_url=graph_url or chosen.graph_url,
        authority_url=authority_url or chosen.authority_url,
        ca_file=Path(ca_file) if ca_file else None,
        cloud=chosen.name,
        auth=auth,
        spelling=spelling,
    )
    proxy_for(graph_root(endpoint.graph_url))
    proxy_for(address_of(endpoint.authority_url, "The authority URL"))
    if endpoint.ca_file is not None:
        tls_context(endpoint.ca_file)
    return endpoint


def cloud_of(
    cloud: str | None, graph_url: str | None, authority_url: str | None, spelling: Spelling = as_fields
) -> Cloud:
    """Return the cloud that is named, or that the Graph address belongs to. `UNKNOWN_CLOUD` if neither says which.

    If the address is not Microsoft's (a gateway, for example), the named cloud holds. An address on this machine (a simulated
    tenant) counts as the global cloud.

    Raises `UsageProblem` for an unknown name, if two of the three arguments belong to different clouds, and for a cloud that has no
    contacts.
    """
    if cloud is not None and cloud not in CLOUDS:
        raise UsageProblem(f"{spelling('cloud')} must be one of {', '.join(CLOUDS)}, not {printable(cloud, 40)!r}.")
    graph_homes = _homes({_host(known.graph_url): [name] for name, known in CLOUDS.items()}, graph_url)
    chosen = _chosen(cloud, graph_url, graph_homes)
    _refuse_other_cloud("graph_url", graph_url, graph_homes, chosen, spelling)
    _refuse_other_cloud("authority_url", authority_url, _homes(_login_hosts(), authority_url), chosen, spelling)
    if not chosen.has_contacts:
        raise UsageProblem(
            f"The {chosen.name} cloud has no contacts in Microsoft Graph, so nothing can be deleted there. Nothing was sent. "
            f"If the mailboxes are in another cloud, name it with {spelling('cloud')}."
        )
    return chosen


def refuse_missing_action(action: Action, endpoint: GraphEndpoint, spelling: Spelling = as_fields) -> None:
    """Raise `UsageProblem` if the action is permanentDelete and the cloud does not have it."""
    cloud = CLOUDS.get(endpoint.cloud, UNKNOWN_CLOUD)
    if action is Action.PERMANENT_DELETE and cloud.has_permanent_delete is False:
        raise UsageProblem(
            f"The {cloud.name} cloud has no contact permanentDelete; Microsoft offers it in the global cloud only. Nothing was "
            f"sent. The alternative there is {spelling('action=delete')}: a plain DELETE, which moves each contact to Deleted "
            "Items, from where its user can put it back until the folder is emptied."
        )


def _chosen(named: str | None, graph_url: str | None, graph_homes: list[str]) -> Cloud:
    if named is not None:
        return CLOUDS[named]
    if graph_homes:
        return CLOUDS[graph_homes[0]]
    if graph_url is None or _is_this_machine(graph_url):
        return CLOUDS["global"]
    return UNKNOWN_CLOUD


def _refuse_other_cloud(setting: str, given: str | None, homes: list[str], cloud: Cloud, spelling: Spelling) -> None:
    """Raise `UsageProblem` if the address belongs to another cloud than the chosen one. An address that no cloud has is accepted.

    The name of the cloud decides what a purge may ask for, so name and address must agree.
    """
    if not homes or cloud is UNKNOWN_CLOUD or cloud.name in homes:
        return
    option, named = spelling(setting), spelling("cloud")
    raise UsageProblem(
        f"{option} {printable(given)} belongs to the {' or '.join(homes)} cloud, but the cloud in use is {cloud.name}. "
        f"That comes from {named} or {spelling('graph_url')}, or is the default. Give {spelling(f'cloud={homes[0]}')} "
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
    """Return the host of a URL in lower case, without a dot at its end. Empty if there is none."""
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_this_machine(url: str) -> bool:
    from purgeengine.edges.http.addresses import address_of

    return address_of(url, "The Graph URL").is_loopback
