"""Keys: who may read them, how one follows another."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from quant_pipelines.registry import Key, Keys, open_keys
from quant_pipelines.registry.failures import KeyRefused, SignatureMismatch
from quant_pipelines.settings import Settings
from tests.installation import PROJECT


@pytest.fixture
def settings(tmp_path):
    return Settings(project=PROJECT, home=tmp_path)


def test_the_first_use_makes_a_key_that_only_its_owner_reads(settings):
    keys = open_keys(settings)
    path = settings.home_path / "keys" / "model.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(bytes.fromhex(path.read_text())) == 32
    assert open_keys(settings).current == keys.current
    assert [each.name for each in path.parent.iterdir()] == ["model.key"]


def test_many_first_uses_make_one_key(settings):
    with ThreadPoolExecutor(8) as pool:
        found = {keys.current for keys in pool.map(open_keys, [settings] * 24)}
    assert len(found) == 1


def test_a_secret_is_shown_nowhere(settings):
    keys = open_keys(settings)
    secret = (settings.home_path / "keys" / "model.key").read_text().strip()
    assert secret not in repr(keys.current)
    assert secret not in keys.sign(b"x").decode()
    assert bytes.fromhex(secret) not in repr(keys.current).encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606])
def test_a_key_that_others_can_read_is_refused(settings, mode):
    open_keys(settings)
    settings.model_key_path.chmod(mode)
    with pytest.raises(KeyRefused, match="chmod 600"):
        open_keys(settings)


@pytest.mark.parametrize(
    ("text", "told"), [("00" * 16, "has 16 bytes"), ("secret" * 20, "no hexadecimal"), ("", "has 0 bytes")]
)
def test_a_key_that_is_none_is_refused(settings, text, told):
    open_keys(settings)
    settings.model_key_path.write_text(text)
    with pytest.raises(KeyRefused, match=told):
        open_keys(settings)


def test_a_key_that_was_named_is_never_made(tmp_path):
    """A wrong path would otherwise make a key that has signed nothing."""
    settings = Settings(project=PROJECT, home=tmp_path, model_key_file=tmp_path / "mounted" / "key")
    with pytest.raises(KeyRefused, match="cannot be read"):
        open_keys(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_retired_key_still_verifies_but_signs_no_more(settings):
    before = open_keys(settings)
    signature = before.sign(b"old")
    path = settings.model_key_path
    (path.parent / "retired").mkdir()
    path.rename(path.parent / "retired" / "2024.key")
    after = open_keys(settings)
    assert after.current != before.current
    after.verify(b"old", signature)
    assert after.sign(b"old") != signature
    (path.parent / "retired" / "2024.key").unlink()
    with pytest.raises(SignatureMismatch, match="put its file into the folder retired/"):
        open_keys(settings).verify(b"old", signature)


def test_a_signature_is_for_one_text_and_by_one_key():
    one, other = Keys(Key(b"1" * 32)), Keys(Key(b"2" * 32))
    one.verify(b"text", one.sign(b"text"))
    for keys, text in ((one, b"texts"), (other, b"text")):
        with pytest.raises(SignatureMismatch):
            keys.verify(text, one.sign(b"text"))
    forged = one.sign(b"text").replace(one.current.id.encode(), other.current.id.encode())
    with pytest.raises(SignatureMismatch):
        other.verify(b"text", forged)
