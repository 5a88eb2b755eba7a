"""A classifier's logits: one image at a time, as published, and in batches, as in a study.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/validation.py

It ends with an error where logits differ by more than 1e-5. On a CPU it is the
processor time of one thread, and batches of 8 and 64 show why a study has 4.
"""

import argparse
from functools import partial

import numpy as np
import torch
from published_classifier import by_clock, table_of
from rounds import alternate, machine, on_gpu, print_table

from synthworth.classifiers import prediction
from synthworth.classifiers.data import ImageTable
from synthworth.classifiers.models import create_classifier
from synthworth.classifiers.normalisation import normalised

NETWORKS = ["resnet50", "efficientnet_b0", "convnext_tiny"]
SIZE = 224


def main() -> None:
    """Times the ways for each network, prints the tables and compares the logits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20 if on_gpu() else 3)
    parser.add_argument("--images", type=int, default=256 if on_gpu() else 64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = prediction.default_device()

    print(f"{machine()}\n\n{arguments.images} images of {SIZE} px, float32; {arguments.rounds} rounds")
    pixels = np.random.default_rng(0).integers(0, 256, (arguments.images, SIZE, SIZE, 1), dtype=np.uint8)
    table = table_of(pixels)
    own = prediction.BATCH_SIZE[device.type]
    sizes = {"one at a time, as published": 1, f"{own} at once, as in a study": own}
    sizes |= {} if on_gpu() else {f"{more} at once": more for more in (8, 64)}
    for network in NETWORKS:
        torch.manual_seed(0)
        model = telling(create_classifier(network, 5).to(device), table)
        logits = {}

        def run(way: str, size: int, model: torch.nn.Module = model, logits: dict = logits) -> None:
            prediction.BATCH_SIZE[device.type] = size
            logits[way] = prediction.predict(model, table, device)

        ways = {way: by_clock(partial(run, way, size)) for way, size in sizes.items()}
        print_table(network, alternate(ways, arguments.rounds), len(table))
        first, *others = logits.values()
        difference = max(float((first - other).abs().max()) for other in others)
        print(f"\nThe logits, of up to {float(first.abs().max()):.1f}, differ by {difference:.1e} at most.")
        if difference > 1e-5:
            raise SystemExit("the logits are not the same")


def telling(model: torch.nn.Module, table: ImageTable) -> torch.nn.Module:
    """The network with logits as large as a trained one's: those of random weights are so small that all agree.

    Batch normalisation takes its statistics from images, and the last layer is scaled to logits of up to 5.
    """
    device = next(model.parameters()).device
    images = torch.from_numpy(np.stack([table.image(row) for row in range(8)]))
    with torch.no_grad():
        for _ in range(20):
            model.train()(normalised(images.to(device)))
        largest = model.eval()(normalised(images.to(device))).abs().max()
        for tensor in model.get_classifier().parameters():
            tensor.mul_(5 / largest)
    return model


if __name__ == "__main__":
    main()
