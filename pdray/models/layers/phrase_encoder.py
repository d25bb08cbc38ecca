"""Text network of CLIP for a few phrases, behind learned vectors.

Source: Zhou et al. 2022 (CoOp, arXiv:2109.01134), section 3.2, with a shared context, as Huang et
al. 2025 use it (eq. 2): ``G = M(T, T~)``. T are the learned vectors in front of the embedded words;
of the ids T~ only the place of the end token is read. The network itself is frozen.
Tokens and phrases are part of the state, so weights need no vocabulary file. Phrases are encoded
once per training step, and once in evaluation until the network is trained again.
Letters: K phrase, L token of a phrase, D feature of a token, E embedding.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from pdray.errors import SettingsError, refuse
from pdray.models.layers.clip import TextTower, TowerShape
from pdray.models.layers.phrase_tokens import PhraseTokens, closed_vocabulary, words_of

BYTES = ("phrase_bytes", "vocabulary_bytes")  # texts in the state
TABLE = "token_embedding.weight"
_ENDS = 2  # tokens around a phrase
_SPREAD = 0.02  # of the learned vectors


class PhraseEncoder(TextTower):
    """Frozen text network, learned vectors, and the tokens of the phrases."""

    def __init__(
        self,
        shape: TowerShape,
        *,
        context_length: int,
        num_prompts: int,
        phrases: Sequence[str],
        known: Iterable[str],
    ) -> None:
        """Build the layers, for a closed vocabulary of whole words.

        Args:
            shape: Shape of the text network.
            context_length: Most tokens, with learned vectors, start and end.
            num_prompts: Learned vectors.
            phrases: One per class, all different.
            known: Further phrases whose words the vocabulary has.
        """
        every = [word for phrase in (*known, *phrases) for word in words_of(phrase)]
        vocabulary = closed_vocabulary(list(dict.fromkeys(every)))
        super().__init__(
            shape, vocabulary_size=len(vocabulary.words), context_length=context_length
        )
        self.requires_grad_(False)
        self.num_prompts, self.room = num_prompts, context_length - num_prompts - _ENDS
        if num_prompts:
            self.prompts = nn.Parameter(_SPREAD * torch.randn(num_prompts, shape.width))
        for name in BYTES:
            self.register_buffer(name, as_bytes(()))
        self.register_buffer("tokens", torch.zeros(0, dtype=torch.int64))
        self._found: Tensor | None = None
        self.set_phrases(phrases, vocabulary)

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrase of each class."""
        return from_bytes(self.get_buffer("phrase_bytes"))

    def set_phrases(self, phrases: Sequence[str], vocabulary: PhraseTokens | None = None) -> None:
        """Replace the phrases; nothing has to be trained again.

        Args:
            phrases: One per class, all different.
            vocabulary: That of the network; None: the closed one in the state.

        Raises:
            SettingsError: If a word is not in the vocabulary, a phrase is too long, or the
                vocabulary is needed and not given; names the phrase.
        """
        if vocabulary is None:
            words = from_bytes(self.get_buffer("vocabulary_bytes"))
            lacking = [] if words else ["this network needs the vocabulary of its weights; give it"]
            refuse(lacking, SettingsError, "phrases")
            vocabulary = closed_vocabulary(words)
        counts = {phrase: len(vocabulary.encode(phrase)) for phrase in phrases}
        long = [
            f"'{phrase}' has {count} tokens, and there is room for {self.room} beside "
            f"{self.num_prompts} prompts; shorten it"
            for phrase, count in counts.items()
            if count > self.room
        ]
        refuse(long, SettingsError, "model.phrases")
        # What follows the end of a phrase has no effect: no more places than the longest needs.
        rows = vocabulary.rows(phrases, max(counts.values()) + _ENDS)
        device = self.positional_embedding.device
        self.tokens = torch.tensor(rows, device=device)
        self.phrase_bytes = as_bytes(phrases).to(device)
        self.vocabulary_bytes = as_bytes(vocabulary.whole_words).to(device)
        self._found = None

    def forward(self) -> Tensor:
        """Return (K, E) embeddings G of the phrases, in the precision of the weights.

        In evaluation they are computed once, each phrase alone, so that its embedding does not
        depend on the others.
        """
        tokens_KL = self.get_buffer("tokens")
        # A program that torch.export writes keeps nothing between two calls.
        if self.training or torch.is_grad_enabled() or torch.compiler.is_exporting():
            return self._embed(tokens_KL)
        if self._found is None:
            # Not a tensor of inference mode, which later gradients could not use.
            with torch.inference_mode(False), torch.no_grad():
                self._found = torch.cat([self._embed(row_L[None]) for row_L in tokens_KL])
        return self._found

    def _embed(self, tokens_KL: Tensor) -> Tensor:
        with torch.autocast(tokens_KL.device.type, enabled=False):
            x_KLD = self.token_embedding(tokens_KL)
            ends_K = tokens_KL.argmax(dim=1)  # the end has the highest id
            if self.num_prompts:
                prompts = self.prompts.expand(len(tokens_KL), -1, -1)
                x_KLD = torch.cat([x_KLD[:, :1], prompts, x_KLD[:, 1:]], dim=1)
            return self.encode(x_KLD, ends_K + self.num_prompts)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what was encoded before is forgotten."""
        self._found = None
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._found = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load, with phrases and a vocabulary of other shapes."""
        self._found = None
        mine = self.state_dict(keep_vars=True)
        for name in (*BYTES, "tokens", TABLE):
            own, new = mine[name], state_dict.get(f"{prefix}{name}")
            if new is not None and own.shape != new.shape:
                own.data = own.new_empty(new.shape)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def as_bytes(texts: Sequence[str]) -> Tensor:
    """Return texts as (X,) uint8, to be kept in a state; none as a single zero."""
    return torch.frombuffer(bytearray("\n".join(texts).encode() or b"\0"), dtype=torch.uint8)


def from_bytes(values: Tensor) -> tuple[str, ...]:
    """Return the texts of :func:`as_bytes`."""
    text = bytes(values.tolist()).decode()
    return () if text == "\0" else tuple(text.split("\n"))
