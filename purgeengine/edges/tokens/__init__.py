"""Access tokens for Graph: where they come from, and how a current one is kept at hand for hours.

`environment` chooses a way to sign in, `renewing` keeps a token that can be renewed, `ready` holds one that cannot. `msal_login`,
`device_code` and `managed_identity` ask through Microsoft's own library (imported only when needed), with what `credentials` and
`certificate` read. No token or secret stands in any message, ``repr`` or log.
"""

from purgeengine.edges.tokens.environment import tokens_from_environment
from purgeengine.edges.tokens.identity import Identity, Tokens
from purgeengine.edges.tokens.ready import ReadyToken
from purgeengine.edges.tokens.renewing import Issued, Login, LoginPending, LoginUnavailable, RenewingTokens

__all__ = [
    "Identity",
    "Issued",
    "Login",
    "LoginPending",
    "LoginUnavailable",
    "ReadyToken",
    "RenewingTokens",
    "Tokens",
    "tokens_from_environment",
]
