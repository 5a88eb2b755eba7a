from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.metric_selftest.measurement import measure

    measure(images=snakemake.input.images, index=snakemake.input.index, output=snakemake.output.values, **spec)
