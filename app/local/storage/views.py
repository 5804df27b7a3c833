"""Records as Storage's API writes them. Field for field after the API reference; times in whole seconds."""

from __future__ import annotations

from app.local.storage.config import EmulatorConfig
from app.local.storage.records import Bucket, Job, Operation, StoredFile, Table, Token, now, wire_time
from app.local.storage.stores import Json, ObjectStore

_NO_BYTES = {
    "inCompressed": False,
    "inBytes": 0,
    "inBytesUncompressed": 0,
    "outCompressed": False,
    "outBytes": 0,
    "outBytesUncompressed": 0,
}


def token_view(token: Token, creator: Token | None) -> Json:
    """Give a token without its text."""
    return {
        "id": str(token.id),
        "description": token.description,
        "created": wire_time(token.created),
        "refreshed": wire_time(token.refreshed),
        "expires": wire_time(token.expires),
        "isMasterToken": token.is_master,
        "canManageBuckets": token.can_manage_buckets,
        "canManageTokens": token.can_manage_tokens,
        "canReadAllFileUploads": token.can_read_all_file_uploads,
        "canPurgeTrash": token.is_master,
        "isExpired": token.is_expired(now()),
        "isDisabled": False,
        "bucketPermissions": token.bucket_permissions or [],
        "creatorToken": None if creator is None else {"id": creator.id, "description": creator.description},
    }


def verified_view(token: Token, creator: Token | None, text: str, config: EmulatorConfig, objects: ObjectStore) -> Json:
    """Give what `tokens/verify` answers: the token and the project it belongs to."""
    view = token_view(token, creator) | {
        "token": text,
        "owner": {
            "id": config.project_id,
            "name": config.project_name,
            "type": "production",
            "region": objects.region,
            "features": [],
            "defaultBackend": "snowflake",
            "fileStorageProvider": objects.provider,
            "limits": {
                "storage.jobsParallelism": {"name": "storage.jobsParallelism", "value": config.job_workers},
            },
        },
        "organization": {"id": 1},
    }
    if token.is_master:
        view["admin"] = {"name": "Local admin", "id": 1, "role": "admin"}
    return view


def bucket_view(bucket: Bucket, tables: list[Json], url: str) -> Json:
    """Give a bucket; `tables` are the views of its tables."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "displayName": bucket.display_name,
        "stage": bucket.stage,
        "description": bucket.description,
        "backend": "snowflake",
        "uri": f"{url}/v2/storage/buckets/{bucket.id}",
        "created": wire_time(bucket.created),
        "rowsCount": sum(int(table["rowsCount"]) for table in tables),
        "dataSizeBytes": 0,
        "isReadOnly": False,
        "isMaintenance": False,
        "tables": tables,
    }


def table_view(table: Table, rows_count: int, url: str) -> Json:
    """Give a table with its columns and the number of its rows."""
    view: Json = {
        "id": table.id,
        "name": table.name,
        "displayName": table.name,
        "uri": f"{url}/v2/storage/tables/{table.id}",
        "transactional": False,
        "primaryKey": list(table.primary_key),
        "columns": list(table.columns),
        "isTyped": table.is_typed,
        "isAlias": False,
        "created": wire_time(table.created),
        "lastImportDate": wire_time(table.last_import),
        "lastChangeDate": wire_time(table.last_import or table.created),
        "rowsCount": rows_count,
        "dataSizeBytes": 0,
        "metadata": [],
        "columnMetadata": {},
    }
    if table.is_typed:
        view["definition"] = {
            "primaryKeysNames": list(table.primary_key),
            "columns": [
                {
                    "name": column,
                    "basetype": "STRING",
                    "definition": {"type": "VARCHAR", "nullable": column not in table.primary_key},
                    "canBeFiltered": True,
                }
                for column in table.columns
            ],
        }
    return view


def file_view(file: StoredFile, creator: Token | None, config: EmulatorConfig, objects: ObjectStore) -> Json:
    """Give a file without credentials. `url` reads its object (of a sliced file: the manifest)."""
    key = f"{file.key}manifest" if file.is_sliced else file.key
    return {
        "id": file.id,
        "name": file.name,
        "created": wire_time(file.created),
        "url": objects.address(key),
        "provider": objects.provider,
        "region": objects.region,
        "isPublic": False,
        "isSliced": file.is_sliced,
        "isEncrypted": file.is_encrypted,
        "sizeBytes": file.size_bytes,
        "tags": list(file.tags),
        "maxAgeDays": None if file.is_permanent else config.file_max_age_days,
        "runId": file.run_id,
        "runIds": [] if file.run_id is None else [file.run_id],
        "creatorToken": {"id": file.token_id, "description": "" if creator is None else creator.description},
    }


def job_view(job: Job, url: str) -> Json:
    """Give a job."""
    params = {name: value for name, value in job.params.items() if name != "bucketId"}
    operation: Json = {"params": params, "queue": "main_fast"}
    if job.file_id is not None and job.operation is not Operation.FILE_DELETE:
        operation["source"] = {"fileId": job.file_id, "type": "file"}
    view: Json = {
        "id": job.id,
        "status": job.status,
        "url": f"{url}/v2/storage/jobs/{job.id}",
        "tableId": job.table_id,
        "operationName": job.operation,
        "operationParams": operation,
        "createdTime": wire_time(job.created),
        "startTime": wire_time(job.started),
        "endTime": wire_time(job.ended),
        "runId": job.run_id,
        "results": job.results,
        "creatorToken": {"id": str(job.token_id), "description": job.token_description},
        "metrics": _NO_BYTES,
    }
    if job.error is not None:
        view["error"] = {
            "code": job.error.code,
            "message": job.error.message,
            "exceptionId": job.error.exception_id,
            "contextParams": None,
            "uuid": None,
        }
    return view
