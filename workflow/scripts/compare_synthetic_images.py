from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.memorization.comparing import compare_synthetic_images

    compare_synthetic_images(
        train={key: snakemake.input[f"train_{key}"] for key in ("images", "index", "features")},
        held_out={key: snakemake.input[f"held_out_{key}"] for key in ("images", "index", "features")},
        samples=snakemake.input.samples,
        features=snakemake.input.features,
        output=snakemake.output.comparison,
        **spec,
    )
