# ruff: noqa: D103, ARG001
# mypy: disable-error-code="no-untyped-def"
"""Do these models name the same capitals? The panel is simulated: see panel.toml."""

import pytest

from pytest_convergence import assert_converges, labels

CAPITALS = [
    pytest.param("What is the capital city of Australia?", "Canberra", id="australia"),
    pytest.param("What is the capital city of Canada?", "Ottawa", id="canada"),
    pytest.param("What is the capital city of New Zealand?", "Wellington", id="new-zealand"),
    pytest.param("What is the capital city of Switzerland?", "Bern", id="switzerland"),
    pytest.param("What is the capital city of Brazil?", "Brasilia", id="brazil"),
    pytest.param("What is the capital city of Morocco?", "Rabat", id="morocco"),
    pytest.param("What is the capital city of Vietnam?", "Hanoi", id="vietnam"),
    pytest.param("What is the capital city of Ecuador?", "Quito", id="ecuador"),
    pytest.param("What is the capital city of Kazakhstan?", "Astana", id="kazakhstan"),
    pytest.param("What is the capital city of Tanzania?", "Dodoma", id="tanzania"),
    pytest.param("What is the capital city of Pakistan?", "Islamabad", id="pakistan"),
    pytest.param("What is the capital city of Bolivia?", "Sucre", id="bolivia"),
]


@pytest.mark.convergence(capability="capitals", label=labels.matches(), threshold=0.3)
@pytest.mark.parametrize(("prompt", "answer"), CAPITALS)
def test_capitals(prompt, answer, models):
    assert_converges(models, threshold=0.3)
