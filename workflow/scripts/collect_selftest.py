from synthworth.job import job

with job(snakemake):
    from synthworth.metric_selftest.responses import collect

    collect(snakemake.input.values, snakemake.output.values, snakemake.output.responses)
