"""The tokenizer of a new model: numbers whole, bytes for the rest, a chat template whose tokens are all learned."""

import itertools
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rlvr.data.sources import SOURCES
from rlvr.data.synthetic import corpus, items
from rlvr.models.tokenizer import ASSISTANT, END, KEPT_TOKENS, PAD, START, SYSTEM, USER, train_tokenizer


@pytest.fixture(scope="module")
def texts(few_shipped_exercises: None) -> list[str]:
    return [document.prompt + document.text for document in corpus.documents("train", seed=1, limit=3000)]


@pytest.fixture(scope="module")
def tokenizer(texts: list[str]) -> Any:
    return train_tokenizer(iter(texts), vocab_size=1024)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_every_number_below_a_hundred_is_one_token_wherever_it_stands(tokenizer: Any) -> None:
    for number in range(100):
        (alone,) = ids_of(tokenizer, str(number))
        for text in (f"has {number} nuts", f"={number}\n", f"\\boxed{{{number}}}", f"+{number}="):
            assert ids_of(tokenizer, text).count(alone) == 1, text


def test_longer_numbers_are_cut_in_pairs_from_the_left(tokenizer: Any) -> None:
    assert [tokenizer.decode([i]) for i in ids_of(tokenizer, "12345")] == ["12", "34", "5"]


def test_an_equation_is_five_tokens(tokenizer: Any) -> None:
    assert [tokenizer.decode([i]) for i in ids_of(tokenizer, "27+15=42")] == ["27", "+", "15", "=", "42"]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back_unchanged(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(ids_of(tokenizer, text)) == text


def test_thinking_tags_and_the_box_survive_decoding_and_are_one_token_each(tokenizer: Any) -> None:
    text = "<think>3+4=7</think>\\boxed{7}"
    ids = ids_of(tokenizer, text)
    # <think> 3 + 4 = 7 </think> \boxed{ 7 }
    assert len(ids) == 10
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert all(tokenizer.convert_tokens_to_ids(token) in ids for token in KEPT_TOKENS)


def test_roles_are_left_out_of_decoded_text(tokenizer: Any) -> None:
    ids = ids_of(tokenizer, f"{USER}Hi{END}{ASSISTANT}7{END}{PAD}")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Hi7"


def test_a_document_starts_as_a_conversation_does(tokenizer: Any) -> None:
    start = tokenizer.convert_tokens_to_ids(START)
    messages = [{"role": "user", "content": "3+4=?"}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)["input_ids"]
    assert list(chat) == tokenizer(f"{USER}3+4=?{END}{ASSISTANT}")["input_ids"]
    assert chat[0] == start
    assert list(chat).count(start) == 1


def test_the_template_marks_the_assistants_words_and_their_end_as_its_own(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "3+4=?"}, {"role": "assistant", "content": "7"}]
    found = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    own = [i for i, mine in zip(found["input_ids"], found["assistant_masks"], strict=True) if mine]
    assert tokenizer.decode(own) == f"7{END}"


def test_the_template_knows_system_turns_and_refuses_unknown_roles(tokenizer: Any) -> None:
    system = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(system, tokenize=False, add_generation_prompt=True)
    assert text == f"{START}{SYSTEM}Be short.{END}{USER}Hi{END}{ASSISTANT}"
    with pytest.raises(jinja2.TemplateError, match="unknown role tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


# Not the words to spell: they are thousands, and 3000 documents do not hold the parts of all of them.
@pytest.mark.parametrize("domain", [name for name in items.DOMAINS if name != "spell_backward"])
def test_what_training_will_use_occurs_in_the_corpus(domain: str, texts: list[str], tokenizer: Any) -> None:
    seen = {tokenizer.eos_token_id}.union(*tokenizer(texts)["input_ids"])
    used: set[int] = set()
    held_out = items.tasks if domain in SOURCES else items.demonstrations
    for item in itertools.chain(
        items.demonstrations(domain, "train", limit=300), held_out(domain, "evaluation", limit=100)
    ):
        used.update(tokenizer.apply_chat_template(list(item.messages), tokenize=True)["input_ids"])
    assert used <= seen, tokenizer.convert_ids_to_tokens(sorted(used - seen))


def test_training_twice_gives_the_same_tokenizer_and_it_loads_from_a_folder(
    tokenizer: Any, texts: list[str], tmp_path: Path
) -> None:
    again = train_tokenizer(iter(texts), vocab_size=1024)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = f"{USER}Mia has 12 nuts.{END}{ASSISTANT}<think>12+3=15</think>\\boxed{{15}}"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.chat_template == tokenizer.chat_template
    assert (loaded.eos_token, loaded.pad_token, loaded.bos_token) == (END, PAD, START)


def test_the_vocabulary_has_the_size_asked_for(tokenizer: Any) -> None:
    assert len(tokenizer) == 1024
    assert tokenizer.model_max_length == 512
