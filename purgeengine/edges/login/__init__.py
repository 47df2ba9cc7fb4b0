"""Access tokens for Graph: where they come from, and how a current one is kept ready for hours.

`environment` chooses how to sign in. `renewing` keeps a token that can be renewed, `ready` holds one that cannot.
`msal_login`, `device_code` and `managed_identity` get tokens through Microsoft's own library, MSAL, which is imported
only when needed. `credentials` and `certificate` read what they sign in with. No message, ``repr`` or log contains a
token or a secret.
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
