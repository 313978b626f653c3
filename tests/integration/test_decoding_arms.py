"""Decoding parameters as arms, and the vectors of what was sampled."""

from __future__ import annotations

from tests.conftest import Project, run

ARMS = """
import pytest

@pytest.mark.convergence(metric="exact", extra={{"min_p": 0.1, "top_k": 40}})
@pytest.mark.parametrize("prompt", ["p"])
@pytest.mark.parametrize("extra", [None, {value}], ids=["as-marked", "arm"])
def test_arm(prompt, extra, models, convergence):
    from pytest_convergence.declaration import resolve_decoding
    case, = models.test.cases
    print("SENT", extra, dict(resolve_decoding(case).extra))
"""


def test_an_extra_parameter_is_put_over_the_marker_s_key_by_key(project: Project) -> None:
    result = run(
        project(ARMS.format(value="{'min_p': 0.2}")), "-s", "--convergence-record=new_episodes"
    )
    result.stdout.fnmatch_lines_random(
        [
            "*SENT None {'min_p': 0.1, 'top_k': 40}",
            "*SENT {'min_p': 0.2} {'min_p': 0.2, 'top_k': 40}",
        ]
    )


def test_an_extra_parameter_that_is_no_dict_says_that_it_would_be_sent(project: Project) -> None:
    result = run(project(ARMS.format(value="'loud'")), "--convergence-record=new_episodes")
    result.stderr.fnmatch_lines(["*extra='loud' is sent to the models*"])
    assert result.ret != 0


def test_samples_give_one_block_of_vectors_for_each_model_and_prompt(project: Project) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import from_responses

        @pytest.mark.convergence(metric="exact", prompts={"one": "1", "two": "2"}, samples=3)
        def test_blocks(models):
            features = models.samples.features()
            assert list(features) == list(models)
            assert [block.shape[0] for blocks in features.values() for block in blocks] == [3] * 6

        def test_plain():
            said = from_responses({"p": {"a": ["x", "x", ""], "b": ["y"]}})
            (a,), (b,) = said.features("exact").values()
            assert (a @ a.T).tolist() == [[1, 1], [1, 1]]
            assert (a @ b.T).tolist() == [[0], [0]]
            with pytest.raises(Exception, match="compares whole distributions"):
                said.features("js")
        """
    )
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=3)


def test_values_that_python_calls_equal_are_sent_as_they_are(project: Project) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges

        @pytest.mark.convergence(metric="exact", samples=1)
        @pytest.mark.parametrize("prompt", ["p", "q", "r"])
        @pytest.mark.parametrize("extra", [{"think": 1}, {"think": True}, {"think": 1.0}],
                                 ids=["int", "bool", "float"])
        def test_arm(prompt, extra, models):
            assert_converges(models, threshold=0.0)

        @pytest.mark.convergence(
            metric="exact", samples=1, extra={"think": True}, prompts={"s": "s"}
        )
        def test_marked(models):
            assert_converges(models, threshold=-1)
        """
    )
    assert run(tests, "--convergence-record=new_episodes").parseoutcomes()["passed"] >= 10
    recorded = "".join(path.read_text() for path in (tests.path / "cassettes").rglob("*.json"))
    for value, count in (("1", 3), ("true", 4), ("1.0", 3)):
        assert recorded.count(f'think\\":{value}}}') == 3 * count, value
