"""Makes models with random weights: BERT with one layer of 16 and the words of the offline model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from knowledge.embedders.model_files import locate
from knowledge.packaged_models import OFFLINE_MODEL


def save_cross_encoder(folder: Path) -> None:
    """Save a cross-encoder with one score."""
    from transformers import BertForSequenceClassification

    tokenizer, config = _parts()
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_embedder(folder: Path) -> None:
    """Save an embedding model that uses the vector of the first token."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertModel

    tokenizer, config = _parts()
    base = folder / "base"
    BertModel(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    transformer = Transformer(str(base))
    SentenceTransformer(modules=[transformer, Pooling(16, pooling_mode="cls")], device="cpu").save(str(folder))


def _parts() -> tuple[Any, Any]:
    import torch
    from transformers import AutoTokenizer, BertConfig

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(locate(OFFLINE_MODEL))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
    )
    return tokenizer, config
