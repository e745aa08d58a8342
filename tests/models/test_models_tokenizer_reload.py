import pytest
from transformers import AutoConfig

from rlvr.errors import ModelError
from rlvr.models.tokenizer import check_reload, train_tokenizer


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma"])
def test_a_new_tokenizer_comes_back_as_it_was_beside_most_architectures(architecture: str) -> None:
    tokenizer = train_tokenizer(["12 apples and 345 pears"], vocab_size=400)
    check_reload(tokenizer, AutoConfig.for_model(architecture))


def test_a_new_tokenizer_is_refused_beside_qwen2_which_would_load_as_another() -> None:
    tokenizer = train_tokenizer(["12 apples and 345 pears"], vocab_size=400)
    with pytest.raises(ModelError, match="Qwen2Tokenizer") as raised:
        check_reload(tokenizer, AutoConfig.for_model("qwen2"))
    assert "qwen3" in raised.value.hint
