"""What importing the client costs: processes that only verify tokens must not pay for cloud SDKs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_client_and_uploader_import_no_cloud_sdk() -> None:
    code = (
        "import sys, app.keboola.client, app.keboola.upload;"
        "print([name for name in ('boto3', 'botocore', 'azure.storage', 'google.cloud') if name in sys.modules])"
    )

    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)

    assert result.stdout.strip() == "[]"
