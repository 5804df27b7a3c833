"""`python -m app.local.storage`: run the emulator alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.local.storage.config import EmulatorConfig
from app.local.storage.server import serve
from app.model.errors import ConfigurationError


def main() -> int:
    """Read the command line and serve; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app.local.storage",
        description="Emulator of the Keboola Storage API for laptops and tests: tables in a DuckDB file, uploads to an "
        "S3 server beside it. Prints its addresses as one line of JSON when it is ready; Ctrl-C stops it.",
    )
    parser.add_argument("--data-dir", type=Path, default=Path(".local/storage"), help="where everything is kept")
    parser.add_argument("--host", default=EmulatorConfig.host, help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=EmulatorConfig.port, help="API port, 0: any (default %(default)s)")
    parser.add_argument(
        "--s3-port", type=int, default=EmulatorConfig.s3_port, help="S3 port, 0: any (default %(default)s)"
    )
    parser.add_argument(
        "--provider",
        choices=["aws", "azure", "gcp"],
        default=EmulatorConfig.provider,
        help="cloud that files are on (default %(default)s); the others need --provider-url",
    )
    parser.add_argument("--provider-url", default="", help="where Azurite or an emulator of Google's storage listens")
    parser.add_argument("--project-id", type=int, default=EmulatorConfig.project_id, help="default %(default)s")
    parser.add_argument("--project-name", default=EmulatorConfig.project_name, help="default %(default)s")
    parser.add_argument("--duckdb-memory", default=EmulatorConfig.duckdb_memory, help="default %(default)s")
    parser.add_argument("--duckdb-threads", type=int, default=EmulatorConfig.duckdb_threads, help="default %(default)s")
    arguments = parser.parse_args()
    if (arguments.provider == "aws") != (not arguments.provider_url):
        parser.error("--provider-url goes with --provider azure or gcp")
    try:
        serve(EmulatorConfig(**vars(arguments)))
    except ConfigurationError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
