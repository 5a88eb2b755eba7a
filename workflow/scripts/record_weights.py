from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.weights import record_weights

    record_weights(snakemake.input, snakemake.output.record, **spec)
