"""Access tokens for Graph: where they come from, and how a current one is kept at hand for hours.

`environment` chooses a way to sign in, `renewing` keeps a token that can be renewed, `ready` holds one that cannot. `msal_login`,
`device_code` and `managed_identity` ask through Microsoft's own library (imported only when needed), with what `credentials` and
`certificate` read. No token or secret stands in any message, ``repr`` or log.
"""

from purgeengine.edges.login.environment import tokens_from_environment
from purgeengine.edges.login.identity import AccessTokens, Identity
from purgeengine.edges.login.ready import ReadyToken
from purgeengine.edges.login.renewing import Issued, LoginMethod, LoginPending, LoginUnavailable, RenewingTokens

__all__ = [
    "AccessTokens",
    "Identity",
    "Issued",
    "LoginMethod",
    "LoginPending",
    "LoginUnavailable",
    "ReadyToken",
    "RenewingTokens",
    "tokens_from_environment",
]
