"""The errors of logins and sessions."""

from rowhouse.core.errors import NotAuthenticatedError, PermissionDeniedError


class WrongCredentialsError(NotAuthenticatedError):
    """401: the address or the password is wrong. The response does not say which."""

    code = "wrong_credentials"
    default_detail = "The e-mail address or the password is wrong."


class AccountDisabledError(PermissionDeniedError):
    """403: the account is disabled."""

    code = "account_disabled"
    default_detail = "This account is disabled; ask an administrator."


class WrongPasswordError(PermissionDeniedError):
    """403: the present password is wrong."""

    code = "wrong_password"
    default_detail = "The present password is wrong; nothing was changed."


class RefreshTokenError(NotAuthenticatedError):
    """401: the refresh token is unknown, expired, revoked or spent. A revocation that it causes is committed."""

    code = "refresh_token_invalid"
    default_detail = "This refresh token is not valid any more; sign in again."
    keeps_changes = True
