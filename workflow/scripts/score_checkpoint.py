from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.fidelity import score_checkpoint

    score_checkpoint(
        images=snakemake.input.get("images"),
        features=snakemake.input.get("features"),
        reference=snakemake.input.get("reference"),
        output=snakemake.output.score,
        **spec,
    )
