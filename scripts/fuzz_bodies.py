"""Coverage-guided chance bytes for what takes request bodies apart, for a bounded time.

    python scripts/fuzz_bodies.py [--seconds 60]

The first bytes choose Content-Type, Content-Encoding and split, the rest is the body; half of the compressed ones are
made by compressing the rest, so that chance reaches what is behind the inflating. Fails (and keeps the input, in a file
crash-...) when anything but a refusal is raised, when events of an array or of NDJSON are not those that plain Python
finds, or when more memory is taken than the limits allow. Needs atheris, which is none of the project's packages:
`pip install atheris`. The same rules are tested by hypothesis in tests/unit/api/test_bodies.py.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import zlib

import atheris

with atheris.instrument_imports(include=["app.api"]):
    from backports import zstd

    from app.api.bodies import Sent, inflated, take_apart
    from app.api.split import at_once
    from app.model.errors import StreamsError
    from app.settings import Settings

SETTINGS = Settings(
    _env_file=None, max_body_bytes=64 * 1024, max_inflated_bytes=256 * 1024, max_events_per_request=1000
)
TYPES = (
    None,
    b"application/json",
    b"application/x-ndjson",
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json",
    b"text/plain",
)
CODINGS = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"zstd": zstd.compress}
MEMORY_MIB = 512


def try_one(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    content_type = TYPES[provider.ConsumeIntInRange(0, len(TYPES) - 1)]
    coding = (None, *CODINGS)[provider.ConsumeIntInRange(0, len(CODINGS))]
    split, honest = provider.ConsumeBool(), provider.ConsumeBool()
    plain = provider.ConsumeBytes(provider.remaining_bytes())
    fields = [(name, value) for name, value in (("Content-Type", content_type), ("Content-Encoding", coding)) if value]
    body = CODINGS[coding](plain) if coding and honest else plain
    try:
        whole = inflated(body, dict(fields), SETTINGS)
        assert not honest or whole == plain or not coding, "inflating lost bytes"
        taken = at_once(take_apart(whole, Sent("1/r", fields, dict(fields), split), SETTINGS))
    except StreamsError:
        return
    if not split or content_type == b"text/plain":
        assert taken.bodies == [whole], "a whole body is not whole"
    elif content_type == b"application/x-ndjson":
        assert taken.bodies == [line.removesuffix(b"\r") for line in whole.split(b"\n") if line.strip(b" \t\r\n")]
    elif content_type in (None, b"application/json") and taken.bodies != [whole]:
        elements = json.loads(whole, parse_int=float)
        assert [json.loads(event, parse_int=float) for event in taken.bodies] == elements, "events are lost or doubled"


def main() -> None:
    arguments = argparse.ArgumentParser(description="Chance bytes for what takes request bodies apart.")
    arguments.add_argument("--seconds", type=int, default=60)
    options = arguments.parse_args()
    limits = [f"-max_total_time={options.seconds}", "-max_len=4096", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=10"]
    atheris.Setup([sys.argv[0], *limits], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
