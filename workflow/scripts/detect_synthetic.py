from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.detector import detect_synthetic

    detect_synthetic(
        references=snakemake.input.references,
        selections=snakemake.input.selections,
        features=snakemake.input.features,
        output=snakemake.output.detection,
        **spec,
    )
