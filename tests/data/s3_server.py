"""`python -m tests.data.s3_server PORT`: an S3 server on this machine (moto), behind which requests can be made to fail.

`POST /faults` with JSON `{"fault": "503" | "cut" | "hang" | "expired", "times": N, "method": "GET"}` lets the next N such requests for objects fail;
`GET /requests` tells how many requests for objects there were, by method.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from moto.server import create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

HANG_S = 3.0


class Faulty:
    """A WSGI application that fails when it was asked to, and otherwise is moto's."""

    def __init__(self) -> None:
        self._real = create_backend_app("s3")
        self._fault: dict[str, Any] = {"times": 0}
        self._seen: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/faults":
            self._fault = json.loads(request.get_data())
            self._seen.clear()
            return Response("ok")(environ, start_response)
        if request.path == "/requests":
            return Response(json.dumps(self._seen), mimetype="application/json")(environ, start_response)
        self._seen[request.method] += 1
        if self._fault["times"] > 0 and request.method == self._fault["method"]:
            self._fault["times"] -= 1
            return self._fail(self._fault["fault"], environ, start_response)
        return self._real(environ, start_response)

    def _fail(self, fault: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if fault == "503":
            return _error("SlowDown", 503)(environ, start_response)
        if fault == "expired":
            return _error("ExpiredToken", 400)(environ, start_response)
        if fault == "hang":
            time.sleep(HANG_S)
            return _error("InternalError", 500)(environ, start_response)
        body = b"".join(self._real(environ, start_response))  # cut: the headers promise all of it
        return [body[: len(body) // 2]]


def _error(code: str, status: int) -> Response:
    secret = "AKIASECRETKEY"  # what a careless server might repeat
    return Response(f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{secret} was refused</Message></Error>", status, mimetype="application/xml")


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), Faulty(), threaded=True)
