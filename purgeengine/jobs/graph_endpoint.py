"""Where Graph and its login are: in which of Microsoft's clouds, by the name that was given and by the addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from purgeengine.core.graph.operations import Action
from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import CLOUDS, LOGIN_ALIASES, UNKNOWN_CLOUD, Auth, Cloud
from purgeengine.words import Spelling, as_fields


@dataclass(frozen=True, slots=True)
class GraphEndpoint:
    """Where Graph and its login are, whom to trust there, and how to sign in."""

    graph_url: str
    authority_url: str
    ca_file: Path | None
    cloud: str = "global"
    """A name in `CLOUDS`, or ``unknown``."""
    auth: Auth = "auto"


def endpoint_of(
    *,
    cloud: str | None = None,
    graph_url: str | None = None,
    authority_url: str | None = None,
    ca_file: str | Path | None = None,
    auth: Auth = "auto",
    spelling: Spelling = as_fields,
) -> GraphEndpoint:
    """The way that these settings describe.

    Raises `UsageProblem` for addresses that contradict each other or the cloud, for a cloud without contacts, and for a proxy or
    certificates that cannot be used: before the input is read, which may take long, and before any name is looked up.
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
    )
    proxy_for(graph_root(endpoint.graph_url))
    proxy_for(address_of(endpoint.authority_url, "The authority URL"))
    if endpoint.ca_file is not None:
        tls_context(endpoint.ca_file)
    return endpoint


def cloud_of(
    cloud: str | None, graph_url: str | None, authority_url: str | None, spelling: Spelling = as_fields
) -> Cloud:
    """The cloud that is named or that the Graph address belongs to; `UNKNOWN_CLOUD` where neither says which.

    A cloud that is named is believed where the address is none of Microsoft's (a gateway, say), and this machine (a simulated
    tenant) counts as the global one. Raises `UsageProblem` for a name that no cloud has, where two of the three belong to
    different clouds, and for a cloud that has no contacts.
    """
    if cloud is not None and cloud not in CLOUDS:
        raise UsageProblem(f"{spelling('cloud')} must be one of {', '.join(CLOUDS)}, not {printable(cloud, 40)!r}.")
    graph_homes = _homes({_host(known.graph_url): [name] for name, known in CLOUDS.items()}, graph_url)
    chosen = _chosen(cloud, graph_url, graph_homes)
    _refuse_other_cloud("graph_url", graph_url, graph_homes, chosen, spelling)
    _refuse_other_cloud("authority_url", authority_url, _homes(_login_hosts(), authority_url), chosen, spelling)
    if not chosen.has_contacts:
        raise UsageProblem(
            f"The {chosen.name} cloud has no contacts in Microsoft Graph at all, so there is nothing that could be deleted there. "
            f"Nothing was sent. If the mailboxes are in another cloud, name it with {spelling('cloud')}."
        )
    return chosen


def refuse_missing_action(action: Action, endpoint: GraphEndpoint, spelling: Spelling = as_fields) -> None:
    """Raise `UsageProblem` where the cloud has no permanentDelete, and that is what is asked for."""
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
    """An address that no cloud has is the user's business; one of another cloud is a mistake.

    What a cloud can do is decided by its name, so that its address must not come in under another.
    """
    if not homes or cloud is UNKNOWN_CLOUD or cloud.name in homes:
        return
    option, named = spelling(setting), spelling("cloud")
    raise UsageProblem(
        f"{option} {printable(given)} belongs to the {' or '.join(homes)} cloud, but this command uses the {cloud.name} cloud. "
        f"{cloud.name} comes from {named} or {spelling('graph_url')}, or is the default. Give {spelling(f'cloud={homes[0]}')} "
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
