"""What the gateway answers by itself is in the OpenAPI document."""

from __future__ import annotations

from app.api.failures import OPERATIONS
from app.gateway import answers, validation
from app.gateway.answers import Refusal
from app.gateway.signatures import Fault, Reason


def test_every_refusal_of_the_lane_is_documented() -> None:
    made = [
        answers.receiver_not_found("r"),
        answers.secret_not_found("r"),
        answers.endpoint_not_found("/"),
        answers.insufficient_storage("r", 2, 1),
        answers.not_signed(Fault(Reason.MISSING, "m")),
        answers.token_missing("r"),
        answers.token_wrong("r"),
        validation.too_slow(1),
    ]
    constants = [*vars(answers).values(), *vars(validation).values()]
    refusals = [*made, *(value for value in constants if isinstance(value, Refusal))]

    undocumented = {refusal.name for refusal in refusals} - set(OPERATIONS["importEvents"])

    assert len(refusals) > len(made)
    assert undocumented == set()
