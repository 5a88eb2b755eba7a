import pytest
import torch
from transformers import CLIPTokenizer

from synthworth.tiny_text_encoder import END, START, random_text_encoder, word_tokenizer

WORDS = ["an X-ray image of the lung with bacterial, viral or COVID-19 pneumonia", "healthy patient, no signs of"]
SETTINGS = {"hidden_size": 64, "layers": 1, "heads": 2, "weight_scale": 3.0, "output_scale": 3.0}
PROMPTS = [
    "An X-ray image of the lung, healthy patient, no signs of pneumonia",
    "An X-ray image of the lung with bacterial pneumonia",
    "An X-ray image of the lung with COVID-19 pneumonia",
    "",
]


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(WORDS, 77)


def embeddings(tokenizer, texts, **changes):
    torch.manual_seed(0)
    encoder = random_text_encoder(tokenizer, SETTINGS | changes)
    with torch.no_grad():
        return encoder(tokenizer(texts, padding="max_length", return_tensors="pt").input_ids)[0]


def test_known_words_are_one_token_each(tokenizer):
    tokens = tokenizer.tokenize("An X-ray image of the lung with COVID-19 pneumonia")
    assert "".join(tokens).split("</w>")[:-1] == [
        *["an", "x", "-", "ray", "image", "of", "the", "lung", "with", "covid", "-", "1", "9", "pneumonia"]
    ]
    assert len(tokens) == 14


@pytest.mark.parametrize(
    "words", [["banana", "tuba", "bab", "ananas"], ["aaa", "aaaa", "aa"], ["sign", "signs", "designs"]]
)
def test_words_that_share_letters_stay_one_token_each(words):
    tokenizer = word_tokenizer(words, 77)
    assert [tokenizer.tokenize(word) for word in words] == [[f"{word}</w>"] for word in words]


@pytest.mark.parametrize("text", ["tuberculosis", "Größe: 12 µm?", "肺炎", "a😀b", "<3 %"])
def test_any_text_has_tokens_that_give_it_back(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.lower().replace(" ", "")


def test_a_text_has_a_start_an_end_and_at_most_so_many_tokens():
    tokenizer = word_tokenizer(WORDS, 12)
    long, short = tokenizer(["lung " * 40, "lung"], padding="max_length", truncation=True).input_ids
    assert len(long) == len(short) == 12
    assert tokenizer.convert_ids_to_tokens([long[0], long[-1]]) == [START, END]
    # The rest is filled with ends, as in Stable Diffusion.
    assert tokenizer.convert_ids_to_tokens(short) == [START, "lung</w>", *[END] * 10]


def test_the_tokenizer_is_the_same_again_and_from_its_folder(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    stored = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    again = word_tokenizer(reversed(WORDS), 77)
    assert stored.get_vocab() == again.get_vocab() == tokenizer.get_vocab()
    for text in PROMPTS:
        assert stored(text).input_ids == again(text).input_ids == tokenizer(text).input_ids
    assert stored.model_max_length == 77


def test_prompts_of_different_classes_look_different(tokenizer):
    texts = embeddings(tokenizer, PROMPTS)
    assert texts.shape == (4, 77, 64)
    assert texts.std().item() == pytest.approx(3.0, abs=0.1)
    # Two unrelated texts would have a distance of 2 in units of the variance.
    for one in range(4):
        for other in range(one):
            distance = (texts[one] - texts[other]).square().mean() / texts.var()
            assert distance > 0.2, (PROMPTS[one], PROMPTS[other])


def test_with_weights_of_clips_own_scale_prompts_look_alike(tokenizer):
    def distance(texts):
        return ((texts[1] - texts[2]).square().mean() / texts.var()).item()

    assert distance(embeddings(tokenizer, PROMPTS, weight_scale=1.0)) < distance(embeddings(tokenizer, PROMPTS)) / 2
