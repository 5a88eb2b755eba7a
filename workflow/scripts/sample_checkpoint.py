from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.synthesis import sample_checkpoint

    sample_checkpoint(
        checkpoint=snakemake.input.checkpoint,
        texts=snakemake.input.texts or None,
        output=snakemake.output.samples,
        batch_size=snakemake.params.batch_size,
        **spec,
    )
