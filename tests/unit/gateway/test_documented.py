"""What the gateway answers by itself is in the OpenAPI document."""

from __future__ import annotations

from app.api.failures import OPERATIONS
from app.gateway import answers
from app.gateway.answers import Refusal


def test_every_refusal_of_the_lane_is_documented() -> None:
    made = [answers.receiver_not_found("r"), answers.secret_not_found("r"), answers.endpoint_not_found("/")]
    refusals = [*made, *(value for value in vars(answers).values() if isinstance(value, Refusal))]

    undocumented = {refusal.name for refusal in refusals} - set(OPERATIONS["importEvents"])

    assert len(refusals) > len(made)
    assert undocumented == set()
