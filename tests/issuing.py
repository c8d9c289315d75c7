"""An issuer of the tests' own: discovery, keys, codes and tokens over a real socket, and every way to sign wrongly."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET, AUDIENCE = "kpro", "a client's: secret/+", "https://kpro.test/graphql"


class Issuing:
    """The issuer; what it says next can be changed between requests."""

    def __init__(self) -> None:
        self.address = ""
        self._first = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.reset()

    def reset(self) -> None:
        """Be as at the beginning."""
        self.keys: list[RSAKey | ECKey] = [self._first]
        self.person: dict[str, Any] = {"sub": "someone"}
        self.user: dict[str, Any] | None = None
        self.down = False
        self.fetched: list[str] = []
        self.asked: dict[str, str] = {}
        self.changes: dict[str, Any] = {}
        self.described: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}

    # --- Tokens

    def sign(self, claims: dict[str, Any], *, key: Any = None, alg: str = "RS256", typ: str | None = "JWT") -> str:
        """Sign claims, with the newest key unless another is given."""
        used = key or self.keys[-1]
        header = {"alg": alg, **({"kid": used.kid} if used.kid else {}), **({"typ": typ} if typ else {})}
        return jwt.encode(header, dict(claims), used, algorithms=[alg], default_type=None)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of an access token for the product; None takes one away."""
        now = int(time.time())
        made = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": "someone",
            "iat": now,
            "exp": now + 300,
            "client_id": "web",
        }
        return {name: value for name, value in {**made, **changes}.items() if value is not None}

    def token(self, *, key: Any = None, alg: str = "RS256", typ: str | None = "at+jwt", **changes: Any) -> str:
        """Return an access token."""
        return self.sign(self.claims(**changes), key=key, alg=alg, typ=typ)

    def logout_token(self, *, typ: str | None = "logout+jwt", **changes: Any) -> str:
        """Return a logout token."""
        events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        made = {"aud": CLIENT, "jti": secrets.token_hex(8), "events": events, "client_id": None, **changes}
        return self.token(typ=typ, **made)

    def unsigned(self, **changes: Any) -> str:
        """Return an access token that says it needs no signature."""
        parts = ({"alg": "none", "typ": "at+jwt", "kid": self.keys[-1].kid}, self.claims(**changes))
        texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*texts, ""])

    def confused(self, **changes: Any) -> str:
        """Return an access token signed with the public key as if it were a shared secret."""
        header = {"alg": "HS256", "typ": "at+jwt", "kid": self.keys[-1].kid}
        parts = (json.dumps(part).encode() for part in (header, self.claims(**changes)))
        message = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = hmac.digest(self.keys[-1].as_pem(private=False), message, "sha256")
        return b".".join([message, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()

    def rotate(self) -> None:
        """Publish a new key in place of the old."""
        self.keys = [ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"})]

    # --- What it serves

    def app(self) -> Starlette:
        """Return the issuer as an application."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
            ]
        )

    async def _describe(self, _request: Request) -> Response:
        self.fetched.append("description")
        if self.down:
            return Response(status_code=500)
        made = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "end_session_endpoint": f"{self.address}/end",
            "jwks_uri": f"{self.address}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.described,
        }
        return JSONResponse(made)

    async def _jwks(self, _request: Request) -> Response:
        self.fetched.append("keys")
        if self.down:
            return Response(status_code=503)
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def _authorize(self, request: Request) -> Response:
        self.asked = dict(request.query_params)
        code = secrets.token_urlsafe(8)
        self.codes[code] = self.asked
        answer = {"code": code, "state": self.asked["state"], "iss": self.address}
        return RedirectResponse(f"{self.asked['redirect_uri']}?{urlencode(answer)}", 303)

    async def _token(self, request: Request) -> Response:
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(given.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
        if self.down:
            return Response(status_code=502)
        if (
            asked is None
            or challenge.decode().rstrip("=") != asked["code_challenge"]
            or given.get("redirect_uri") != asked["redirect_uri"]
            or not self._is_client(request, given, asked)
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(8)
        half = base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).decode().rstrip("=")
        alg = "ES256" if isinstance(self.keys[-1], ECKey) else "RS256"
        claims = {"aud": asked["client_id"], "client_id": None, "nonce": asked["nonce"], "at_hash": half, **self.person}
        id_token = self.sign(self.claims(**{**claims, **self.changes}), alg=alg)
        return JSONResponse({"access_token": access_token, "token_type": "Bearer", "id_token": id_token})

    def _is_client(self, request: Request, given: dict[str, str], asked: dict[str, str]) -> bool:
        if assertion := given.get("client_assertion"):
            payload = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
            return bool(payload["sub"] == payload["iss"] == CLIENT and payload["aud"] == self.address)
        wanted = base64.b64encode(f"{asked['client_id']}:a%20client%27s%3A%20secret%2F%2B".encode()).decode()
        return request.headers.get("authorization") == f"Basic {wanted}"

    async def _userinfo(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return Response(status_code=401)
        return JSONResponse(self.user if self.user is not None else {"sub": self.person["sub"]})


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuing]:
    """Serve an issuer on a free port of this machine."""
    made = Issuing()
    listening = socket.create_server(("127.0.0.1", 0))
    made.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(made.app(), lifespan="off", log_config=None, access_log=False, ws="none"))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield made
    finally:
        server.should_exit = True
        await running
