"""An HTTP client that speaks to an ASGI application in this process, one call after the other."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

import httpx
from fastapi import FastAPI

BASE_URL = "http://127.0.0.1:7071"


class Arguments(TypedDict, total=False):
    params: Mapping[str, str | int]
    json: object
    content: bytes
    headers: Mapping[str, str] | Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ApiClient:
    app: FastAPI
    headers: dict[str, str] = field(default_factory=dict[str, str])
    base_url: str = BASE_URL

    def with_token(self, token: str) -> "ApiClient":
        return ApiClient(self.app, self.headers | {"Authorization": f"Bearer {token}"}, self.base_url)

    def get(self, path: str, **arguments: Unpack[Arguments]) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Unpack[Arguments]) -> httpx.Response:
        return self.request("POST", path, **arguments)

    def request(self, method: str, path: str, **arguments: Unpack[Arguments]) -> httpx.Response:
        return self.together([(method, path)], **arguments)[0]

    def each_at_once(self, calls: list[tuple[str, str, dict[str, str], object]]) -> list[httpx.Response]:
        """Make calls with headers and bodies of their own, all at once."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await asyncio.gather(
                    *(client.request(method, path, headers=headers, json=body) for method, path, headers, body in calls)
                )

        return asyncio.run(run())

    def together(self, calls: list[tuple[str, str]], **arguments: Unpack[Arguments]) -> list[httpx.Response]:
        """Make all calls at once."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url, headers=self.headers) as client:
                return await asyncio.gather(*(client.request(*call, **arguments) for call in calls))

        return asyncio.run(run())
