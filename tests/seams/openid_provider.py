"""An OpenID provider in a process of its own, behind TLS, whose authority has a path as Entra's has.

`python -W ignore openid_provider.py CERTIFICATE KEY USERS` prints its port; USERS is JSON, subject -> claims.
"""

# What the provider's libraries leave open.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

import json
import sys

import oidc_provider_mock
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

PATH = "/tenant/v2.0"


def main(certificate: str, key: str, users: str) -> None:
    known = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in json.loads(users).items()]
    provider = oidc_provider_mock.app(require_nonce=True, user_claims=known)
    app = DispatcherMiddleware(Response("nothing here", 404), {PATH: provider})
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=(certificate, key))
    print(server.server_port, flush=True)  # noqa: T201 - what the test waits for
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
