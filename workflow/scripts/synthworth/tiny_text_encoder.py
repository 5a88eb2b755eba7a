"""CLIP's tokenizer and text encoder in miniature: a vocabulary made on the spot, and random weights that stay.

Random weights suffice: what a base model's U-Net and its adaptations need of a text is that it differs from others,
and no captions of a few pictures would teach an encoder more about words that it will meet only later.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
Word = tuple[str, ...]


def word_tokenizer(texts: Iterable[str], tokens: int) -> CLIPTokenizer:
    """CLIP's tokenizer with one token for each word of `texts`; other words are spelt, byte by byte where need be.

    Every text has tokens, so no word is unknown. `tokens` is the longest text, its start and end included.
    """
    alphabet = sorted(ByteLevel.alphabet())
    alphabet += [letter + END_OF_WORD for letter in alphabet]
    merges = _merges(_words(texts))
    vocabulary = list(dict.fromkeys([*alphabet, *("".join(pair) for pair in merges), START, END]))
    places = {token: place for place, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=places, merges=merges, model_max_length=tokens)


def random_text_encoder(tokenizer: CLIPTokenizer, settings: dict[str, Any]) -> CLIPTextModel:
    """CLIP's text encoder with random weights from torch's global generator.

    `settings` are hidden_size, layers, heads; weight_scale, the factor on CLIP's initial weights: from about 3 on
    tokens attend to few others, so texts that differ in a word differ in all tokens after it; output_scale, the
    standard deviation of what it gives.
    """
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings["hidden_size"],
            intermediate_size=4 * settings["hidden_size"],
            projection_dim=settings["hidden_size"],
            num_hidden_layers=settings["layers"],
            num_attention_heads=settings["heads"],
            max_position_embeddings=tokenizer.model_max_length,
            initializer_factor=settings["weight_scale"],
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    torch.nn.init.constant_(encoder.final_layer_norm.weight, settings["output_scale"])
    return encoder.eval()


def _words(texts: Iterable[str]) -> list[Word]:
    """The words of texts as CLIP's tokenizer sees them, each as its letters, the last one marked as such."""
    splitter = CLIPTokenizer().backend_tokenizer
    pieces = {
        piece
        for text in texts
        for piece, _ in splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
    }
    return [(*piece[:-1], piece[-1] + END_OF_WORD) for piece in sorted(pieces)]


def _merges(words: list[Word]) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al. 2016) of words, gone on with until each is one token.

    Ties are settled by the alphabet, so that the same words give the same tokens.
    """
    merges = []
    while pairs := Counter(pair for word in words for pair in zip(word, word[1:], strict=False)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [_merged(word, best) for word in words]
    return merges


def _merged(word: Word, pair: tuple[str, str]) -> Word:
    result: list[str] = []
    for letters in word:
        # What was merged at the last place does not merge again: it is longer than the pair's first.
        if result and (result[-1], letters) == pair:
            result[-1] += letters
        else:
            result.append(letters)
    return tuple(result)
