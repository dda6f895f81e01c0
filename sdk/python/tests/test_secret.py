from __future__ import annotations

import copy
import json
import pickle

import pytest

from lanyard import Secret

from .conftest import CANARY


# T49, T53
@pytest.mark.parametrize("show", [repr, str, format, lambda it: f"{it!s:>20}{it!r}{it}"])
def test_t49_no_form_of_a_secret_shows_it(show: object) -> None:
    assert callable(show)
    assert CANARY not in show(Secret(CANARY))
    assert CANARY not in show([Secret(CANARY)])


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_t49_a_secret_is_not_taken_along(take: object) -> None:
    assert callable(take)
    with pytest.raises(TypeError) as raised:
        take(Secret(CANARY))
    assert CANARY not in str(raised.value)


def test_a_secret_is_had_by_asking_for_it() -> None:
    assert Secret(CANARY).expose() == CANARY
    assert not hasattr(Secret(CANARY), "__dict__")
