"""Every error code that Slack documents for the methods that show an answer has a reaction of its own."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import SurfaceError
from bot.platforms.slack import errors, stream_policy, user_messages
from tests.doubles import slack_errors

SHOWING = (
    *("chat.postMessage", "chat.update", "chat.delete"),
    *("chat.startStream", "chat.appendStream", "chat.stopStream"),
)
FROM_MISTAKES = frozenset(
    """
    access_denied as_user_not_supported channel_type_not_supported deprecated_endpoint duplicate_channel_not_found
    duplicate_message_not_found invalid_arg_name invalid_arguments invalid_array_arg invalid_charset invalid_form_data
    invalid_post_type markdown_text_conflict message_not_owned_by_app metadata_must_be_sent_from_app method_deprecated
    missing_file_data missing_post_type missing_recipient_team_id missing_recipient_user_id not_allowed_token_type
    not_subscribed_to_message_stream_stopped send_on_behalf_not_allowed team_not_found two_factor_setup_required
    unknown_method user_not_found
    """.split()
)
"""Codes for arguments that Parley never sends, for tokens of people, and for streams, where an edit follows."""
FROM_FILES_AND_DRAFTS = ("file", "draft", "max_file", "clip", "blocked_file")
STREAM_STATES = stream_policy.ENDED | stream_policy.STILL_OPEN
IN_USE = frozenset().union(*(slack_errors.codes_of(method) for method in SHOWING))
KNOWN = {
    **user_messages.GONE,
    **user_messages.REFUSED,
    **user_messages.EDIT_REFUSED,
    **user_messages.LAYOUT_REFUSED,
}


def refusal(code: str) -> SurfaceError:
    response = AsyncSlackResponse(
        client=None,
        http_verb="POST",
        api_url="",
        req_args={},
        data={"ok": False, "error": code},
        headers={},
        status_code=200,
    )
    return errors.surface_error(SlackApiError(code, response))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("code", sorted(IN_USE - FROM_MISTAKES - STREAM_STATES - set(user_messages.REFUSED)))
def test_a_documented_refusal_is_not_repeated_for_want_of_knowledge(code: str) -> None:
    if any(word in code for word in FROM_FILES_AND_DRAFTS) and code not in KNOWN:
        return
    assert type(refusal(code)) is not SurfaceError, code


def test_every_code_that_has_a_reason_is_one_that_slack_returns() -> None:
    assert set(KNOWN) | errors.UNCERTAIN | errors.BUSY <= IN_USE | slack_errors.codes_of("chat.postEphemeral")
    assert set(user_messages.CURES) <= set(user_messages.GONE)
