"""Messages to token ids, through the tokenizer's own chat template.

The tokenizer is any `transformers` tokenizer, taken as an object. `T` is the number of tokens.
"""

import re
from collections.abc import Sequence
from typing import Any

from rlvr.errors import DataError, ModelError
from rlvr.types import BoolArray, Document, IntArray, Message, read_only

_GENERATION_BLOCK = re.compile(r"\{%-?\s*generation\s*-?%\}")
_PROBE = "probe"


def encode_prompt(tokenizer: Any, messages: Sequence[Message]) -> IntArray:
    """Gives the token ids [T] of `messages` with the opening of the assistant's turn that is to be written.

    Raises: ModelError where the tokenizer has no chat template, or its template refuses the messages.
    """
    return read_only(_ids(tokenizer, _render(tokenizer, messages, opening=True)), "int64")


def encode_plain_prompt(tokenizer: Any, text: str) -> IntArray:
    """Gives the token ids [T] of a plain text to go on with, as of a document's prompt: special tokens, but no EOS."""
    ids = list(tokenizer(text)["input_ids"])
    return read_only(ids[: len(ids) - (ids[-1:] == [tokenizer.eos_token_id])], "int64")


def encode_demonstration(tokenizer: Any, messages: Sequence[Message]) -> tuple[IntArray, BoolArray]:
    """Gives token ids and trainable, both [T]: True on each assistant turn up to and with its end-of-turn token.

    A template with `{% generation %}` blocks says itself where those turns are. For any other template a turn starts
    where the rendered messages before it (with the assistant's opening) end, and goes to the next stop token.

    Raises: ModelError where the template rewrites earlier text when turns are added, drops text of the last turn or
    ends a turn without a stop token; DataError where no message is the assistant's.
    """
    ids, starts = _assistant_starts(tokenizer, messages)
    return _mark_turns(ids, starts, stop_token_ids(tokenizer))


def encode_completion(tokenizer: Any, messages: Sequence[Message], completion: str) -> tuple[IntArray, BoolArray]:
    """Gives token ids and trainable, both [T], of a prompt with one completion: only the completion is trainable.

    Raises: as `encode_demonstration`.
    """
    whole = [*messages, {"role": "assistant", "content": completion}]
    ids, starts = _assistant_starts(tokenizer, whole)
    return _mark_turns(ids, starts[-1:], stop_token_ids(tokenizer))


def keeps_completion(tokenizer: Any, messages: Sequence[Message], completion: str) -> bool:
    """Says whether the chat template writes all of a completion after its prompt: some drop what stands before the
    last `</think>`, so that not every text can be encoded.

    Raises: as `encode_prompt`.
    """
    whole = _render(tokenizer, [*messages, {"role": "assistant", "content": completion}], opening=False)
    return _is_within(completion, whole.removeprefix(_render(tokenizer, messages, opening=True)))


def encode_document(tokenizer: Any, document: Document) -> tuple[IntArray, BoolArray]:
    """Gives token ids and which of them belong to the prompt, both [T].

    The tokenizer's own special tokens, prompt and text (tokenized apart, as when the prompt is given), one EOS.

    Raises: ModelError where the tokenizer has no EOS token.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        raise ModelError("the tokenizer has no end-of-text token", hint="set tokenizer.eos_token and save it again")
    ids = list(tokenizer(document.prompt or document.text)["input_ids"])
    prompt = 0
    if document.prompt:
        prompt = len(ids) - (ids[-1] == eos)
        ids[prompt:] = tokenizer(document.text, add_special_tokens=False)["input_ids"]
    if not ids or ids[-1] != eos:
        ids.append(eos)
    return read_only(ids, "int64"), read_only([index < prompt for index in range(len(ids))], "bool")


def stop_token_ids(tokenizer: Any) -> tuple[int, ...]:
    """Gives the ids, ascending, at which a completion ends: EOS, and the special token that closes an assistant turn.

    The second is read off the chat template (`<|im_end|>`, `<|eot_id|>`, `<end_of_turn>`, …), where there is one.
    """
    found: set[int] = set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE}]
        closing = _render(tokenizer, turns, opening=False).rpartition(_PROBE)[2]
        special = set(tokenizer.all_special_ids) | _added_special_ids(tokenizer)
        found.update(special.intersection(_ids(tokenizer, closing.lstrip())[:1]))
    return tuple(sorted(found))


def _added_special_ids(tokenizer: Any) -> set[int]:
    return {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}


def _render(tokenizer: Any, messages: Sequence[Message], *, opening: bool) -> str:
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__} has no chat template",
            hint="use the instruct model's tokenizer, or set tokenizer.chat_template and save it again",
        )
    from jinja2.exceptions import TemplateError

    turns = [dict(message) for message in messages]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opening))
    except TemplateError as error:
        roles = ", ".join(str(message["role"]) for message in messages)
        raise ModelError(
            f"the chat template refuses messages with the roles {roles}: {error}",
            hint="bring the messages into the order of roles that the template takes",
        ) from error


def _ids(tokenizer: Any, text: str) -> list[int]:
    """Special tokens are in the text already: the template writes them."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _assistant_starts(tokenizer: Any, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
    """Gives the ids of the whole conversation and the index of the first token of each assistant turn."""
    turns = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if not turns:
        raise DataError("a demonstration has no turn of the assistant, so there is nothing to learn from it")
    whole = _render(tokenizer, messages, opening=False)
    if tokenizer.is_fast and _GENERATION_BLOCK.search(str(tokenizer.chat_template)):
        ids, starts = _starts_from_blocks(tokenizer, messages)
        if len(starts) == len(turns):
            return ids, starts
    prefixes = [_render(tokenizer, messages[:index], opening=True) for index in turns]
    for index, prefix in zip(turns, prefixes, strict=True):
        if not whole.startswith(prefix):
            raise ModelError(
                f"the chat template is not prefix-stable: what it writes before message {index} changes "
                "when that message is added, so the assistant's tokens cannot be told apart",
                hint="mark the assistant's text in the template with {% generation %} … {% endgeneration %}",
            )
    if messages[-1]["role"] == "assistant":
        _check_nothing_dropped(whole[len(prefixes[-1]) :], messages[-1]["content"])
    return _tokenize_at(tokenizer, whole, [len(prefix) for prefix in prefixes])


def _is_within(content: str, rendered: str) -> bool:
    # White space aside, because reasoning templates lay out the thinking part anew.
    return "".join(content.split()) in "".join(rendered.split())


def _check_nothing_dropped(rendered: str, content: str) -> None:
    if not _is_within(content, rendered):
        raise ModelError(
            f"the chat template drops part of the assistant's turn {content[:80]!r}",
            hint="use a template that keeps the whole turn (some leave out everything before </think>)",
        )


def _starts_from_blocks(tokenizer: Any, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
    turns = [dict(message) for message in messages]
    encoded = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    mask = encoded["assistant_masks"]
    starts = [t for t, inside in enumerate(mask) if inside and (t == 0 or not mask[t - 1])]
    return list(encoded["input_ids"]), starts


def _tokenize_at(tokenizer: Any, whole: str, cuts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Gives the ids of `whole` and, for each cut (a character position), the index of the token that starts there.

    The ids before a cut are those of the text before it, as an engine sees them in a prompt. Where a token would
    straddle a cut, the parts are tokenized one by one.
    """
    ids = _ids(tokenizer, whole)
    heads = [_ids(tokenizer, whole[:cut]) for cut in cuts]
    if all(ids[: len(head)] == head for head in heads):
        return ids, [len(head) for head in heads]
    joined = _ids(tokenizer, whole[: cuts[0]])
    starts = []
    for begin, end in zip(cuts, [*cuts[1:], len(whole)], strict=True):
        starts.append(len(joined))
        joined = joined + _ids(tokenizer, whole[begin:end])
    if tokenizer.decode(joined) != tokenizer.decode(ids):
        raise ModelError(
            "the tokenizer gives other text when a conversation is cut where the assistant begins",
            hint="end the assistant's opening in the chat template with a special token or a line break",
        )
    return joined, starts


def _mark_turns(ids: Sequence[int], starts: Sequence[int], stops: tuple[int, ...]) -> tuple[IntArray, BoolArray]:
    trainable = [False] * len(ids)
    for start, limit in zip(starts, [*starts[1:], len(ids)], strict=True):
        end = next((t for t in range(start, limit) if ids[t] in stops), None)
        if end is None:
            raise ModelError(
                f"the chat template ends the assistant's turn at token {start} without a stop token {list(stops)}, "
                "so a model could never learn to stop",
                hint="close the assistant's turn in the template with the tokenizer's EOS or end-of-turn token",
            )
        trainable[start : end + 1] = [True] * (end + 1 - start)
    return read_only(ids, "int64"), read_only(trainable, "bool")
