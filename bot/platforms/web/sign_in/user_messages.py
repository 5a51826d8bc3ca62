"""Defines every text of the sign-in: pages, refusals, and errors at the start."""

from __future__ import annotations

import math

SIGN_IN_TITLE = "Sign in"
SIGN_IN_LEAD = "Parley answers questions from your team's documents."
TOKEN_LABEL = "Access token"  # noqa: S105
TOKEN_HINT = "The person who runs Parley has set it as PARLEY_WEB_TOKEN."  # noqa: S105
SIGN_IN_BUTTON = "Sign in"
PROVIDER_BUTTON = "Sign in with your organization"
OR = "or"
TRY_AGAIN = "Back to the sign-in page"
SIGNED_OUT = "You are signed out."

WRONG_TOKEN = "This token is not correct. Check it and try again."  # noqa: S105
NO_TOKEN = "Enter the access token."  # noqa: S105

NOT_SIGNED_IN = "You are signed out. Reload the page to sign in again."
ADMINS_ONLY = "Only an admin can open this page."
PROXY_NAMES_NOBODY = (
    "You are not signed in. Open Parley at the address of its proxy, which signs you in, or ask the person who runs "
    "Parley."
)

SIGN_IN_FAILED = "Sign-in failed"
NOT_ALLOWED_BY_PROVIDER = "Your organization's sign-in page ended the sign-in without signing you in. Try again."
SIGN_IN_NOT_STARTED_HERE = (
    "This sign-in was not started in this browser, or it took longer than ten minutes. Start again from the sign-in "
    "page."
)
PROVIDER_NOT_REACHABLE = "Your organization's sign-in service does not answer. Try again in a minute."
PROVIDER_MISCONFIGURED = (
    "The sign-in is not set up correctly. Ask the person who runs Parley to check PARLEY_OIDC_ISSUER with "
    "“parley doctor”."
)
CODE_REFUSED = "Your organization's sign-in service did not confirm the sign-in. Start again from the sign-in page."
PROVIDER_NAMES_NOBODY = "Your organization's sign-in service did not say who you are. Ask the person who runs Parley."
CONFIRMATION_NOT_VALID = (
    "The confirmation from your organization's sign-in service is not valid, so you were not signed in. Start again "
    "from the sign-in page. If it fails again, ask the person who runs Parley."
)


def in_no_group(name: str) -> str:
    """Return the refusal of a person who is in no group that may use Parley."""
    return (
        f"You are signed in to your organization as {name}, but you are in no group that may use Parley. "
        "Ask the person who runs Parley to add you."
    )


def too_many_attempts(seconds: float) -> str:
    """Return the refusal of a client that has tried too many wrong tokens."""
    wait = math.ceil(seconds)
    return f"Too many wrong tokens. Wait {wait} second{'' if wait == 1 else 's'} and try again."


def sign_in_needed(reason: str) -> str:
    """Return the error of a start without a sign-in. ``reason`` says what other people could reach."""
    return (
        f"{reason}, so the page needs a sign-in. Set PARLEY_WEB_TOKEN (create one with: openssl rand -hex 32), "
        "PARLEY_OIDC_ISSUER or PARLEY_WEB_PROXY_HEADER, or listen on 127.0.0.1 without PARLEY_WEB_URL. "
        "See docs/web-access.md."
    )
