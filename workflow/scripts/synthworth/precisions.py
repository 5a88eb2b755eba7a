"""Precisions: what the config's `mixed_precision` means to torch."""

import torch

PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
