import pytest

pytest.importorskip("transformers")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rlvr.data.chat import (
    encode_completion,
    encode_demonstration,
    encode_document,
    encode_prompt,
    keeps_completion,
    stop_token_ids,
)
from rlvr.errors import DataError, ModelError
from rlvr.types import Document

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
BLOCKS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Like reasoning templates: the thinking part of turns before the last question is left out.
THINKING = (
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% set c = m['content'] %}"
    "{% if m['role'] == 'assistant' and loop.index0 < ns.last %}{% set c = c.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + c + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
FORGETFUL = CHATML.replace("m['content']", "m['content'].split('</think>')[-1]")
COUNTING = "{{ messages | length }} turns\n" + CHATML
ENDLESS = CHATML.replace("<|im_end|>", "")
STRICT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% endfor %}" + CHATML
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TEXTS = [
    "What is 1 + 2?\n\nIt is 3.\n\n",
    "user assistant system\n\n\n\n",
    "Hello there, what is it? It is what it is.",
] * 3

QUESTION = {"role": "user", "content": "What is 1 + 2?"}
ANSWER = {"role": "assistant", "content": "It is 3."}


def tokenizer_with(template: str | None, *, eos: str | None = "<|im_end|>") -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    names = {"eos_token": eos} if eos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        additional_special_tokens=SPECIALS,
        chat_template=template,
        clean_up_tokenization_spaces=False,
        **names,
    )


def trained_text(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> str:
    ids, trainable = encode_demonstration(tokenizer, messages)
    return str(tokenizer.decode(ids[trainable]))


@pytest.mark.parametrize(
    ("template", "eos", "end", "opening"),
    [
        (CHATML, "<|im_end|>", "<|im_end|>", "<|im_start|>assistant\n"),
        (LLAMA, "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n"),
        (BLOCKS, "<|endoftext|>", "<|im_end|>", "<|im_start|>assistant\n"),
        (THINKING, "<|im_end|>", "<|im_end|>", "<|im_start|>assistant\n"),
    ],
)
class TestATemplate:
    def test_trains_each_turn_of_the_assistant_with_its_end_and_nothing_else(
        self, template: str, eos: str, end: str, opening: str
    ) -> None:
        tokenizer = tokenizer_with(template, eos=eos)
        system = {"role": "system", "content": "It is Hello."}
        messages = [system, QUESTION, ANSWER, QUESTION, {"role": "assistant", "content": "Hello, 3"}, QUESTION]
        assert trained_text(tokenizer, messages) == f"It is 3.{end}Hello, 3{end}"

    def test_gives_a_prompt_that_the_demonstration_continues(
        self, template: str, eos: str, end: str, opening: str
    ) -> None:
        tokenizer = tokenizer_with(template, eos=eos)
        prompt = encode_prompt(tokenizer, [QUESTION])
        ids, trainable = encode_demonstration(tokenizer, [QUESTION, ANSWER])
        between = "\n" if end == "<|im_end|>" else ""
        assert tokenizer.decode(prompt).endswith(f"What is 1 + 2?{end}{between}{opening}")
        assert ids[: len(prompt)].tolist() == prompt.tolist()
        assert not trainable[: len(prompt)].any()
        assert trainable[len(prompt)]

    def test_trains_one_completion_only_where_a_pair_is_compared(
        self, template: str, eos: str, end: str, opening: str
    ) -> None:
        tokenizer = tokenizer_with(template, eos=eos)
        ids, trainable = encode_completion(tokenizer, [QUESTION, ANSWER, QUESTION], "It is what?")
        assert tokenizer.decode(ids[trainable]) == f"It is what?{end}"

    def test_stops_at_eos_and_at_the_token_that_closes_a_turn(
        self, template: str, eos: str, end: str, opening: str
    ) -> None:
        tokenizer = tokenizer_with(template, eos=eos)
        expected = {tokenizer.convert_tokens_to_ids(eos), tokenizer.convert_tokens_to_ids(end)}
        assert stop_token_ids(tokenizer) == tuple(sorted(expected))


def test_the_ids_of_a_demonstration_are_those_of_the_template_as_a_whole() -> None:
    tokenizer = tokenizer_with("{{ bos_token }}" + CHATML)
    ids, _ = encode_demonstration(tokenizer, [QUESTION, ANSWER])
    assert ids.tolist() == tokenizer.apply_chat_template([QUESTION, ANSWER], return_dict=True)["input_ids"]
    assert ids.tolist().count(tokenizer.bos_token_id) == 1


def test_a_completion_that_begins_with_line_breaks_still_continues_the_ids_of_its_prompt() -> None:
    tokenizer = tokenizer_with(CHATML)
    # "assistant\n" + "\nIt" would merge into "\n\n": the demonstration must start from the prompt that an engine sees.
    assert len(tokenizer("\n\n")["input_ids"]) == 1
    turn = {"role": "assistant", "content": "\nIt is 3."}
    prompt = encode_prompt(tokenizer, [QUESTION])
    ids, trainable = encode_demonstration(tokenizer, [QUESTION, turn])
    assert ids[: len(prompt)].tolist() == prompt.tolist()
    assert tokenizer.decode(ids[trainable]) == "\nIt is 3.<|im_end|>"


def test_thinking_of_earlier_turns_may_be_dropped_but_the_last_turn_must_be_whole() -> None:
    deep = {"role": "assistant", "content": "<think>what is it</think>It is 3."}
    assert trained_text(tokenizer_with(THINKING), [QUESTION, deep, QUESTION, deep]) == (
        "It is 3.<|im_end|><think>what is it</think>It is 3.<|im_end|>"
    )
    with pytest.raises(ModelError, match="drops part of the assistant's turn"):
        encode_demonstration(tokenizer_with(FORGETFUL), [QUESTION, deep])


def test_what_a_template_would_drop_is_known_beforehand() -> None:
    kept, deep = "It is 3.", "<think>what is it</think>It is 3."
    for template, keeps in ((THINKING, True), (FORGETFUL, False)):
        assert keeps_completion(tokenizer_with(template), [QUESTION], deep) is keeps
        assert keeps_completion(tokenizer_with(template), [QUESTION], kept)
    # What stands in the question is not yet in the answer.
    asked = [{"role": "user", "content": "<think>why</think>"}]
    assert not keeps_completion(tokenizer_with(FORGETFUL), asked, "<think>why</think>so")


def test_a_template_that_changes_earlier_text_is_refused_and_generation_blocks_are_advised() -> None:
    with pytest.raises(ModelError, match="not prefix-stable") as caught:
        encode_demonstration(tokenizer_with(COUNTING), [QUESTION, ANSWER])
    assert "{% generation %}" in caught.value.hint


def test_a_template_without_an_end_of_turn_is_refused() -> None:
    with pytest.raises(ModelError, match="without a stop token"):
        encode_demonstration(tokenizer_with(ENDLESS), [QUESTION, ANSWER])


def test_a_tokenizer_without_a_chat_template_is_refused_with_a_hint() -> None:
    tokenizer = tokenizer_with(None)
    for encode in (encode_prompt, encode_demonstration):
        with pytest.raises(ModelError, match="has no chat template") as caught:
            encode(tokenizer, [QUESTION, ANSWER])
        assert "chat_template" in caught.value.hint
    assert stop_token_ids(tokenizer) == (tokenizer.eos_token_id,)


def test_a_template_that_refuses_a_role_is_quoted() -> None:
    with pytest.raises(ModelError, match="system, user: System role not supported"):
        encode_prompt(tokenizer_with(STRICT), [{"role": "system", "content": "x"}, QUESTION])


def test_a_demonstration_without_an_assistant_teaches_nothing_and_is_refused() -> None:
    with pytest.raises(DataError, match="no turn of the assistant"):
        encode_demonstration(tokenizer_with(CHATML), [QUESTION])


def test_a_document_ends_with_one_eos_and_knows_its_prompt() -> None:
    tokenizer = tokenizer_with(None, eos="<|endoftext|>")
    for text in ("Hello there", "Hello there<|endoftext|>"):
        ids, prompt = encode_document(tokenizer, Document("1", text, "any"))
        assert tokenizer.decode(ids) == "Hello there<|endoftext|>"
        assert len(ids) == len(tokenizer("Hello there")["input_ids"]) + 1
        assert not prompt.any()
    ids, prompt = encode_document(tokenizer, Document("1", " there", "any", prompt="Hello"))
    assert tokenizer.decode(ids) == "Hello there<|endoftext|>"
    assert tokenizer.decode(ids[prompt]) == "Hello"
    with pytest.raises(ModelError, match="no end-of-text token"):
        encode_document(tokenizer_with(None, eos=None), Document("1", "Hello", "any"))


def test_the_arrays_cannot_be_written_to() -> None:
    ids, trainable = encode_demonstration(tokenizer_with(CHATML), [QUESTION, ANSWER])
    assert (ids.dtype, trainable.dtype) == ("int64", "bool")
    with pytest.raises(ValueError):
        ids[0] = 1
