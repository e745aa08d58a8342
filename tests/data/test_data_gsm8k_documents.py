from pathlib import Path

from rlvr.data.sources import load

FIXTURES = Path(__file__).parent / "fixtures"


def test_a_document_is_the_problem_with_its_solution_below_it() -> None:
    document = load("document", "gsm8k", "all", path=FIXTURES).items[0]
    task = load("task", "gsm8k", "all", path=FIXTURES, instruction="").items[0]
    question, solution = document.text.split("\n", 1)
    assert question == task.messages[0]["content"]
    assert solution.endswith("The answer is \\boxed{72}")
    assert "<<" not in document.text
    assert (document.id, document.domain) == (task.id, "gsm8k")


def test_documents_are_split_by_problem_as_the_tasks_are_so_that_no_held_out_problem_is_read_in_training() -> None:
    for split in ("train", "evaluation"):
        documents = load("document", "gsm8k", split, path=FIXTURES, evaluation_share=0.5).items
        tasks = load("task", "gsm8k", split, path=FIXTURES, evaluation_share=0.5).items
        assert 0 < len(tasks) < len(load("task", "gsm8k", "all", path=FIXTURES).items)
        assert [document.id for document in documents] == [task.id for task in tasks]
