from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.memorization.comparing import compare_real_images

    compare_real_images(
        train={key: snakemake.input[f"train_{key}"] for key in ("images", "index", "features")},
        held_out={key: snakemake.input[f"held_out_{key}"] for key in ("images", "index", "features")},
        weights=Path(snakemake.input.extractor),
        comparisons=snakemake.output.comparisons,
        twins=snakemake.output.twins,
        **spec,
    )
