"""An epoch of a classifier's training, validation included: as published and as in a study.

As published: images as in `classifier_data.py`, float32 (on a CPU), Adam, validation on one image at a time. In a
study: bfloat16, channels-last layout, fused Adam, validation in batches.

Usage: OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts python benchmarks/classifier_epoch.py [--images 32]

One validation image to four of training, as in the paper; random weights. One thread, and on a CPU its processor time.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import torch
from published_classifier import PublishedImages, mapped_table, published_epochs, study_epochs, write_pictures
from rounds import alternate, machine, on_gpu, print_table

NETWORKS = ["resnet50", "efficientnet_b0"]
SIZE = 224


def main() -> None:
    """Times both ways for each network and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--float32", action="store_true", help="a study in float32 too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    device = torch.device("cuda" if on_gpu() else "cpu")

    held_out = arguments.images // 4
    print(f"{machine()}\n\n{arguments.images} + {held_out} images of {SIZE} px; {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), arguments.images + held_out, 1000)
        tables = [
            mapped_table(part, SIZE, Path(folder) / f"{len(part)}.npy") for part in (paths[held_out:], paths[:held_out])
        ]
        for network in [arguments.only] if arguments.only else NETWORKS:
            epochs = published_epochs(
                network,
                PublishedImages(paths[held_out:], SIZE),
                PublishedImages(paths[:held_out], SIZE, augmented=False),
                device,
                workers=0,
                half=on_gpu(),
            )

            def study(precision: str, network: str = network) -> float:
                seconds = study_epochs(network, *tables, device, 0, epochs=2, mixed_precision=precision)
                return seconds.training[0] + seconds.validation[0]

            ways = {"published": lambda epochs=epochs: sum(next(epochs)), "a study, bf16": lambda: study("bf16")}
            if arguments.float32:
                ways["a study, float32"] = lambda: study("no")
            seconds = alternate(ways, arguments.rounds)
            print_table(f"{network}: an epoch", seconds, arguments.images + held_out)


if __name__ == "__main__":
    main()
