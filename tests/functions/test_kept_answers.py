"""Answers are kept, in this process or in a real Redis, and whatever happens to Redis is no failure of ours."""

import logging
import socket
from collections.abc import Iterator
from threading import Thread

import pytest
from pydantic import SecretStr

from functions import kept_answers
from functions.kept_answers import LARGEST_BYTES, InMemory, InRedis, open_kept_answers
from functions.settings import CacheSettings
from tests.seams.redis_server import PASSWORD, RedisServer, a_redis_server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with a_redis_server() as server:
        yield server


def in_redis(url: str) -> kept_answers.KeptAnswers:
    return open_kept_answers(CacheSettings(redis_url=SecretStr(url)))


def test_without_a_setting_answers_are_kept_in_memory() -> None:
    kept = open_kept_answers(CacheSettings())
    kept.put("a", b"1")

    assert isinstance(kept, InMemory)
    assert (kept.get("a"), kept.get("b")) == (b"1", None)


def test_memory_is_bounded_and_lets_the_least_used_go() -> None:
    kept = InMemory(at_most=30)
    for name in "abc":
        kept.put(name, b"x" * 10)
    kept.get("a")
    kept.put("d", b"x" * 10)
    kept.put("too large", b"x" * 31)

    assert [name for name in ("a", "b", "c", "d", "too large") if kept.get(name)] == ["a", "c", "d"]


def test_every_instance_finds_in_redis_what_one_has_kept(redis: RedisServer) -> None:
    one, other = in_redis(redis.url), in_redis(redis.url)
    one.put("a", b"\x00\xff")
    one.put("too large", b"x" * (LARGEST_BYTES + 1))

    assert isinstance(one, InRedis)
    assert (other.get("a"), other.get("b"), other.get("too large")) == (b"\x00\xff", None, None)


def test_redis_that_goes_down_is_as_if_nothing_were_kept_and_is_logged_once(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = in_redis(redis.url)
    kept.put("a", b"1")
    redis.stop()

    with caplog.at_level(logging.DEBUG):
        assert [kept.get("a") for _ in range(5)] == [None] * 5
        kept.put("a", b"1")

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Redis fails (ConnectionError); answers are made anew meanwhile"
    ]
    assert PASSWORD not in caplog.text

    monkeypatch.setattr(kept_answers, "REST_SECONDS", 0.0)
    kept.get("a")
    assert PASSWORD not in caplog.text


def test_redis_is_asked_again_after_a_rest(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = in_redis(redis.url.replace(PASSWORD, "wrong-canary"))
    assert wrong.get("a") is None
    assert "canary" not in caplog.text

    monkeypatch.setattr(kept_answers, "REST_SECONDS", 0.0)
    kept = in_redis(redis.url)
    monkeypatch.setattr(redis, "port", redis.port)
    kept.put("a", b"1")
    assert kept.get("a") == b"1"


def test_redis_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kept = in_redis(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        asked = Thread(target=kept.get, args=("a",))
        asked.start()
        asked.join(4 * kept_answers.PATIENCE_SECONDS + 1)

        assert not asked.is_alive()


def test_what_is_shown_of_it_holds_no_password() -> None:
    settings = CacheSettings(redis_url=SecretStr(f"redis://:{PASSWORD}@127.0.0.1:1/0"))

    assert PASSWORD not in f"{settings!r} {settings}"
