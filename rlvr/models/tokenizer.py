"""A small byte-level BPE tokenizer with a chat template, trained on given texts and saved in Hugging Face format."""

import tempfile
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from rlvr.errors import ModelError

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"

SPECIAL_TOKENS = (PAD, START, END, SYSTEM, USER, ASSISTANT)
"""Left out when a completion is decoded; `END` closes documents and turns alike."""

KEPT_TOKENS = ("<think>", "</think>", "\\boxed{")
"""One token each, and kept when a completion is decoded."""

_PIECES = r"\d{1,2}| ?\p{L}+(?: (?=\d))?| ?[^\s\p{L}\d]+(?: (?=\d))?|\s+(?!\S)|\s+"
"""Up to two digits, a word or punctuation marks with a space before them (and after them where a digit follows)."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% elif message['role'] in ['system', 'user'] %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% else %}"
    "{{ raise_exception('unknown role ' + message['role'] + ': use system, user or assistant') }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 1024, max_length: int = 512) -> PreTrainedTokenizerFast:
    """Gives a tokenizer whose merges come from `texts`; every number from 0 to 99 is one token.

    Digits are taken in pairs from the left, never together with a space or a letter. Any text can be encoded, because
    bytes that no merge covers stand for themselves. An encoded text starts with `START`, as in the chat template.
    `max_length` is written into the tokenizer's configuration.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(KEPT_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_numbers(texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in KEPT_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def check_reload(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig) -> None:
    """Raises ModelError where AutoTokenizer, beside a model of that configuration, loads another tokenizer than saved.

    For some architectures (qwen2, phi3) transformers ignores the saved class and puts its own word splitting in place.
    """
    with tempfile.TemporaryDirectory(prefix="rlvr-") as folder:
        config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        loaded = AutoTokenizer.from_pretrained(folder)
    if loaded.backend_tokenizer.to_str() != tokenizer.backend_tokenizer.to_str():
        raise ModelError(
            f"transformers loads the tokenizer of every {config.model_type!r} model as {type(loaded).__name__}, "
            "which splits words in its own way, so a newly trained tokenizer would not come back as it was",
            hint="model.new.architecture=qwen3 or llama keep it",
        )


def _with_numbers(texts: Iterable[str]) -> Iterator[str]:
    """Puts every two-digit number before the texts, often enough that its merge comes first."""
    numbers = " ".join(f"{number}" for number in range(10, 100))
    yield from [numbers] * 10_000
    for text in texts:
        for token in (*SPECIAL_TOKENS, *KEPT_TOKENS):
            text = text.replace(token, "\n")
        yield text
