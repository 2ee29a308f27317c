"""Loaded models: at most so many, the one that was not used for the longest goes first (S0-17)."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from quant_pipelines.registry import CACHED_MODELS, CHAMPION, ModelCache
from quant_pipelines.registry.failures import UnknownVersion
from tests.stored import MODEL, Kept, place_in


@pytest.fixture(scope="module")
def kept(empty_sqlite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached")
    shutil.copyfile(empty_sqlite, folder / "mlflow.db")
    kept = Kept(place_in(folder))
    for number in range(1, 4):
        kept.save(f"training-{number}")
    return kept


def test_ten_models_are_kept_unless_told_otherwise():
    assert CACHED_MODELS == 10


def test_what_was_not_used_for_the_longest_goes_first(kept):
    cache = ModelCache(kept.models, capacity=2)
    one, two = cache.load(MODEL, 1).model, cache.load(MODEL, 2).model
    assert cache.load(MODEL, 1).model is one
    cache.load(MODEL, 3)
    assert len(cache) == 2
    assert cache.load(MODEL, 1).model is one
    assert cache.load(MODEL, 2).model is not two, "it had gone"
    assert len(cache) == 2


def test_a_promotion_is_seen_at_once(kept):
    cache = ModelCache(kept.models)
    kept.models.alias(MODEL, CHAMPION, 1)
    first = cache.load(MODEL, CHAMPION).model
    assert cache.load(MODEL, 1).model is first
    kept.models.alias(MODEL, CHAMPION, 2)
    assert cache.load(MODEL, CHAMPION).model is not first


def test_many_threads_get_one_model(kept):
    cache, ready = ModelCache(kept.models, capacity=1), threading.Barrier(4)

    def ask(number: int):
        ready.wait()
        return cache.load(MODEL, 1).model

    with ThreadPoolExecutor(4) as pool:
        assert len({id(model) for model in pool.map(ask, range(4))}) == 1
    assert len(cache) == 1


def test_what_cannot_be_loaded_is_not_kept(kept):
    cache = ModelCache(kept.models)
    with pytest.raises(UnknownVersion):
        cache.load(MODEL, 9)
    assert len(cache) == 0


def test_a_cache_for_no_model_is_refused(kept):
    with pytest.raises(ValueError, match="1 model or more"):
        ModelCache(kept.models, capacity=0)
