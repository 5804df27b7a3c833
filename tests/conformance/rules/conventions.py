"""Section 1.1: token, bodies, CORS, ids of requests, methods and paths."""

from __future__ import annotations

from .case import Ask, Case, Like, case, column, error, export, refused

PATHS = (
    "/",
    "/v1",
    "/v1/receivers",
    "/v1/receivers/<there>",
    "/v1/receivers/<there>/tokens/refresh",
    "/v1/receivers/<there>/exports",
    "/v1/receivers/<there>/exports/e",
    "/v1/receivers/<there>/tasks/x",
    "/v1/tasks/x/y",
    "/v1/import/<project>/<there>/secret",
    "/v1/documentation",
    "/health-check",
    "/ready",
    "/foo/bar",
)
GATEWAYS_OWN = ("/v1/import/", "/health-check", "/ready")
REQUEST_ID = {"X-Request-Id": Like("[0-9A-Za-z]{15}")}
MISSING = error(400, "buffer.missingField", '"X-StorageApi-Token" is missing from header.')
INVALID = error(401, "storage.tokenInvalid", "Invalid access token.")
_LIST = ("GET", "/v1/receivers")
_PREFLIGHT = {
    "Origin": "https://example.com",
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "content-type, x-storageapi-token",
}

CASES: list[Case] = [
    case("token header in lower case", Ask(*_LIST, headers={"x-storageapi-token": "<token>"})),
    case("token after a scheme", Ask(*_LIST, headers={"X-StorageApi-Token": "Bearer <token>"})),
    case("token after any scheme", Ask(*_LIST, headers={"X-StorageApi-Token": "x <token>"})),
    case("token is missing", Ask(*_LIST, status=400, answer=MISSING, token=False)),
    case("token is empty", Ask(*_LIST, status=400, answer=MISSING, headers={"X-StorageApi-Token": ""})),
    case(
        "token is missing and the body is good",
        Ask("POST", "/v1/receivers", {"name": "x"}, 400, MISSING, token=False),
    ),
    case(
        "token is missing on the path of something unknown",
        Ask("GET", "/v1/receivers/nobody", status=400, answer=MISSING, token=False),
    ),
    refused(
        "body's fields are checked before the header",
        *("POST", "/v1/receivers", {}, 400, "buffer.missingField", '"name" is missing from body.'),
        token=False,
    ),
    refused(
        "body's templates are checked before the header",
        *("POST", "/v1/receivers/<there>/exports", export(columns=[column("c", "template")])),
        *(400, "buffer.badRequest", 'Column "c" is missing template.'),
        headers={"X-StorageApi-Token": "1234-99-wrong"},
    ),
    refused(
        "body of a PATCH is checked before the header",
        *("PATCH", "/v1/receivers/<there>", {"name": ""}, 400, "buffer.invalidLength"),
        'Length of body.name must be greater or equal than 1 but got value "" (len=0)',
        token=False,
    ),
    *(
        case(
            f"token is verified on {method} {path}",
            Ask(method, path, body, 401, INVALID, headers={"X-StorageApi-Token": "1234-99-wrong"}),
        )
        for method, path, body in (
            ("GET", "/v1/receivers", None),
            ("POST", "/v1/receivers", {"name": "x"}),
            ("GET", "/v1/receivers/<there>", None),
            ("PATCH", "/v1/receivers/<there>", {"name": "x"}),
            ("DELETE", "/v1/receivers/<there>", None),
            ("POST", "/v1/receivers/<there>/tokens/refresh", None),
            ("GET", "/v1/receivers/<there>/exports", None),
            ("POST", "/v1/receivers/<there>/exports", export()),
            ("GET", "/v1/receivers/<there>/exports/e", None),
            ("PATCH", "/v1/receivers/<there>/exports/e", {"name": "x"}),
            ("DELETE", "/v1/receivers/<there>/exports/e", None),
            ("GET", "/v1/tasks/x", None),
            ("GET", "/v1/receivers/<there>/tasks/x", None),
        )
    ),
    refused(
        "token is no master token",
        *("GET", "/v1/receivers", None, 401, "buffer.masterTokenRequired"),
        "Please provide a master token of a project administrator.",
        headers={"X-StorageApi-Token": "<limited>"},
    ),
    *(
        case(f"no token is needed for {path}", Ask("GET", path, status=status, token=False))
        for path, status in (("/", 301), ("/v1", 200), ("/health-check", 200))
    ),
    *(
        case(f"OPTIONS is answered on {path}", Ask("OPTIONS", path, status=204, answer="", answer_headers=REQUEST_ID))
        for path in PATHS
    ),
    *(
        case(
            f"preflight is answered on {path}",
            Ask(
                *("OPTIONS", path, None, 200),
                headers=_PREFLIGHT,
                token=False,
                answer_headers={
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
                    "Access-Control-Allow-Headers": Like("(?i).*content-type.*x-storageapi-token.*"),
                },
            ),
        )
        for path in PATHS
        if not path.startswith(GATEWAYS_OWN)
    ),
    *(
        case(
            f"preflight is answered on {path}",
            Ask(
                *("OPTIONS", path, None, 204),
                headers=_PREFLIGHT,
                token=False,
                answer_headers={
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Allow-Methods": methods,
                    "Access-Control-Allow-Headers": "*, Authorization",
                },
            ),
        )
        for path, methods in (("/v1/import/<project>/<there>/secret", "POST"), ("/health-check", "GET, HEAD"))
    ),
    *(
        case(
            f"any origin may read a {status}",
            Ask(
                *("GET", path, None, status),
                headers={"Origin": "https://example.com", **headers},
                answer_headers={"Access-Control-Allow-Origin": "*"},
            ),
        )
        for path, status, headers in (
            ("/v1/receivers", 200, {}),
            ("/v1/receivers", 401, {"X-StorageApi-Token": "wrong"}),
            ("/v1/receivers/nobody", 404, {}),
            ("/foo/bar", 404, {}),
        )
    ),
    *(
        case(
            f"request id with {method} {path}",
            Ask(method, path, body, status, answer_headers=REQUEST_ID),
        )
        for method, path, body, status in (
            ("GET", "/", None, 301),
            ("GET", "/v1", None, 200),
            ("GET", "/health-check", None, 200),
            ("GET", "/v1/receivers", None, 200),
            ("POST", "/v1/receivers", {}, 400),
            ("GET", "/v1/receivers/nobody", None, 404),
            ("PUT", "/v1/receivers", None, 405),
            ("GET", "/foo/bar", None, 404),
        )
    ),
    case(
        "success is compact JSON",
        Ask(
            *("GET", "/v1", None, 200),
            '{"api":"buffer","documentation":"<address>/v1/documentation"}',
            answer_headers={"Content-Type": "application/json"},
        ),
    ),
    case(
        "error is JSON by two spaces, with a line's end",
        Ask(
            *("GET", "/v1/receivers/nobody", None, 404),
            '{\n  "statusCode": 404,\n  "error": "buffer.receiverNotFound",\n'
            '  "message": "Receiver \\"nobody\\" not found in the project."\n}\n',
            answer_headers={"Content-Type": "application/json"},
        ),
    ),
    case(
        "unknown fields are accepted and named",
        Ask(
            "POST",
            "/v1/receivers",
            {
                "name": "<name>",
                "colour": 1,
                "exports": [
                    {
                        **export(),
                        "exportId": "x",
                        "mapping": {
                            "tableId": "in.c-<name>.t",
                            "columns": [column("a", nullable=True)],
                            "x": None,
                        },
                        "conditions": {"rows": 1},
                    }
                ],
            },
            202,
            task={"status": "success", "warnings": None},
        ),
    ),
    case("body needs no Content-Type", Ask("PATCH", "/v1/receivers/<changing>", {}, headers={"Content-Type": ""})),
    case(
        "Content-Type of JSON may have a charset",
        Ask("PATCH", "/v1/receivers/<changing>", {}, headers={"Content-Type": "application/json; charset=utf-8"}),
    ),
    case(
        "JSON is read whatever the Content-Type says",
        Ask("PATCH", "/v1/receivers/<changing>", {}, headers={"Content-Type": "text/plain"}),
    ),
    *(
        case(
            f"{method} {path} is 405 in the envelope",
            Ask(
                *(method, path, None, 405),
                error(405, "buffer.methodNotAllowed", f'Method {method} is not allowed for path "{path}".'),
                answer_headers={"Allow": allowed},
            ),
        )
        for method, path, allowed in (
            ("PUT", "/v1/receivers", "GET, OPTIONS, POST"),
            ("PATCH", "/v1/receivers", "GET, OPTIONS, POST"),
            ("DELETE", "/v1/receivers", "GET, OPTIONS, POST"),
            ("PUT", "/v1/receivers/<there>", "DELETE, GET, OPTIONS, PATCH"),
            ("POST", "/v1/receivers/<there>", "DELETE, GET, OPTIONS, PATCH"),
            ("GET", "/v1/receivers/<there>/tokens/refresh", "OPTIONS, POST"),
            ("DELETE", "/v1/receivers/<there>/exports", "GET, OPTIONS, POST"),
            ("PUT", "/v1/receivers/<there>/exports/e", "DELETE, GET, OPTIONS, PATCH"),
            ("POST", "/v1/tasks/x", "GET, OPTIONS"),
            ("POST", "/v1", "GET, OPTIONS"),
            ("POST", "/", "GET, OPTIONS"),
        )
    ),
    case(
        "GET of an import URL is 405",
        Ask(
            *("GET", "/v1/import/<project>/<there>/x", None, 405),
            error(405, "buffer.methodNotAllowed", "Method GET is not allowed here; allowed: POST, OPTIONS."),
            answer_headers={"Allow": "POST, OPTIONS"},
        ),
    ),
    *(
        refused(
            f"unknown path {path}",
            *("GET", path, None, 404, "buffer.endpointNotFound", f'No endpoint found for path "{path}".'),
        )
        for path in ("/foo/bar", "/v2", "/v1/", "/v1/receivers/", "/v1/receivers/<there>/nothing", "/v1/tasks")
    ),
]
