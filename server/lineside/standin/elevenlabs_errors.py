"""The errors of ElevenLabs' sockets: a JSON message, then a close whose reason is the same sentence, cut to fit.

Source: https://elevenlabs.io/docs/eleven-api/resources/errors
"""

from __future__ import annotations

from typing import Any

REASON_BYTES = 123  # RFC 6455, 5.5: a control frame carries 125, and two are the code
POLICY_VIOLATION = 1008

SENTENCES = {
    "invalid_api_key": "Invalid API key",
    "authentication_required": "You must be authenticated to use this endpoint.",
    "voice_id_does_not_exist": "A voice with voice_id {voice_id} does not exist.",
    "input_timeout_exceeded": (
        "Have not received a new text input within the timeout of {seconds:.1f} seconds. Streaming input terminated. "
        "Please make sure to either feed the input in the timely manner, or to send the end of input text "
        '(empty string "") when done.'
    ),
    "invalid_input_message": (
        "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
    ),
    "max_active_conversations": (
        "Maximum simultaneous contexts per WebSocket connection exceeded ({limit}). "
        "Please close an existing context before opening a new one."
    ),
    # The papers and field reports give this sentence, but not its code.
    "voice_settings_changed": (
        "voice_settings field must be provided in the first message and then either be not provided or not change."
    ),
    "quota_exceeded": (
        "This request exceeds your quota. You have {left} credits remaining, while {needed} credits are required."
    ),
    "concurrent_limit_exceeded": "Too many concurrent requests. The limit of your subscription is {limit}.",
}


class Ending(Exception):
    """The session must be closed for a reason of `SENTENCES`.

    Args:
        error: its code.
        breach: its name in the record; empty when the client is not to blame.
        facts: what the sentence leaves open.
    """

    def __init__(self, error: str, breach: str = "", *, context_id: str | None = None, **facts: object) -> None:
        super().__init__(error)
        self.error = error
        self.breach = breach
        self.context_id = context_id
        self.sentence = SENTENCES[error].format(**facts)

    @property
    def message(self) -> dict[str, Any]:
        return {"message": self.sentence, "error": self.error, "code": POLICY_VIOLATION}

    @property
    def reason(self) -> str:
        """The sentence, as much of it as a close frame takes."""
        return self.sentence.encode()[:REASON_BYTES].decode(errors="ignore")
